//! What is kept for a person: enough to judge, and no secret.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use archibald_browser::driver::Field;
use archibald_browser::erp::{ErpClient, Site as ErpSite};
use archibald_browser::page_map::PageMap;
use archibald_core::port::ArchibaldClient;
use archibald_core::record::Evidence;
use archibald_testing::data::password_of;
use archibald_testing::erp::{Behaviour, Fault};
use common::office::{Desk, Forever, Office, told};
use common::{Bench, Site, eventually, seconds};

fn text(evidence: &[Evidence], name: &str) -> String {
    let found = evidence.iter().find(|it| it.name == name);
    found.map(|it| String::from_utf8(it.bytes.clone()).unwrap()).unwrap_or_default()
}

fn names(evidence: &[Evidence]) -> Vec<&str> {
    evidence.iter().map(|it| it.name.as_str()).collect()
}

/// What must be nowhere in it, whatever form it has.
fn assert_without(evidence: &[Evidence], secrets: &[&str]) {
    for it in evidence {
        let bytes = String::from_utf8_lossy(&it.bytes);
        for secret in secrets {
            assert!(!bytes.contains(secret), "{secret:?} is in {}: {bytes}", it.name);
        }
    }
}

async fn cookies(client: &Desk, office: &Office) -> Vec<String> {
    let all = client.context.cookies(&seconds(10)).await.unwrap();
    assert!(all.len() >= 2, "session and ticket of {}", office.user);
    all.into_iter().map(|cookie| cookie.value).collect()
}

