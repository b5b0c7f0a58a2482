//! The commit gate before a site that speaks TLS, with a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use archibald_browser::driver::{Context, Cookie, DriverError, Page};
use archibald_browser::gate::{Gate, GateRefusal, GateRules, SendOutcome, Tls, Why};
use common::gated::{DONE, FORM, arm, every_fault_is_one_request, number, rules_of, sends_twice, status};
use common::tls::{Authority, Front};
use common::{Bench, Site, Then, seconds};

/// A site behind TLS, a gate that believes its authority, and a browser that knows the gate.
struct Secure {
    authority: Authority,
    site: Site,
    front: Front,
    rules: Arc<GateRules>,
    bench: Bench,
}

impl Secure {
    async fn open() -> Self {
        let (authority, site) = (Authority::new(), Site::start().await);
        let front = Front::before(&site.url(""), authority.vouches_for("127.0.0.1")).await;
        site.page("/Order.aspx", FORM);
        let tls = Tls::new(&front.url("/").parse().unwrap(), Some(authority.file())).unwrap();
        let bench = Bench::with_keys(vec![tls.key().to_owned()]).await;
        let rules = GateRules::clone(&rules_of(&front.url("/"))).over_tls(Arc::new(tls));
        Self { authority, site, front, rules: Arc::new(rules), bench }
    }

    async fn context(&self) -> Context {
        let gate = Gate::build(Arc::clone(&self.rules)).await.unwrap();
        self.bench.browser.new_context(Some(gate)).await.unwrap()
    }

    async fn form(&self, context: &Context) -> Page {
        let page = context.new_page().await.unwrap();
        page.open(&seconds(20), &self.front.url("/Order.aspx")).await.unwrap();
        page
    }

    /// A form that came while all was well, and what becomes of its save since something changed.
    async fn save(&self, changed: impl FnOnce(&Front), budget: Duration) -> Arc<SendOutcome> {
        self.front.shows(&self.authority.vouches_for("127.0.0.1"));
        let context = self.context().await;
        let page = self.form(&context).await;
        changed(&self.front);
        let (armed, asked) = arm(&context, budget);
        page.click_through(&seconds(20), "#save").await.unwrap();
        let outcome = armed.outcome().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        outcome
    }
}

async fn text(page: &Page) -> String {
    page.evaluate(&seconds(5), "reading", "() => document.body.textContent", &()).await.unwrap()
}

/// TLS does not keep Chromium from sending a save twice by itself.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_gate_a_dropped_answer_is_sent_twice_over_tls_too() {
    let (authority, site) = (Authority::new(), Site::start().await);
    let shown = authority.vouches_for("127.0.0.1").only_http1();
    let bench = Bench::with_keys(vec![shown.key()]).await;
    let front = Front::before(&site.url(""), shown).await;
    sends_twice(&bench, &site, &front.url("/Order.aspx")).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_every_fault_is_one_request_and_a_true_outcome() {
    let secure = Secure::open().await;
    let shown = secure.authority.vouches_for("127.0.0.1");
    for shown in [shown.clone(), shown.only_tls12()] {
        secure.front.shows(&shown);
        let context = secure.context().await;
        every_fault_is_one_request(&context, &secure.site, &secure.front.url("/Order.aspx")).await;
    }
    secure.bench.close().await;
}

