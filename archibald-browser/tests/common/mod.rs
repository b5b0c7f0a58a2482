//! What the tests share: a small, nasty web site, and browsers that leave nothing behind.
#![allow(dead_code, unused_imports)]

pub mod edited;
pub mod gated;
pub mod office;
mod site;
pub mod tls;

pub use site::{Site, Then};

use std::path::Path;
use std::time::Duration;

use archibald_browser::driver::{Browser, Limit};
use archibald_browser::launch::LaunchOptions;

/// A browser of a test's own, in a profile directory of its own.
pub struct Bench {
    pub browser: Browser,
    profiles: tempfile::TempDir,
}

impl Bench {
    pub async fn launch() -> Self {
        Self::with_keys(Vec::new()).await
    }

    /// One that takes whoever has one of these keys for any site.
    pub async fn with_keys(gate_keys: Vec<String>) -> Self {
        let profiles = tempfile::tempdir().unwrap();
        let options =
            LaunchOptions { profiles: profiles.path().into(), gate_keys, ..LaunchOptions::default() };
        Self { browser: Browser::launch(&options).await.unwrap(), profiles }
    }

    /// Where its profile is, and whatever else it writes.
    pub fn profiles(&self) -> &Path {
        self.profiles.path()
    }

    /// Closes the browser, and fails if a process or a profile remains.
    pub async fn close(self) {
        self.browser.close(Duration::from_secs(10)).await;
        // Killed helpers are the system's to bury.
        eventually("no process is left", || processes_of(self.profiles.path()).is_empty()).await;
        assert_nothing_left(self.profiles.path());
    }
}

pub fn assert_nothing_left(profiles: &Path) {
    assert_eq!(processes_of(profiles), Vec::<String>::new(), "processes are left");
    let left: Vec<_> = profiles.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "profiles are left: {left:?}");
}

/// The processes whose command line names this directory.
pub fn processes_of(profiles: &Path) -> Vec<String> {
    let needle = profiles.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            (pid != std::process::id() && command.contains(needle)).then_some(command)
        })
        .collect()
}

pub fn seconds(n: u64) -> Limit {
    Limit::budget(Duration::from_secs(n))
}

/// Waits for something to become true, without a fixed pause; fails after 20 s.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_so(what, async || holds()).await;
}

/// The same, of what has to be asked for.
pub async fn eventually_so(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < until, "{what} did not come true");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