#[tokio::test]
async fn a_refused_order_leaves_picture_page_and_requests_without_a_secret() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let wanted = office.wanted(1);
    office.next("Order.aspx", "Save", Fault::Reject);
    let (outcome, reference) = desk.create(1, &wanted).await;
    assert_eq!(told(&outcome), "refused");
    let evidence = desk.client.capture().await;
    assert_eq!(names(&evidence), ["page", "screenshot", "requests"]);
    assert!(evidence[1].bytes.starts_with(b"\x89PNG"));
    let page = text(&evidence, "page");
    assert!(page.contains(&reference.replace('&', "&amp;")) && page.contains(&wanted.customer), "{page}");
    assert!(page.contains("characters)") && !page.contains("<script"), "hidden values are counted: {page}");
    let requests = text(&evidence, "requests");
    assert!(requests.contains("POST /Login.aspx (harmless): 302"), "{requests}");
    assert!(requests.contains("GET /Order.aspx (harmless): 200"), "{requests}");
    let mut secrets = cookies(&desk, &office).await;
    secrets.push(password_of(&office.user));
    assert_without(&evidence, &secrets.iter().map(String::as_str).collect::<Vec<_>>());
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn a_lost_answer_is_told_by_the_requests() {
    let office = Office::open().await;
    let desk = office.desk().await;
    office.next("Order.aspx", "Save", Fault::DropAfter);
    let (outcome, _) = desk.create(2, &office.wanted(1)).await;
    assert_eq!(told(&outcome), "lost");
    let requests = text(&desk.client.capture().await, "requests");
    let last = requests.lines().rfind(|line| line.contains("POST")).unwrap().to_owned();
    assert!(last.contains("POST /Order.aspx (write order.save): lost: "), "{requests}");
    // And one that hangs, by the request that has no end.
    office.erp.set_behaviour(Behaviour { latency: Duration::from_secs(60), ..office.erp.behaviour() });
    let hanging = tokio::time::timeout(Duration::from_millis(500), desk.client.read_order("20001"));
    assert!(hanging.await.is_err());
    let evidence = desk.client.capture().await;
    assert_eq!(names(&evidence), ["requests"], "the page was destroyed");
    let requests = text(&evidence, "requests");
    assert!(requests.contains("GET /Order.aspx?number=20001 (harmless): no answer yet"), "{requests}");
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn a_trace_tells_every_step_with_pictures_where_they_are_wanted_and_no_secret() {
    let office = Office::open().await;
    let desk = office.desk().await.with(ErpClient::with_pictures);
    let (outcome, reference) = desk.create(1, &office.wanted(2)).await;
    assert_eq!(told(&outcome), "done");
    let trace = desk.client.trace().await.unwrap();
    assert_eq!((trace.name.as_str(), trace.media_type.as_str()), ("trace", "text/html"));
    let html = text(std::slice::from_ref(&trace), "trace");
    let reference = reference.replace('&', "&amp;");
    let steps = ["opening a page", "filling a field", "a click to another page", &reference, "1201"];
    for told in
        steps.into_iter().chain(["POST /Order.aspx (write order.save)", "data:image/jpeg;base64,/9j/"])
    {
        assert!(html.contains(told), "{told:?} is not in {html}");
    }
    assert!(html.find(&reference).unwrap() < html.find("(write order.save)").unwrap(), "in order of time");
    assert!(!html.contains("/Login.aspx"), "the login was before: {html}");
    assert!(trace.bytes.len() < 4 << 20, "{} bytes", trace.bytes.len());
    let mut secrets = cookies(&desk, &office).await;
    secrets.push(password_of(&office.user));
    secrets.push("__VIEWSTATE".into());
    assert_without(&[trace], &secrets.iter().map(String::as_str).collect::<Vec<_>>());
    // The next one who uses the page begins anew, in words alone; also what cannot be had is told.
    let (site, context, user) = (office.site.clone(), desk.context.clone(), office.user.clone());
    let desk = desk.with(|client| ErpClient::new(site, context, client.into_page(), Arc::new(Forever), user));
    office.erp.set_behaviour(Behaviour { latency: Duration::from_secs(60), ..office.erp.behaviour() });
    let hanging = tokio::time::timeout(Duration::from_millis(500), desk.client.read_order("20001"));
    assert!(hanging.await.is_err());
    let html = text(&[desk.client.trace().await.unwrap()], "trace");
    assert!(
        html.contains("GET /Order.aspx?number=20001 (harmless)") && html.contains("<td>…</td>"),
        "{html}"
    );
    assert!(!html.contains("data:image") && !html.contains(&reference), "{html}");
    drop(desk);
    office.close().await;
}

/// Everything in which a page can carry a secret.
const NASTY: &str = r#"
<meta name="csrf-token" content="s3cret-meta"><!-- s3cret-comment -->
<script>const token = 's3cret-script';</script><noscript>s3cret-noscript</noscript>
<body data-auth-token="s3cret-attribute" onload="go('s3cret-handler')">
<form action="/(S(s3cret-address))/x?ReturnUrl=s3cret-0123456789abcdef">
<input type="hidden" name="__RequestVerificationToken" value="s3cret-hidden">
<input type="hidden" name="__VIEWSTATE" value="s3cret-viewstate">
<input type="password" id="password" value="s3cret-attribute-of-password">
<input type="text" id="shown_password" value="s3cret-shown"><textarea name="token">s3cret-area</textarea>
<input id="note"><select id="s"><option>one</option><option>two</option></select>
</form><p id="text">Benvenuto, c00kie-value, la password è hunter-pässword</p>"#;

#[tokio::test]
async fn a_page_full_of_secrets_is_kept_without_them() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let limit = seconds(20);
    site.page("/", NASTY);
    let context = Arc::new(bench.browser.new_context(None).await.unwrap());
    let page = context.new_page().await.unwrap();
    page.open(&limit, &site.url("/")).await.unwrap();
    let cookie = "() => { document.cookie = 'auth=c00kie-value'; }";
    page.evaluate::<Option<u8>>(&limit, "a cookie", cookie, &()).await.unwrap();
    for (selector, value) in [("#password", "s3cret-typed"), ("#note", "a note"), ("#s", "two")] {
        page.fill(&limit, Field { selector, value, posts_back: false }).await.unwrap();
    }
    let base = site.url("/").parse().unwrap();
    let erp = Arc::new(ErpSite::new(PageMap::simulator().unwrap(), base, Duration::from_secs(20)));
    let client = ErpClient::new(erp, Arc::clone(&context), page, Arc::new(Forever), "nancy".into())
        .hiding("hunter-pässword".into());
    let say = "() => { alert(`${document.cookie} hunter-pässword /(S(s3cret-session))/x`) }";
    client.page().evaluate::<Option<u8>>(&limit, "an alert", say, &()).await.unwrap();
    let note = Field { selector: "#note", value: "a note with c00kie-value", posts_back: false };
    client.page().fill(&limit, note).await.unwrap();
    let trace = client.trace().await.unwrap();
    let told = text(std::slice::from_ref(&trace), "trace");
    assert!(told.contains("auth=(removed) (removed) /(…)/x"), "{told}");
    assert!(told.contains("a note with (removed)"), "{told}");
    let evidence = client.capture().await;
    assert_eq!(names(&evidence), ["page", "screenshot", "dialogs"]);
    assert_without(&[trace], &["s3cret", "c00kie-value", "hunter-pässword"]);
    assert_without(&evidence[..2], &["s3cret", "c00kie-value", "hunter-pässword"]);
    let page = text(&evidence, "page");
    assert!(page.contains("a note") && page.contains("Benvenuto, (removed), la password"), "{page}");
    assert!(page.contains(r#"<option selected="">two"#), "{page}");
    assert!(!format!("{client:?}").contains("hunter"));
    drop((client, context));
    bench.close().await;
}

#[tokio::test]
async fn a_page_that_is_too_long_is_kept_in_part() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    site.page("/", "<p>tutto</p>");
    let context = Arc::new(bench.browser.new_context(None).await.unwrap());
    let page = context.new_page().await.unwrap();
    let limit = seconds(20);
    page.open(&limit, &site.url("/")).await.unwrap();
    let tall = "() => { document.body.append('parola '.repeat(200000)); }";
    page.evaluate::<Option<u8>>(&limit, "a long text", tall, &()).await.unwrap();
    let base = site.url("/").parse().unwrap();
    let erp = Arc::new(ErpSite::new(PageMap::simulator().unwrap(), base, Duration::from_secs(20)));
    let client = ErpClient::new(erp, Arc::clone(&context), page, Arc::new(Forever), "nancy".into());
    let evidence = client.capture().await;
    let media: Vec<_> = evidence.iter().map(|it| it.media_type.as_str()).collect();
    assert_eq!(media, ["text/html", "image/jpeg"]);
    assert!(evidence[0].bytes.len() < 600 * 1024 && evidence[1].bytes.len() <= 1024 * 1024);
    assert!(text(&evidence, "page").trim_end().ends_with("bytes)"));
    drop((client, context));
    bench.close().await;
}
