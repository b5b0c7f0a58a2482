//! The commit gate against a real Chromium and a site that drops answers.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use archibald_browser::driver::{Context, Page};
use archibald_browser::gate::{Fence, Gate, GateRules, SendOutcome, Why};
use archibald_core::error::FenceError;
use archibald_core::port::GateRefused;
use common::gated::{DONE, FORM, arm, every_fault_is_one_request, number, rules_of, sends_twice, status};
use common::{Bench, Site, Then, seconds};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn rules(site: &Site) -> Arc<GateRules> {
    rules_of(&site.url(""))
}

async fn gated(bench: &Bench, site: &Site) -> Context {
    bench.browser.new_context(Some(Gate::build(rules(site)).await.unwrap())).await.unwrap()
}

async fn form(context: &Context, site: &Site) -> Page {
    site.page("/Order.aspx", FORM);
    let page = context.new_page().await.unwrap();
    page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
    page
}

/// The reason for the gate: one click, two orders, and the page shows success.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_gate_a_dropped_answer_is_sent_twice() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    sends_twice(&bench, &site, &site.url("/Order.aspx")).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_map_says_to_skip_is_not_asked_for() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let skipping = GateRules::clone(&rules(&site)).skipping(&[".PNG".to_owned()].into());
    let context =
        bench.browser.new_context(Some(Gate::build(Arc::new(skipping)).await.unwrap())).await.unwrap();
    let body = "<img src=/a.png?v=1><img src=/b.gif><script src=/c.js></script><p id=number>1</p>";
    site.page("/Order.aspx", body);
    let page = context.new_page().await.unwrap();
    page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
    assert_eq!(number(&page).await, "1");
    let mut seen: Vec<_> = site.seen().into_iter().map(|seen| seen.path).collect();
    seen.retain(|path| path != "/favicon.ico");
    seen.sort();
    assert_eq!(seen, ["/Order.aspx", "/b.gif", "/c.js"]);
    assert_eq!(context.gate().unwrap().take_refusals(), []);
    drop((page, context));
    bench.close().await;
}

