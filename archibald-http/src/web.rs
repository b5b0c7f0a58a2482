//! The pages: files of `web/`, embedded as they are. No build step, nothing inline, nothing from elsewhere.
//!
//! A page comes at its own path, everything that it needs under `/assets/`.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::state::ApiState;

struct File {
    path: &'static str,
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($path:literal => $name:literal),+ $(,)?) => {
        &[$(File { path: $path, name: $name, bytes: include_bytes!(concat!("../web/", $name)) }),+]
    };
}

/// What every server has. A file that is not here is not served.
const FILES: &[File] = files! {
    "/" => "index.html",
    "/app" => "app.html",
    "/board" => "board.html",
    "/sw.js" => "sw.js",
    "/assets/app-catalogue.js" => "app-catalogue.js",
    "/assets/app-conflict.js" => "app-conflict.js",
    "/assets/app-editor.js" => "app-editor.js",
    "/assets/app-lists.js" => "app-lists.js",
    "/assets/app-words.js" => "app-words.js",
    "/assets/app.css" => "app.css",
    "/assets/app.js" => "app.js",
    "/assets/app.webmanifest" => "app.webmanifest",
    "/assets/base.css" => "base.css",
    "/assets/board-agents.js" => "board-agents.js",
    "/assets/board-charts.js" => "board-charts.js",
    "/assets/board.css" => "board.css",
    "/assets/board-data.js" => "board-data.js",
    "/assets/board-detail.js" => "board-detail.js",
    "/assets/board-dialogs.js" => "board-dialogs.js",
    "/assets/board-dom.js" => "board-dom.js",
    "/assets/board-feed.js" => "board-feed.js",
    "/assets/board-filter.js" => "board-filter.js",
    "/assets/board-history.js" => "board-history.js",
    "/assets/board-older.js" => "board-older.js",
    "/assets/board-pictures.js" => "board-pictures.js",
    "/assets/board.js" => "board.js",
    "/assets/board-list.js" => "board-list.js",
    "/assets/board-words.js" => "board-words.js",
    "/assets/client-caller.js" => "client-caller.js",
    "/assets/client-errors.js" => "client-errors.js",
    "/assets/client-queue.js" => "client-queue.js",
    "/assets/client-replica.js" => "client-replica.js",
    "/assets/client-storage.js" => "client-storage.js",
    "/assets/client-stream.js" => "client-stream.js",
    "/assets/client.js" => "client.js",
    "/assets/combobox.js" => "combobox.js",
    "/assets/dom.js" => "dom.js",
    "/assets/i18n.app.en.js" => "i18n.app.en.js",
    "/assets/i18n.app.it.js" => "i18n.app.it.js",
    "/assets/i18n.board.en.js" => "i18n.board.en.js",
    "/assets/i18n.board.it.js" => "i18n.board.it.js",
    "/assets/i18n.en.js" => "i18n.en.js",
    "/assets/i18n.it.js" => "i18n.it.js",
    "/assets/i18n.js" => "i18n.js",
    "/assets/icon-192.png" => "icon-192.png",
    "/assets/icon-512.png" => "icon-512.png",
    "/assets/icon-mask.png" => "icon-mask.png",
    "/assets/icon.svg" => "icon.svg",
    "/assets/index.js" => "index.js",
    "/assets/money.js" => "money.js",
    "/assets/session.js" => "session.js",
};

/// The demo's own: its server has them besides, by [`page_file`]; no other has.
const DEMO: &[File] = files! {
    "/demo" => "demo.html",
    "/assets/demo.css" => "demo.css",
    "/assets/demo.js" => "demo.js",
    "/assets/i18n.demo.en.js" => "i18n.demo.en.js",
    "/assets/i18n.demo.it.js" => "i18n.demo.it.js",
};

pub(crate) fn routes() -> Router<ApiState> {
    FILES.iter().fold(Router::new(), |router, file| {
        let bytes = served(file);
        let etag = etag(&bytes);
        router.route(
            file.path,
            get(move |headers: HeaderMap| async move { answer(file, bytes.clone(), &etag, &headers) }),
        )
    })
}

/// The service worker names what it keeps after all that there is to keep: other files are another version.
fn served(file: &'static File) -> Bytes {
    if file.path != "/sw.js" {
        return Bytes::from_static(file.bytes);
    }
    let mut all = Sha256::new();
    for file in FILES {
        all.update(file.bytes);
    }
    let version = hexadecimal(&all.finalize());
    Bytes::from(String::from_utf8_lossy(file.bytes).replace("VERSION", &version))
}

/// A file of the pages by its path, such as `/assets/base.css`, with its media type: for programs that show pages
/// of their own in the same look. The demo's page, `/demo`, is one of them, and no part of the router.
#[must_use]
pub fn page_file(path: &str) -> Option<(&'static str, &'static [u8])> {
    let file = FILES.iter().chain(DEMO).find(|file| file.path == path)?;
    Some((media_type(file.name), file.bytes))
}

/// Browsers keep a file and ask each time whether it is still the same, so that a new server has a new page.
fn answer(file: &'static File, bytes: Bytes, etag: &HeaderValue, asked: &HeaderMap) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type(file.name))),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, etag.clone()),
    ];
    if is_known(etag, asked) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, bytes).into_response()
}

fn is_known(etag: &HeaderValue, asked: &HeaderMap) -> bool {
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(','));
    known.any(|known| known.trim().trim_start_matches("W/").as_bytes() == etag.as_bytes())
}

fn etag(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", hexadecimal(&Sha256::digest(bytes))))
        .expect("hexadecimal digits are printable ASCII")
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
