//! Files that a site hands out, with a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use archibald_browser::driver::{Context, DownloadProblem, DriverError, Gone, Page};
use archibald_browser::gate::{Gate, Why};
use common::gated::{FORM, rules_of, status};
use common::{Bench, Site, Then, eventually, eventually_so, seconds};

/// More than any file of these tests has.
const ENOUGH: u64 = 1 << 20;

const LINKS: &str = r#"<a id=csv href=/ordini.csv>csv</a>
    <a id=window href=/ordini.csv target=_blank>a window</a>
    <button id=opened onclick="window.open('/ordini.csv')">another</button>
    <button id=frame onclick="document.body.append(Object.assign(document.createElement('iframe'), { src: '/ordini.csv' }))">a frame</button>
    <button id=made onclick="const it = document.createElement('a'); it.download = 'made.txt';
        it.href = window.URL.createObjectURL(new Blob(['made here'])); it.click()">made</button>
    <button id=two onclick="for (const path of ['/ordini.csv', '/other.csv'])
        document.body.append(Object.assign(document.createElement('iframe'), { src: path }))">two</button>
    <button id=asks onclick="if (confirm('Esportare?')) location = '/ordini.csv'">asks</button>
    <button id=asks-late onclick="setTimeout(() => confirm('Tardi?'), 50)">asks late</button>
    <button id=both onclick="window.open('/login'); location = '/slow'">both</button>
    <a id=dead href=/dead target=_blank>dead</a><a id=login href=/login>login</a><a id=login-window href=/login target=_blank>login</a><a id=half href=/half>half</a><a id=hang href=/hang>hang</a>
    <a id=endless href=/endless>endless</a><button id=nothing>nothing</button>"#;

fn attachment(disposition: &str, body: &str) -> Then {
    Then::Raw(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Disposition: {disposition}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A browser, and a site that hands out files in every way.
async fn with_files() -> (Bench, Site) {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    site.page("/", LINKS).page("/login", "<p>Who are you?</p>");
    site.on(
        "/ordini.csv",
        attachment("attachment; filename=\"ordini.csv\"", "number;date\n20001;2026-05-04\n"),
    );
    site.on("/other.csv", attachment("attachment; filename=\"other.csv\"", "other"));
    site.on(
        "/half",
        Then::Cut(
            "HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 99\r\n\r\nhalf".into(),
        ),
    );
    site.on("/hang", Then::Hang).on("/dead", Then::Drop);
    site.on("/slow", Then::Slow(Duration::from_millis(800), "<p>slow</p>".into()));
    site.on("/endless", Then::Endless("HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\n\r\n".into()));
    (bench, site)
}

async fn opened(context: &Context, site: &Site) -> Page {
    let page = context.new_page().await.unwrap();
    page.open(&seconds(20), &site.url("/")).await.unwrap();
    page
}

/// What is on the disk of any file, wherever the engine may write.
fn kept(bench: &Bench) -> Vec<PathBuf> {
    fn walk(folder: &Path, is_ours: bool, kept: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                walk(&path, is_ours || name == "downloads", kept);
            } else if is_ours || name.contains(".csv") || name.ends_with(".crdownload") {
                kept.push(path);
            }
        }
    }
    let mut all = Vec::new();
    walk(bench.profiles(), false, &mut all);
    all
}

/// What was given up goes as soon as Chromium has heard of it.
async fn nothing_is_kept(bench: &Bench) {
    eventually("no file is left", || kept(bench).is_empty()).await;
}

async fn no_window_is_left(page: &Page) {
    let only_the_page = async || {
        let all = page.command(&seconds(10), "Target.getTargets", serde_json::json!({})).await.unwrap();
        let targets = all["targetInfos"].as_array().unwrap();
        targets.iter().filter(|it| it["type"] == "page").count() == 1
    };
    eventually_so("no window is left", only_the_page).await;
}

