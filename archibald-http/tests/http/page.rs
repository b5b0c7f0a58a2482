use crate::server::Server;

#[tokio::test]
async fn the_page_loads_from_its_own_origin_alone_and_has_nothing_inline() {
    let server = Server::start().await;
    let page = server.get("", "/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    let html = page.text();
    for inline in [" style=", " onclick=", "<style", "javascript:", "http://", "https://"] {
        assert!(!html.contains(inline), "{inline}");
    }
    assert!(html.split("<script").skip(1).all(|script| script.contains("src=\"/assets/")));
    for (name, media_type) in [
        ("app.js", "text/javascript; charset=utf-8"),
        ("stream.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
    ] {
        let path = format!("/assets/{name}");
        let asset = server.get("", &path).await;
        assert_eq!((asset.status.as_u16(), asset.header("content-type")), (200, media_type));
        assert!(!asset.text().contains("://"), "{name} names a foreign origin");
        assert!(!asset.text().contains("innerHTML"), "{name}: data never becomes markup");
        assert!(name == "stream.js" || html.contains(&path));
    }
}

#[tokio::test]
async fn every_element_that_the_script_reaches_for_is_there() {
    let server = Server::start().await;
    let html = server.get("", "/").await.text().to_owned();
    let script = server.get("", "/assets/app.js").await;
    let ids: Vec<_> =
        script.text().split("$(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(ids.len() > 20);
    for id in ids {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
    }
}