/// The process stood still behind the fence until a successor may have acted.
#[tokio::test(flavor = "multi_thread")]
async fn a_permit_that_is_over_sends_nothing() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    let page = form(&context, &site).await;
    let (armed, asked) = arm(&context, Duration::ZERO);
    page.click_through(&seconds(20), "#save").await.unwrap();
    let outcome = armed.outcome().await.unwrap();
    assert!(matches!(*outcome, SendOutcome::NotSent(_)), "{outcome:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(site.posts().len(), 0);
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_gate_every_fault_is_one_request_and_a_true_outcome() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    every_fault_is_one_request(&context, &site, &site.url("/Order.aspx")).await;
    drop(context);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_that_leaves_is_the_page_s_own() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    site.on(
        "/",
        Then::Raw(
            "HTTP/1.1 200 OK\r\nSet-Cookie: auth=s3cret; HttpOnly\r\nContent-Length: 2\r\n\r\nhi".into(),
        ),
    );
    let page = form(&context, &site).await;
    page.open(&seconds(20), &site.url("/")).await.unwrap();
    page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
    // A big view state, as the real ones are.
    let grow = "() => { document.querySelector('[name=__VIEWSTATE]').value = 'x'.repeat(700000) + 'é+/' }";
    page.evaluate::<()>(&seconds(5), "growing", grow, &()).await.unwrap();
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /View.aspx\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n";
    site.page("/View.aspx", DONE);
    site.next_post(Then::Raw(redirect.into()));
    let (armed, _) = arm(&context, Duration::from_secs(10));
    page.click_through(&seconds(20), "#save").await.unwrap();
    assert!(matches!(*armed.outcome().await.unwrap(), SendOutcome::Answered { status: 302 }));
    assert_eq!(number(&page).await, "20001");
    let post = site.posts().pop().unwrap();
    assert_eq!(post.headers["cookie"], "auth=s3cret");
    assert_eq!(post.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(post.headers["host"], format!("127.0.0.1:{}", site.port));
    assert!(post.headers["user-agent"].contains("Chrome"), "{:?}", post.headers);
    let fields: Vec<(String, String)> =
        url::form_urlencoded::parse(post.body.as_bytes()).into_owned().collect();
    let expected = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(fields[1], expected("__VIEWSTATE", &("x".repeat(700_000) + "é+/")));
    assert_eq!(fields[2], expected("Note", "perché"));
    assert_eq!(fields[3], expected("Save", "Save"));
    let mut cookies: Vec<_> =
        context.cookies(&seconds(5)).await.unwrap().into_iter().map(|it| it.name).collect();
    cookies.sort();
    assert_eq!(cookies, ["a", "auth", "b"]);
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_armed_for_is_refused_and_named() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    let page = form(&context, &site).await;
    let gate = context.gate().unwrap();
    let refused = |context: &Context| {
        let refusal = context.gate().unwrap().take_refusals().pop().unwrap();
        (refusal.page, refusal.control, refusal.why)
    };
    let order = |control: &str, why| ("order".to_owned(), control.to_owned(), why);

    page.click_through(&seconds(20), "#save").await.unwrap();
    assert_eq!(refused(&context), order("Save", Why::NotArmed));
    assert_eq!(status(&page).await, 403);

    page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
    page.click_through(&seconds(20), "#send").await.unwrap();
    assert_eq!(refused(&context), order("Send", Why::Unknown));

    // By script, too, and the armed write stays unused.
    page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
    let (armed, asked) = arm(&context, Duration::from_secs(5));
    for script in [
        "() => fetch('/Order.aspx', { method: 'POST', body: new URLSearchParams({ Send: 1 }) }).catch(() => 0)",
        "() => fetch('/Order.aspx', { method: 'POST', body: '{}' , keepalive: true }).catch(() => 0)",
        "() => navigator.sendBeacon('/Order.aspx', new URLSearchParams({ Save2: 1 }))",
        "() => new Promise(r => { const x = new XMLHttpRequest(); x.onloadend = r; x.open('POST', '/Else.aspx'); x.send('a=1') }).then(() => 0)",
    ] {
        page.evaluate::<serde_json::Value>(&seconds(10), "posting", script, &()).await.unwrap();
    }
    let mut refusals = 0;
    common::eventually("four refusals", || {
        refusals += gate.take_refusals().len();
        refusals == 4
    })
    .await;
    assert!(site.posts().is_empty());
    assert!(armed.outcome().await.is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 0);

    site.next_post(Then::Page(FORM.into()));
    page.click_through(&seconds(20), "#add").await.unwrap();
    assert_eq!(site.posts().len(), 1);
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_write_under_one_permit_is_refused() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    let page = form(&context, &site).await;
    site.next_post(Then::Slow(Duration::from_millis(300), DONE.into()));
    let (armed, asked) = arm(&context, Duration::from_secs(10));
    let twice = "() => { for (const i of [1, 2]) fetch('/Order.aspx', { method: 'POST', body: new URLSearchParams({ Save: 1 }) }).catch(() => 0) }";
    page.evaluate::<()>(&seconds(10), "posting twice", twice, &()).await.unwrap();
    common::eventually("one refusal", || {
        context.gate().unwrap().take_refusals().iter().any(|refusal| refusal.why == Why::Second)
    })
    .await;
    assert!(matches!(*armed.outcome().await.unwrap(), SendOutcome::Answered { .. }));
    assert_eq!((site.posts().len(), asked.load(Ordering::SeqCst)), (1, 1));
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_when_the_fence_stays_shut_or_the_site_is_down() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    let page = form(&context, &site).await;
    let fence: Fence = Box::new(|| Box::pin(async { Err(GateRefused(FenceError::Superseded)) }));
    let armed = context.gate().unwrap().arm("order.save", fence);
    page.click_through(&seconds(20), "#save").await.unwrap();
    assert!(matches!(*armed.outcome().await.unwrap(), SendOutcome::Fenced(_)));
    assert!(site.posts().is_empty());

    page.open(&seconds(20), &site.url("/Order.aspx")).await.unwrap();
    let (armed, _) = arm(&context, Duration::from_secs(5));
    drop(site);
    page.click_through(&seconds(20), "#save").await.unwrap();
    let outcome = armed.outcome().await.unwrap();
    assert!(matches!(*outcome, SendOutcome::NotSent(_)), "{outcome:?}");
    drop((page, context));
    bench.close().await;
}

/// Once the gate is open nothing stops the request, and its outcome is told: not a dropped caller, not a
/// page that is closed under it.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_gate_is_not_shut_by_who_leaves() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    let page = form(&context, &site).await;
    site.next_post(Then::Slow(Duration::from_millis(800), DONE.into()));
    let (armed, _) = arm(&context, Duration::from_secs(10));
    let limit = seconds(20);
    tokio::select! {
        clicked = page.click_through(&limit, "#save") => panic!("{clicked:?}"),
        () = common::eventually("the request arrives", || site.posts().len() == 1) => {}
    }
    page.close(&seconds(10)).await.unwrap();
    let outcome = armed.outcome().await.unwrap();
    assert!(matches!(*outcome, SendOutcome::Answered { status: 200 }), "{outcome:?}");
    assert_eq!(site.posts().len(), 1);
    drop(context);
    bench.close().await;
}

