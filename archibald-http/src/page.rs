//! The first page: sign in with a token, follow an agent live, submit an order. No build step, nothing
//! inline, nothing from elsewhere.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::get;

use crate::state::ApiState;

type File = ([(HeaderName, HeaderValue); 2], &'static str);

pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/", get(|| async { file("text/html", include_str!("web/index.html")) }))
        .route("/assets/app.js", get(|| async { file("text/javascript", include_str!("web/app.js")) }))
        .route("/assets/stream.js", get(|| async { file("text/javascript", include_str!("web/stream.js")) }))
        .route("/assets/style.css", get(|| async { file("text/css", include_str!("web/style.css")) }))
}

fn file(media_type: &str, text: &'static str) -> File {
    let media_type = HeaderValue::from_str(&format!("{media_type}; charset=utf-8"));
    let media_type = media_type.expect("the media types above are printable ASCII");
    let headers =
        [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    (headers, text)
}
