//! Browsers and pages that die, hang or are killed with their owner.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use archibald_browser::driver::{DriverError, Gone};
use archibald_browser::launch::{EngineProcess, LaunchError, LaunchOptions, sweep};
use common::{Bench, assert_nothing_left, eventually, processes_of, seconds};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const FOREVER: &str = "() => new Promise(() => {})";

fn pid(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_browser_fails_a_call_within_its_deadline() {
    let bench = Bench::launch().await;
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    killpg(pid(bench.browser.pid()), Signal::SIGSTOP).unwrap();
    let began = Instant::now();
    let limit = seconds(1);
    let (version, evaluated) =
        tokio::join!(bench.browser.version(&limit), page.evaluate::<u8>(&limit, "counting", "() => 1", &()));
    assert!(matches!(version, Err(DriverError::Timeout { .. })), "{version:?}");
    assert!(matches!(evaluated, Err(DriverError::Timeout { .. })), "{evaluated:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // And it is noticed without a caller.
    tokio::time::timeout(Duration::from_secs(30), bench.browser.dead().cancelled()).await.unwrap();
    assert!(bench.browser.why_dead().to_string().contains("did not answer"));
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_browser_fails_what_is_pending_at_once() {
    let bench = Bench::launch().await;
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    let limit = seconds(60);
    let pending = page.evaluate::<()>(&limit, "waiting", FOREVER, &());
    let killed = async { kill(pid(bench.browser.pid()), Signal::SIGKILL).unwrap() };
    let began = Instant::now();
    let (pending, ()) = tokio::join!(pending, killed);
    assert!(matches!(pending, Err(DriverError::BrowserLost { .. })), "{pending:?}");
    let later = bench.browser.version(&limit).await;
    assert!(matches!(later, Err(DriverError::BrowserLost { .. })), "{later:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_page_fails_what_is_pending_and_the_context_lives_on() {
    let bench = Bench::launch().await;
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    let limit = seconds(60);
    let pending = page.evaluate::<()>(&limit, "waiting", FOREVER, &());
    let crash = async {
        let short = seconds(5);
        let _ = page.open(&short, "chrome://crash").await;
    };
    let began = Instant::now();
    let (pending, ()) = tokio::join!(pending, crash);
    assert!(matches!(pending, Err(DriverError::PageGone { why: Gone::Crashed })), "{pending:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    page.close(&limit).await.unwrap();
    let page = context.new_page().await.unwrap();
    assert_eq!(page.evaluate::<u8>(&limit, "counting", "() => 1 + 1", &()).await.unwrap(), 2);
    drop((page, context));
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_creation_leaks_nothing() {
    let bench = Bench::launch().await;
    let context = bench.browser.new_context(None).await.unwrap();
    for millis in [0, 1, 5, 20, 60] {
        let pause = Duration::from_millis(millis);
        let _ = tokio::time::timeout(pause, context.new_page()).await;
        let _ = tokio::time::timeout(pause, bench.browser.new_context(None)).await;
    }
    eventually("no page is left", || bench.browser.open_pages() == 0).await;
    drop(context);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_leaves_nothing() {
    let profiles = tempfile::tempdir().unwrap();
    let options = LaunchOptions { profiles: profiles.path().into(), ..LaunchOptions::default() };
    for millis in [0, 5, 30] {
        let start = EngineProcess::start(&options);
        let _ = tokio::time::timeout(Duration::from_millis(millis), start).await;
    }
    eventually("nothing is left", || {
        processes_of(profiles.path()).is_empty() && profiles.path().read_dir().unwrap().count() == 0
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_ends_at_once_says_so() {
    let profiles = tempfile::tempdir().unwrap();
    let options = LaunchOptions {
        profiles: profiles.path().into(),
        engine: Some("/bin/false".into()),
        ..LaunchOptions::default()
    };
    let error = EngineProcess::start(&options).await.unwrap_err();
    assert!(matches!(error, LaunchError::Ended { .. }), "{error}");
    assert_nothing_left(profiles.path());
}

/// The test runs itself again as the owner of an engine, and kills it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_takes_its_engine_along_and_the_sweep_removes_the_profile() {
    let profiles = tempfile::tempdir().unwrap();
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner_of_an_engine", "--ignored", "--nocapture"])
        .env("PROFILES", profiles.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the engine runs", || profiles.path().join("ready").exists()).await;
    assert!(!processes_of(profiles.path()).is_empty());
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the engine is gone", || processes_of(profiles.path()).is_empty()).await;
    let swept = sweep(profiles.path());
    assert_eq!((swept.removed, swept.ended, swept.kept), (1, 0, 0));
    std::fs::remove_file(profiles.path().join("ready")).unwrap();
    assert_nothing_left(profiles.path());
}

#[tokio::test]
#[ignore = "run by the test above, in a process of its own"]
async fn owner_of_an_engine() {
    let profiles = std::path::PathBuf::from(std::env::var_os("PROFILES").unwrap());
    let options = LaunchOptions { profiles: profiles.clone(), ..LaunchOptions::default() };
    let _engine = EngineProcess::start(&options).await.unwrap();
    std::fs::write(profiles.join("ready"), "").unwrap();
    std::future::pending::<()>().await;
}
