use archibald_http::page_file;
use hyper::Method;

use crate::server::{Server, request};

const PAGES: [&str; 3] = ["/", "/app", "/board"];
/// What only the demo's own server has.
const DEMO: [&str; 5] =
    ["/demo", "/assets/demo.css", "/assets/demo.js", "/assets/i18n.demo.en.js", "/assets/i18n.demo.it.js"];

#[tokio::test]
async fn pages_load_from_their_own_origin_alone_and_have_nothing_inline() {
    let server = Server::start().await;
    for path in PAGES {
        let page = server.get("", path).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(!page.text().contains("/demo"), "{path} leads to what only the demo has");
    }
    for path in PAGES.into_iter().chain(["/demo"]) {
        let html = &text(&server, path).await;
        for inline in [" style=", " onclick=", "<style", "javascript:", "http://", "https://"] {
            assert!(!html.contains(inline), "{path}: {inline}");
        }
        assert!(html.split("<script").skip(1).all(|script| script.contains("src=\"/assets/")), "{path}");
        assert!(html.contains("<noscript>"), "{path} says nothing to those without scripts");
        for asset in assets_of(html) {
            let is_there = DEMO.contains(&asset.as_str()) || server.get("", &asset).await.status == 200;
            assert!(is_there, "{path} asks for {asset}");
        }
    }
}