/// A page that broke off half way would read like a list that is short.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_page_is_no_page() {
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let context = gated(&bench, &site).await;
    let page = context.new_page().await.unwrap();
    page.open(&seconds(20), &site.on("/", Then::Truncate).url("/")).await.unwrap();
    assert_eq!(status(&page).await, 502);
    drop((page, context));
    bench.close().await;
}

/// The journal says "intended" and so "not sent": that must hold however the process dies. This engine
/// outlives its owner, and holding the request by the debugging protocol would let it go here.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_write_is_not_sent_by_an_engine_that_outlives_its_owner() {
    let site = Site::start().await;
    site.page("/Order.aspx", FORM);
    let profiles = tempfile::tempdir().unwrap();
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner_of_a_held_write", "--ignored", "--nocapture"])
        .env("PROFILES", profiles.path())
        .env("SITE_PORT", site.port.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    common::eventually("the write is held", || profiles.path().join("held").exists()).await;
    owner.kill().unwrap();
    owner.wait().unwrap();
    // Without its debugger the engine disposes of the context, and so of the page and what it would send.
    let pages = || common::processes_of(profiles.path()).iter().any(|it| it.contains("--type=renderer"));
    common::eventually("the page is gone", || !pages()).await;
    assert!(site.posts().is_empty());
    let swept = archibald_browser::launch::sweep(profiles.path());
    assert_eq!((swept.removed, swept.ended), (1, 1), "the engine did not outlive its owner");
    common::eventually("the engine is gone", || common::processes_of(profiles.path()).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in a process of its own"]
async fn owner_of_a_held_write() {
    let profiles = std::path::PathBuf::from(std::env::var_os("PROFILES").unwrap());
    let port: u16 = std::env::var("SITE_PORT").unwrap().parse().unwrap();
    let engine = archibald_browser::launch::Engine::find().unwrap().path;
    let outliving =
        profiles.join(if engine.to_string_lossy().contains("headless") { "headless" } else { "whole" });
    let script = format!("#!/bin/sh\nexec setpriv --pdeathsig clear {} \"$@\"\n", engine.display());
    std::fs::write(&outliving, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&outliving, executable).unwrap();
    let options = archibald_browser::launch::LaunchOptions {
        engine: Some(outliving),
        profiles: profiles.clone(),
        ..Default::default()
    };
    let browser = archibald_browser::driver::Browser::launch(&options).await.unwrap();
    let site = format!("http://127.0.0.1:{port}");
    let gate = Gate::build(rules_of(&site)).await.unwrap();
    let context = browser.new_context(Some(gate)).await.unwrap();
    let page = context.new_page().await.unwrap();
    page.open(&seconds(20), &format!("{site}/Order.aspx")).await.unwrap();
    let fence: Fence = Box::new(move || {
        std::fs::write(profiles.join("held"), "").unwrap();
        Box::pin(std::future::pending())
    });
    let _armed = context.gate().unwrap().arm("order.save", fence);
    let _ = page.click_through(&seconds(60), "#save").await;
}
