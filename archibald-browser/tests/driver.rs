//! The driver against a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use archibald_browser::driver::{Cookie, DialogKind, DriverError, ElementProblem, Field, Gone};
use common::{Bench, Site, Then, seconds};
use std::time::Duration;

/// Everything that we ask of Chromium, once: what a newer one answers differently shows here.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_we_use_works() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let limit = seconds(30);
    site.page(
        "/form",
        r#"<form><input id=name><input id=secret type=password value=hunter2><select id=kind>
        <option value=a>Alpha</option><option value=b>Beta</option></select></form>
        <button id=ask onclick="this.title = confirm('Delete it?')">ask</button>
        <button id=tell onclick="alert('told')">tell</button>
        <script>document.cookie = 'seen=1'</script><a id=next href=/next>next</a>
        <a id=file download=note.txt href="data:text/plain,hello">file</a>"#,
    );
    site.page("/next", "<p id=there>there</p>");
    assert!(bench.browser.version(&limit).await.unwrap().contains('/'));

    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    page.open(&limit, &site.url("/form")).await.unwrap();
    let state = page.state(&limit).await.unwrap();
    assert_eq!((state.status, state.title.as_str()), (200, "/form"));

    let fill = |selector, value| Field { selector, value, posts_back: false };
    page.fill(&limit, fill("#name", "perché € 😀")).await.unwrap();
    page.fill(&limit, fill("#kind", "Beta")).await.unwrap();
    let typed: (String, String) = page
        .evaluate(&limit, "reading", "() => [document.querySelector('#name').value, kind.value]", &())
        .await
        .unwrap();
    assert_eq!(typed, ("perché € 😀".to_owned(), "b".to_owned()));

    page.click(&limit, "#ask").await.unwrap();
    {
        let _expected = page.expect_question("Delete it?");
        page.click(&limit, "#ask").await.unwrap();
    }
    page.click(&limit, "#tell").await.unwrap();
    let said: Vec<_> = page.take_dialogs().into_iter().map(|it| (it.kind, it.accepted)).collect();
    let expected = [(DialogKind::Confirm, false), (DialogKind::Confirm, true), (DialogKind::Alert, true)];
    assert_eq!(said, expected);

    let content = page.content(&limit).await.unwrap();
    assert!(content.contains("perché € 😀") && !content.contains("hunter2"), "{content}");
    assert!(page.screenshot(&limit).await.unwrap().starts_with(b"\x89PNG"));

    let file = page.download(&limit, "#file", 100).await.unwrap();
    assert_eq!((file.name.as_str(), file.bytes.as_slice()), ("note.txt", &b"hello"[..]));

    let cookies = context.cookies(&limit).await.unwrap();
    assert_eq!(cookies.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["seen"]);
    let other = bench.browser.new_context(None).await.unwrap();
    other.set_cookies(&limit, &cookies).await.unwrap();
    assert_eq!(other.cookies(&limit).await.unwrap(), cookies);

    page.click_through(&limit, "#next").await.unwrap();
    assert!(page.wait_for(&limit, "#there", None).await.unwrap());
    assert!(!page.wait_for(&seconds(1), "#absent", None).await.unwrap());
    page.close(&limit).await.unwrap();
    assert_eq!(bench.browser.open_pages(), 0);
    drop((context, other));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_share_nothing() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let limit = seconds(30);
    site.on(
        "/",
        Then::Raw("HTTP/1.1 200 OK\r\nSet-Cookie: who=nancy; HttpOnly\r\nContent-Length: 2\r\n\r\nhi".into()),
    );
    let (nancy, andrew) =
        (bench.browser.new_context(None).await.unwrap(), bench.browser.new_context(None).await.unwrap());
    let page = nancy.new_page().await.unwrap();
    page.open(&limit, &site.url("/")).await.unwrap();
    let names = |cookies: Vec<Cookie>| cookies.into_iter().map(|it| it.name).collect::<Vec<_>>();
    assert_eq!(names(nancy.cookies(&limit).await.unwrap()), ["who"]);
    assert!(andrew.cookies(&limit).await.unwrap().is_empty());
    drop((page, nancy, andrew));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_element_that_cannot_be_used_says_why() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    site.page(
        "/",
        r#"<input id=readonly readonly><button id=disabled disabled>x</button>
        <button id=hidden style="display:none">x</button><button id=covered>x</button>
        <button id=late style="display:none" onclick="this.textContent = 'clicked'">x</button>
        <div id=loading style="position:fixed;inset:0"></div>
        "#,
    );
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    page.open(&seconds(30), &site.url("/")).await.unwrap();
    let problem = |error: DriverError| match error {
        DriverError::Element { problem, .. } => problem,
        other => panic!("{other}"),
    };
    // A fifth of it is for the page's answer.
    let short = || seconds(30).within(Duration::from_millis(800));
    let covered = problem(page.click(&short(), "#covered").await.unwrap_err());
    assert_eq!(covered, ElementProblem::Covered("div#loading".into()));
    // The overlay goes, the button comes: the click waits for both.
    let soon = "() => { setTimeout(() => { loading.style.inset = 'auto'; late.style.display = '' }, 400) }";
    page.evaluate::<Option<u8>>(&seconds(10), "a change soon", soon, &()).await.unwrap();
    page.click(&seconds(10), "#late").await.unwrap();
    assert!(page.wait_for(&seconds(5), "#late", Some("e => e.textContent === 'clicked'")).await.unwrap());
    for (selector, expected) in [
        ("#missing", ElementProblem::Missing),
        ("#hidden", ElementProblem::Hidden),
        ("#disabled", ElementProblem::Disabled),
    ] {
        assert_eq!(problem(page.click(&short(), selector).await.unwrap_err()), expected);
    }
    let field = Field { selector: "#readonly", value: "x", posts_back: false };
    assert_eq!(problem(page.fill(&short(), field).await.unwrap_err()), ElementProblem::Disabled);
    drop((page, context));
    bench.close().await;
}