/// What a page, its cookies and its requests are over TLS, they are behind the gate.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_secure_cookies_are_as_they_would_be_without_a_gate() {
    let secure = Secure::open().await;
    let (site, front) = (&secure.site, &secure.front);
    let host = front.url("").trim_start_matches("https://").to_owned();
    let cookies = "Set-Cookie: auth=s3cret; Secure; HttpOnly\r\nSet-Cookie: __Host-id=7; Secure; Path=/\r\n";
    let strict = "Strict-Transport-Security: max-age=60\r\n";
    site.on("/", Then::Raw(format!("HTTP/1.1 200 OK\r\n{cookies}{strict}Content-Length: 2\r\n\r\nhi")));
    let context = secure.context().await;
    let page = context.new_page().await.unwrap();
    page.open(&seconds(20), &front.url("/")).await.unwrap();
    page.open(&seconds(20), &front.url("/Order.aspx")).await.unwrap();
    let seen = "() => [location.protocol, window.isSecureContext, document.cookie].join(' ')";
    let seen: String = page.evaluate(&seconds(5), "looking", seen, &()).await.unwrap();
    assert_eq!(seen, "https: true __Host-id=7");

    let away =
        format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", front.url("/View.aspx"));
    site.page("/View.aspx", DONE).next_post(Then::Raw(away));
    let (armed, _) = arm(&context, Duration::from_secs(10));
    page.click_through(&seconds(20), "#save").await.unwrap();
    assert!(matches!(*armed.outcome().await.unwrap(), SendOutcome::Answered { status: 302 }));
    assert_eq!(number(&page).await, "20001");
    let post = site.posts().pop().unwrap();
    assert_eq!(post.headers["host"], host);
    assert_eq!(post.headers["origin"], front.url(""));
    assert_eq!(post.headers["referer"], front.url("/Order.aspx"));
    let mut sent: Vec<_> = post.headers["cookie"].split("; ").collect();
    sent.sort_unstable();
    assert_eq!(sent, ["__Host-id=7", "auth=s3cret"]);

    // As a session that is kept over a restart comes back.
    let kept = context.cookies(&seconds(5)).await.unwrap();
    assert!(kept.len() == 2 && kept.iter().all(|cookie| cookie.secure), "{kept:?}");
    let restored = secure.context().await;
    restored.set_cookies(&seconds(5), &kept).await.unwrap();
    secure.form(&restored).await;
    let last = site.seen().into_iter().rfind(|seen| seen.path == "/Order.aspx").unwrap();
    let mut sent: Vec<_> = last.headers["cookie"].split("; ").collect();
    sent.sort_unstable();
    assert_eq!(sent, ["__Host-id=7", "auth=s3cret"]);
    drop((page, context, restored));
    secure.bench.close().await;
}