fn problem(error: DriverError) -> DownloadProblem {
    match error {
        DriverError::Download { problem } => problem,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_brings_a_file_however_the_site_hands_it_out() {
    let (bench, site) = with_files().await;
    let context = bench.browser.new_context(None).await.unwrap();
    let page = opened(&context, &site).await;
    for selector in ["#csv", "#window", "#opened", "#frame", "#csv"] {
        let file = page.download(&seconds(20), selector, ENOUGH).await;
        let file = file.unwrap_or_else(|error| panic!("{selector}: {error}"));
        assert_eq!(file.name, "ordini.csv", "{selector}");
        assert_eq!(file.bytes, b"number;date\n20001;2026-05-04\n", "{selector}");
    }
    let made = page.download(&seconds(20), "#made", ENOUGH).await.unwrap();
    assert_eq!((made.name.as_str(), made.bytes.as_slice()), ("made.txt", &b"made here"[..]));
    // Of two, whichever comes first.
    let either = page.download(&seconds(20), "#two", ENOUGH).await.unwrap();
    assert!(["ordini.csv", "other.csv"].contains(&either.name.as_str()), "{either:?}");
    // The page is where it was.
    page.click_through(&seconds(20), "#login").await.unwrap();
    no_window_is_left(&page).await;
    nothing_is_kept(&bench).await;
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_instead_of_the_file_is_told_and_the_page_lives_on() {
    let (bench, site) = with_files().await;
    let context = bench.browser.new_context(None).await.unwrap();
    let page = opened(&context, &site).await;
    let refused = problem(page.download(&seconds(20), "#csv", 10).await.unwrap_err());
    assert!(matches!(refused, DownloadProblem::TooLarge { most: 10 }), "{refused}");
    let half = problem(page.download(&seconds(20), "#half", ENOUGH).await.unwrap_err());
    assert!(matches!(half, DownloadProblem::Ended), "{half}");
    let missing = page.download(&seconds(5), "#missing", ENOUGH).await.unwrap_err();
    assert!(matches!(missing, DriverError::Element { .. }), "{missing}");
    for selector in ["#login-window", "#login"] {
        let login = problem(page.download(&seconds(20), selector, ENOUGH).await.unwrap_err());
        assert!(matches!(&login, DownloadProblem::Page(url) if *url == site.url("/login")), "{login}");
        no_window_is_left(&page).await;
    }
    // What else came of the click has landed by then.
    page.open(&seconds(20), &site.url("/")).await.unwrap();
    let both = problem(page.download(&seconds(20), "#both", ENOUGH).await.unwrap_err());
    assert!(matches!(both, DownloadProblem::Page(_)), "{both}");
    assert_eq!(page.state(&seconds(10)).await.unwrap().url, site.url("/slow"));
    page.open(&seconds(20), &site.url("/")).await.unwrap();
    let dead = page.download(&seconds(20), "#dead", ENOUGH).await.unwrap_err();
    assert!(matches!(&dead, DriverError::Navigation { url, .. } if *url == site.url("/dead")), "{dead}");
    page.open(&seconds(20), &site.url("/")).await.unwrap();
    assert_eq!(page.download(&seconds(20), "#csv", ENOUGH).await.unwrap().name, "ordini.csv");
    for (selector, question) in [("#asks", "Esportare?"), ("#asks-late", "Tardi?")] {
        let page = opened(&context, &site).await;
        let asks = page.download(&seconds(20), selector, ENOUGH).await.unwrap_err();
        assert!(matches!(&asks, DriverError::Question { text } if text == question), "{asks}");
        assert_eq!(page.why_gone(), Some(Gone::GivenUp));
    }
    nothing_is_kept(&bench).await;
    drop((page, context));
    bench.close().await;
}

/// A file without an end is given up as soon as it is too large, and nothing of it is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_an_end_is_given_up() {
    let (bench, site) = with_files().await;
    let context = bench.browser.new_context(None).await.unwrap();
    let page = opened(&context, &site).await;
    let endless = problem(page.download(&seconds(30), "#endless", ENOUGH).await.unwrap_err());
    assert!(matches!(endless, DownloadProblem::TooLarge { most: ENOUGH }), "{endless}");
    nothing_is_kept(&bench).await;
    assert_eq!(page.download(&seconds(20), "#csv", ENOUGH).await.unwrap().name, "ordini.csv");
    drop((page, context));
    bench.close().await;
}

/// Who has waited long enough, or is dropped, leaves no page that a file could still come to, and no file.
#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_leaves_nothing() {
    let (bench, site) = with_files().await;
    let context = bench.browser.new_context(None).await.unwrap();
    for selector in ["#hang", "#nothing"] {
        let page = opened(&context, &site).await;
        let late = page.download(&seconds(5), selector, ENOUGH).await.unwrap_err();
        assert!(
            matches!(late, DriverError::Timeout { what: "waiting for a file", .. }),
            "{selector}: {late}"
        );
        assert_eq!(page.why_gone(), Some(Gone::GivenUp), "{selector}");
    }
    let page = opened(&context, &site).await;
    let limit = seconds(30);
    tokio::select! {
        done = page.download(&limit, "#endless", u64::MAX) => panic!("{done:?}"),
        () = eventually("a part of it is there", || !kept(&bench).is_empty()) => {}
    }
    assert_eq!(page.why_gone(), Some(Gone::GivenUp));
    nothing_is_kept(&bench).await;
    // The next one in this context gets its own.
    let page = opened(&context, &site).await;
    assert_eq!(page.download(&seconds(20), "#csv", ENOUGH).await.unwrap().name, "ordini.csv");
    drop((page, context));
    bench.close().await;
}

/// One agent's files are not another's, also at the same moment; who awaits none gets none.
#[tokio::test(flavor = "multi_thread")]
async fn each_context_gets_its_own_file_and_nobody_one_unasked() {
    let (bench, site) = with_files().await;
    let (nancy, andrew, janet) = (
        bench.browser.new_context(None).await.unwrap(),
        bench.browser.new_context(None).await.unwrap(),
        bench.browser.new_context(None).await.unwrap(),
    );
    let (one, two, three) =
        (opened(&nancy, &site).await, opened(&andrew, &site).await, opened(&janet, &site).await);
    site.page("/andrew", "<a id=own href=/other.csv>own</a>");
    two.open(&seconds(20), &site.url("/andrew")).await.unwrap();
    let (first, second) = (seconds(20), seconds(20));
    let (first, second, unasked) =
        tokio::join!(one.download(&first, "#csv", ENOUGH), two.download(&second, "#own", ENOUGH), async {
            three.click(&seconds(20), "#csv").await
        },);
    assert_eq!(first.unwrap().name, "ordini.csv");
    assert_eq!(second.unwrap().bytes, b"other");
    unasked.unwrap();
    eventually("it was asked for", || site.seen().iter().filter(|it| it.path == "/ordini.csv").count() == 2)
        .await;
    three.click_through(&seconds(20), "#login").await.unwrap();
    nothing_is_kept(&bench).await;
    drop((one, two, three, nancy, andrew, janet));
    bench.close().await;
}

/// The pages of a context take turns, and what one hands out unasked meanwhile is sent away.
#[tokio::test(flavor = "multi_thread")]
async fn two_pages_of_a_context_take_turns() {
    let (bench, site) = with_files().await;
    site.page("/two", "<a id=own href=/other.csv>own</a><a id=hang href=/hang>hang</a>");
    let context = bench.browser.new_context(None).await.unwrap();
    let (one, three) = (opened(&context, &site).await, opened(&context, &site).await);
    let two = context.new_page().await.unwrap();
    two.open(&seconds(20), &site.url("/two")).await.unwrap();
    let (first, second) = (seconds(20), seconds(20));
    let (first, second) =
        tokio::join!(one.download(&first, "#csv", ENOUGH), two.download(&second, "#own", ENOUGH));
    assert_eq!((first.unwrap().name, second.unwrap().name), ("ordini.csv".into(), "other.csv".into()));
    let (short, long) = (seconds(10), seconds(30));
    let asked = |path: &str| site.seen().iter().filter(|it| it.path == path).count();
    let before = asked("/other.csv");
    let (hanging, waiting, unasked) = tokio::join!(
        async {
            let hanging = one.download(&short, "#hang", ENOUGH).await;
            assert_eq!(asked("/other.csv"), before, "it is not yet the other's turn");
            hanging
        },
        async {
            eventually("it waits", || asked("/hang") == 1).await;
            two.download(&long, "#own", ENOUGH).await
        },
        async {
            eventually("it waits", || asked("/hang") == 1).await;
            three.click(&seconds(20), "#csv").await
        },
    );
    assert_eq!(waiting.unwrap().name, "other.csv");
    unasked.unwrap();
    assert!(matches!(hanging.unwrap_err(), DriverError::Timeout { .. }));
    nothing_is_kept(&bench).await;
    drop((one, two, three, context));
    bench.close().await;
}

/// The road of a file is the road of all: what the map calls harmless brings one, what it does not know none, half
/// a file is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_through_the_gate() {
    let (bench, site) = with_files().await;
    site.page("/Order.aspx", FORM);
    let gate = Gate::build(rules_of(&site.url(""))).await.unwrap();
    let context = bench.browser.new_context(Some(gate)).await.unwrap();
    let page = opened(&context, &site).await;
    assert_eq!(page.download(&seconds(20), "#csv", ENOUGH).await.unwrap().name, "ordini.csv");
    // Half a file is none, also where it would end with the connection.
    let unframed = "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Disposition: Attachment\r\n\r\nA1;";
    site.on("/hang", Then::Cut(unframed.into()));
    for selector in ["#half", "#hang"] {
        let page = opened(&context, &site).await;
        let half = problem(page.download(&seconds(20), selector, ENOUGH).await.unwrap_err());
        assert!(matches!(half, DownloadProblem::Gate(_)), "{half}");
        assert_eq!(status(&page).await, 502);
    }
    page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
    // An export of this kind of site: the form is posted, and the answer is a file.
    site.next_post(attachment("attachment; filename=righe.csv", "A1;3\n"));
    assert_eq!(page.download(&seconds(20), "#add", ENOUGH).await.unwrap().bytes, b"A1;3\n");
    let sent = site.posts().len();
    for (selector, why) in [("#send", Why::Unknown), ("#save", Why::NotArmed)] {
        page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
        let refused = problem(page.download(&seconds(20), selector, ENOUGH).await.unwrap_err());
        assert!(matches!(refused, DownloadProblem::Gate(_)), "{selector}: {refused}");
        let refusals = context.gate().unwrap().take_refusals();
        assert_eq!(refusals.iter().map(|it| it.why).collect::<Vec<_>>(), [why], "{selector}");
    }
    assert_eq!(site.posts().len(), sent);
    drop((page, context));
    bench.close().await;
}