/// What scripts import, from one to the next, beginning with what pages name.
#[tokio::test]
async fn scripts_are_all_there_and_make_no_markup_of_data() {
    let server = Server::start().await;
    let mut known: Vec<String> = vec![];
    let mut open: Vec<String> = vec![];
    for path in PAGES.into_iter().chain(["/demo"]) {
        open.extend(assets_of(&text(&server, path).await));
    }
    while let Some(path) = open.pop() {
        if known.contains(&path) || !path.ends_with(".js") {
            continue;
        }
        if !DEMO.contains(&path.as_str()) {
            let script = server.get("", &path).await;
            assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8", "{path}");
        }
        let script = text(&server, &path).await;
        assert!(!script.contains("innerHTML"), "{path}: data never becomes markup");
        let imports = script.split("\"./").skip(1).filter_map(|rest| rest.split('"').next());
        open.extend(imports.filter(|name| name.ends_with(".js")).map(|name| format!("/assets/{name}")));
        known.push(path);
    }
    for name in ["app", "board", "demo", "index", "session", "i18n", "i18n.it", "i18n.en"] {
        assert!(known.contains(&format!("/assets/{name}.js")), "{name} of {known:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again() {
    let server = Server::start().await;
    let first = server.get("", "/assets/base.css").await;
    let etag = first.header("etag");
    assert!(etag.starts_with('"') && etag.len() > 30, "{etag}");
    assert_eq!(first.header("cache-control"), "no-cache");
    assert_ne!(etag, server.get("", "/").await.header("etag"));
    let ask =
        |known: String| request(Method::GET, "", "/assets/base.css", &[("if-none-match", &known)], None);
    for known in [etag.to_owned(), format!("\"other\", {etag}"), format!("W/{etag}")] {
        let again = server.send(ask(known)).await;
        assert_eq!((again.status.as_u16(), again.bytes.len(), again.header("etag")), (304, 0, etag));
    }
    assert_eq!(server.send(ask("\"other\"".into())).await.status, 200);
    assert_eq!(server.get("", "/assets/none.js").await.status, 404);
}

#[tokio::test]
async fn every_element_that_a_script_reaches_for_is_there() {
    let server = Server::start().await;
    let scripts =
        [("/", "index"), ("/app", "app"), ("/app", "app-lists"), ("/board", "board"), ("/demo", "demo")];
    for (page, name) in scripts {
        let html = text(&server, page).await;
        let script = text(&server, &format!("/assets/{name}.js")).await;
        for start in ["$(\"", "getElementById(\"", "part(\"", "#fill(\""] {
            for id in between(&script, start, '"') {
                assert!(html.contains(&format!("id=\"{id}\"")), "{page}: {id}");
            }
        }
    }
}

/// Both languages say the same things, and all that the pages ask for.
#[tokio::test]
async fn every_word_is_there_in_both_languages() {
    let server = Server::start().await;
    let mut known = vec![];
    for name in ["i18n", "i18n.app", "i18n.board", "i18n.demo"] {
        let (italian, english) = (keys(&server, name, "it").await, keys(&server, name, "en").await);
        assert!(italian.len() > 10);
        assert_eq!(italian, english, "{name}");
        known.extend(italian);
    }
    for path in [
        "/",
        "/app",
        "/assets/app.js",
        "/assets/app-catalogue.js",
        "/assets/app-conflict.js",
        "/assets/app-editor.js",
        "/assets/app-lists.js",
        "/assets/app-words.js",
        "/board",
        "/assets/board.js",
        "/assets/board-filter.js",
        "/assets/board-older.js",
        "/assets/board-pictures.js",
        "/assets/board-agents.js",
        "/assets/board-charts.js",
        "/assets/board-detail.js",
        "/assets/board-dialogs.js",
        "/assets/board-words.js",
        "/demo",
        "/assets/demo.js",
        "/assets/index.js",
        "/assets/session.js",
    ] {
        let page = text(&server, path).await;
        let asked = ["data-t=\"", "data-t-aria-label=\"", " t(\"", "(t(\"", "[t(\"", ", t(\""]
            .into_iter()
            .flat_map(|start| between(&page, start, '"'));
        for key in asked {
            assert!(known.contains(&key), "{path} asks for {key}");
        }
    }
}

/// What comes over the wire before a person sees the app for the first time.
#[tokio::test]
async fn the_first_view_is_light() {
    let server = Server::start().await;
    let (mut open, mut known, mut bytes) = (vec!["/app".to_owned()], vec![], 0);
    while let Some(path) = open.pop() {
        // The icon of a home screen comes when it is put there.
        if known.contains(&path) || path.ends_with(".png") {
            continue;
        }
        let asked = [("accept-encoding", "gzip")];
        bytes += server.send(request(Method::GET, "", &path, &asked, None)).await.bytes.len();
        let text = server.get("", &path).await.text().to_owned();
        open.extend(assets_of(&text));
        open.extend(between(&text, "\"./", '"').into_iter().map(|name| format!("/assets/{name}")));
        known.push(path);
    }
    assert!(known.len() > 15, "{known:?}");
    assert!(bytes <= 60 * 1024, "{bytes} bytes of {known:?}");
}

/// A browser notices a new version by the worker alone.
#[tokio::test]
async fn the_worker_names_what_it_keeps_after_its_content() {
    let server = Server::start().await;
    let worker = server.get("", "/sw.js").await;
    let names = between(worker.text(), "\"archibald-shell-", '"');
    let [name] = &names[..] else { panic!("{names:?}") };
    assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
}

/// The shell that is kept for starting without a network is all that the app imports.
#[tokio::test]
async fn the_app_is_kept_whole_for_starting_without_a_network() {
    let server = Server::start().await;
    let worker = server.get("", "/sw.js").await.text().to_owned();
    assert!(!between(&worker, "\"/", '"').iter().any(|path| path.starts_with("v1")), "data is never kept");
    let (mut open, mut known) = (vec!["/app".to_owned()], vec![]);
    while let Some(path) = open.pop() {
        if known.contains(&path) || path.ends_with(".png") {
            continue;
        }
        assert!(worker.contains(&format!("\"{path}\"")), "{path} is not kept");
        let text = server.get("", &path).await.text().to_owned();
        open.extend(assets_of(&text));
        open.extend(between(&text, "\"./", '"').into_iter().map(|name| format!("/assets/{name}")));
        known.push(path);
    }
    assert!(known.len() > 15, "{known:?}");
}

/// Its page has no server but the demo's, which takes it from here.
#[tokio::test]
async fn no_server_has_the_demos_page() {
    let server = Server::start().await;
    for path in DEMO {
        assert_eq!(server.get("", path).await.status, 404, "{path}");
        assert!(page_file(path).is_some(), "{path}");
    }
}

/// A file of the pages, or of the demo's page, which is there.
async fn text(server: &Server, path: &str) -> String {
    if DEMO.contains(&path) {
        return String::from_utf8(page_file(path).unwrap().1.to_vec()).unwrap();
    }
    let file = server.get("", path).await;
    assert_eq!(file.status, 200, "{path}");
    file.text().to_owned()
}

async fn keys(server: &Server, name: &str, language: &str) -> Vec<String> {
    let script = text(server, &format!("/assets/{name}.{language}.js")).await;
    let lines = script.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next());
    lines.map(str::to_owned).collect()
}

fn assets_of(html: &str) -> Vec<String> {
    if !html.starts_with("<!doctype html>") {
        return vec![];
    }
    between(html, "\"/assets/", '"').into_iter().map(|name| format!("/assets/{name}")).collect()
}

fn between(text: &str, start: &str, end: char) -> Vec<String> {
    text.split(start).skip(1).filter_map(|rest| rest.split(end).next()).map(str::to_owned).collect()
}