/// Of a host with a name a cookie has a domain or is for that host alone, and `__Host-` cookies are the latter.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_for_one_host_alone_are_restored_like_any_other() {
    let bench = Bench::launch().await;
    let cookie = |name: &str, domain: &str| Cookie {
        name: name.into(),
        value: "1".into(),
        domain: domain.into(),
        path: "/".into(),
        http_only: true,
        secure: true,
    };
    let context = bench.browser.new_context(None).await.unwrap();
    let kept = [cookie("__Host-id", "www.erp.test"), cookie("auth", ".erp.test")];
    context.set_cookies(&seconds(5), &kept).await.unwrap();
    let mut cookies = context.cookies(&seconds(5)).await.unwrap();
    cookies.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(cookies, kept);
    drop(context);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_prove_to_be_the_erp_gets_nothing() {
    let secure = Secure::open().await;
    let (authority, stranger) = (&secure.authority, Authority::new());
    let cases = [
        (stranger.vouches_for("127.0.0.1"), "comes from no authority that is trusted here"),
        (authority.vouches_for("other.test"), "is for another host: its names are "),
        (authority.vouched_long_ago_for("127.0.0.1"), "has expired at 2002-01-01T00:00:00"),
    ];
    for (shown, wrong) in cases {
        let before = secure.site.seen().len();
        let outcome = secure.save(|front| front.shows(&shown), Duration::from_secs(10)).await;
        let SendOutcome::NotSent(why) = &*outcome else { panic!("{outcome:?}") };
        assert!(why.starts_with("the certificate of 127.0.0.1 ") && why.contains(wrong), "{why}");
        assert_eq!(secure.site.posts().len(), 0, "{wrong}");
        // Of reading, too, and the page says why.
        let context = secure.context().await;
        let page = secure.form(&context).await;
        assert_eq!(status(&page).await, 502);
        let said = text(&page).await;
        assert!(said.contains("the certificate of 127.0.0.1") && said.contains(wrong), "{said}");
        let seen = secure.site.seen();
        let form = seen[before..].iter().filter(|seen| seen.path == "/Order.aspx").count();
        assert_eq!(form, 1, "only what came before the certificate was another one");
    }
    secure.bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_fails_sends_nothing_and_a_connection_lost_after_it_may_have() {
    let secure = Secure::open().await;
    let not_sent = |outcome: &SendOutcome, wanted: &str| match outcome {
        SendOutcome::NotSent(why) => assert!(why.contains(wanted), "{why}"),
        other => panic!("{other:?}"),
    };
    not_sent(&*secure.save(Front::cuts, Duration::from_secs(10)).await, "127.0.0.1");
    let silent = secure.save(Front::is_silent, Duration::from_secs(1)).await;
    not_sent(&silent, "no TLS handshake with 127.0.0.1");
    // The permit is over before the first byte.
    let late = secure.save(|_| {}, Duration::ZERO).await;
    not_sent(&late, "127.0.0.1");
    assert!(secure.site.posts().is_empty());

    secure.site.next_post(Then::Drop);
    let dropped = secure.save(|_| {}, Duration::from_secs(10)).await;
    assert!(matches!(*dropped, SendOutcome::Lost(_)), "{dropped:?}");
    assert_eq!(secure.site.posts().len(), 1);
    secure.bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_site_s_is_refused_and_named() {
    let secure = Secure::open().await;
    let (site, front) = (&secure.site, &secure.front);
    let context = secure.context().await;
    let page = secure.form(&context).await;
    let before = site.seen().len();
    let plain = site.url("/Order.aspx");
    let others = format!("https://127.0.0.1:{}/x.js", site.port);
    for address in ["https://fonts.test/a.css", others.as_str(), plain.as_str()] {
        let fetched = "(address) => fetch(address, { mode: 'no-cors' }).then((a) => a.type, () => 'nothing')";
        let fetched: String = page.evaluate(&seconds(10), "fetching", fetched, &address).await.unwrap();
        assert!(["nothing", "opaque"].contains(&fetched.as_str()), "{fetched}");
    }
    let sockets = [front.url("/socket").replacen("https", "wss", 1), "wss://sockets.test/".to_owned()];
    for address in sockets {
        let opened = "(address) => new Promise((done) => { const it = new WebSocket(address);
            it.onopen = () => done(true); it.onerror = () => done(false) })";
        let opened: bool = page.evaluate(&seconds(10), "opening", opened, &address).await.unwrap();
        assert!(!opened, "{address}");
    }
    let refusals = context.gate().unwrap().take_refusals();
    assert!(refusals.iter().all(|refusal| refusal.why == Why::Foreign), "{refusals:?}");
    let mut refused: Vec<_> = refusals.into_iter().map(|refusal| refusal.page).collect();
    refused.dedup();
    let wanted =
        ["https://fonts.test/", &others.replace("/x.js", "/"), "https://sockets.test/"].map(String::from);
    // Chromium does not ask for what is in plain text from a page that came over TLS, or the gate refuses it.
    refused.retain(|page| *page != plain);
    assert_eq!(refused, wanted);
    assert_eq!(site.seen()[before..].iter().filter(|seen| seen.path != "/favicon.ico").count(), 0);
    let passed: Vec<_> = context.gate().unwrap().requests().iter().map(ToString::to_string).collect();
    let foreign = |line: &&String| line.contains("CONNECT https://fonts.test/ (foreign): refused");
    assert!(passed.iter().any(|line| foreign(&line)), "{passed:?}");

    // The ERP itself in plain text is another site.
    page.open(&seconds(20), &plain).await.unwrap();
    assert_eq!(status(&page).await, 403);
    let refusals = context.gate().unwrap().take_refusals();
    let refused = |refusal: &GateRefusal| refusal.page == plain && refusal.why == Why::Foreign;
    assert!(refusals.iter().any(refused), "{refusals:?}");
    let error = page.open(&seconds(20), "https://elsewhere.test/").await.unwrap_err();
    assert!(matches!(error, DriverError::Navigation { .. }), "{error}");
    drop((page, context));
    secure.bench.close().await;
}

/// The key is for this gate's browser alone, and a gate that was not told how speaks no TLS.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_was_not_told_of_the_gate_does_not_take_it_for_the_erp() {
    let secure = Secure::open().await;
    let bench = Bench::launch().await;
    let gate = Gate::build(Arc::clone(&secure.rules)).await.unwrap();
    let context = bench.browser.new_context(Some(gate)).await.unwrap();
    let page = context.new_page().await.unwrap();
    let error = page.open(&seconds(20), &secure.front.url("/Order.aspx")).await.unwrap_err();
    assert!(error.to_string().contains("ERR_CERT"), "{error}");
    assert!(secure.site.seen().is_empty());
    let error = Gate::build(rules_of(&secure.front.url("/"))).await.unwrap_err();
    assert!(error.to_string().contains("over_tls"), "{error}");
    drop((page, context));
    bench.close().await;
    secure.bench.close().await;
}