/// Whether by the page's style or by its script.
#[tokio::test(flavor = "multi_thread")]
async fn what_moves_is_clicked_once_it_stands_still() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let limit = seconds(30);
    let button = r#"<button id=go onclick="this.dataset.seen = document.title">go</button>"#;
    let by_style = r#"<style>@keyframes walk { to { margin-left: 300px } } #go { animation: walk 400ms linear }</style>
        <script>go.onanimationend = () => { document.title = 'still' }</script>"#;
    let by_script = r#"<script>let left = 0;
        const walk = setInterval(() => { go.style.marginLeft = `${left += 5}px`;
          if (left >= 150) { clearInterval(walk); document.title = 'still'; } }, 10)</script>"#;
    site.page("/style", &format!("{button}{by_style}")).page("/script", &format!("{button}{by_script}"));
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    for path in ["/style", "/script"] {
        page.open(&limit, &site.url(path)).await.unwrap();
        page.click(&limit, "#go").await.unwrap();
        let seen: String = page.evaluate(&limit, "reading", "() => go.dataset.seen", &()).await.unwrap();
        assert_eq!(seen, "still", "{path}");
    }
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_posts_back_is_awaited() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let form = |value: &str, price: &str| {
        format!(
            r#"<form method=post><input id=p name=p value="{value}" onchange="setTimeout(() => this.form.submit(), 0)">
            <span id=price>{price}</span></form>"#
        )
    };
    site.page("/", &form("", ""));
    site.next_post(Then::Slow(Duration::from_millis(300), form("A1", "18,00")));
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    page.open(&seconds(30), &site.url("/")).await.unwrap();
    let field = Field { selector: "#p", value: "A1", posts_back: true };
    page.fill(&seconds(10), field).await.unwrap();
    let price: String = page.evaluate(&seconds(5), "reading", "() => price.textContent", &()).await.unwrap();
    assert_eq!(price, "18,00");
    // The same value again changes nothing, and nothing is waited for.
    page.fill(&seconds(10), field).await.unwrap();
    assert_eq!(site.posts().len(), 1);
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_navigation_that_is_given_up_never_lands_on_the_next_user() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    site.page("/fast", "fast");
    site.on("/slow", Then::Slow(Duration::from_millis(1500), "slow".into()));
    site.on("/never", Then::Hang);
    let context = bench.browser.new_context(None).await.unwrap();

    let page = context.new_page().await.unwrap();
    let short = seconds(30).within(Duration::from_millis(300));
    let error = page.open(&short, &site.url("/slow")).await.unwrap_err();
    assert!(matches!(error, DriverError::Timeout { .. }), "{error}");
    assert_eq!(page.why_gone(), Some(Gone::GivenUp));
    let error = page.open(&seconds(5), &site.url("/fast")).await.unwrap_err();
    assert!(matches!(error, DriverError::PageGone { why: Gone::GivenUp }), "{error}");
    page.close(&seconds(10)).await.unwrap();

    // A dropped future counts the same.
    let page = context.new_page().await.unwrap();
    let url = site.url("/never");
    let dropped = tokio::time::timeout(Duration::from_millis(300), page.open(&seconds(30), &url)).await;
    assert!(dropped.is_err());
    assert_eq!(page.why_gone(), Some(Gone::GivenUp));
    page.close(&seconds(10)).await.unwrap();

    let page = context.new_page().await.unwrap();
    page.open(&seconds(10), &site.url("/fast")).await.unwrap();
    let text = "() => new Promise(r => setTimeout(() => r(document.body.textContent), 2000))";
    let text: String = page.evaluate(&seconds(10), "reading", text, &()).await.unwrap();
    assert_eq!(text, "fast", "the slow page came after all");
    drop((page, context));
    bench.close().await;
}

/// Chromium forgets that it was asked to close a page when a document arrives just then.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_closed_while_a_document_arrives_is_closed() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    site.page("/fast", "fast");
    site.on("/slow", Then::Slow(Duration::from_millis(100), "slow".into()));
    let context = bench.browser.new_context(None).await.unwrap();
    for millis in (100..126).step_by(2) {
        let page = context.new_page().await.unwrap();
        page.open(&seconds(20), &site.url("/fast")).await.unwrap();
        let (limit, url) = (seconds(20), site.url("/slow"));
        let opening = page.open(&limit, &url);
        let _ = tokio::time::timeout(Duration::from_millis(millis), opening).await;
        page.close(&seconds(10)).await.unwrap();
    }
    drop(context);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_the_site_opens_is_closed() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    site.page("/", "<button id=open onclick=\"window.open('/popup')\">open</button>");
    site.page("/popup", "popup");
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    page.open(&seconds(30), &site.url("/")).await.unwrap();
    page.click(&seconds(10), "#open").await.unwrap();
    // Another page is made and used meanwhile: it is not taken for the window.
    let other = context.new_page().await.unwrap();
    other.open(&seconds(10), &site.url("/")).await.unwrap();
    assert_eq!(bench.browser.open_pages(), 2);
    drop((page, other, context));
    bench.close().await;
}
