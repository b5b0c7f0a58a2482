//! `server --check-page-map`, as a process.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// Ample for a check of the simulated ERP; who hangs is killed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the server in a folder; its exit code and what it printed.
async fn server(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn a_map_that_fits_ends_with_0_and_pictures() {
    let folder = TempDir::new().unwrap();
    let (code, said) = server(folder.path(), &["--check-page-map", "--report", "report"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\n0 wrong, "), "{said}");
    assert!(said.ends_with("the report is report/index.html\n"), "{said}");
    let report = folder.path().join("report");
    let html = fs::read_to_string(report.join("index.html")).unwrap();
    assert!(html.contains("src=\"07-order-new.png\"") && !html.contains("class=\"wrong\""), "{html}");
    assert!(fs::read(report.join("07-order-new.png")).unwrap().starts_with(b"\x89PNG"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = ["", "index.html", "07-order-new.png"].map(|file| mode(&report.join(file)));
    assert_eq!(modes, [0o700, 0o600, 0o600]);
}

#[tokio::test]
async fn a_map_that_does_not_fit_ends_with_1_and_names_the_key() {
    let folder = TempDir::new().unwrap();
    let (code, map) = server(folder.path(), &["--print-page-map"]).await;
    assert_eq!(code, Some(0));
    let other = map.replace("list_price = \"td.price\"", "list_price = \"td.listino\"");
    assert_ne!(other, map);
    fs::write(folder.path().join("other.toml"), other).unwrap();
    let args = ["--check-page-map", "--page-map", "other.toml", "--agent", "andrew", "--report", "report"];
    let (code, said) = server(folder.path(), &args).await;
    assert_eq!(code, Some(1), "{said}");
    let wrong: Vec<_> = said.lines().filter(|line| line.contains("WRONG")).collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let words: Vec<_> = wrong[0].split_whitespace().take(4).collect();
    assert_eq!(words, ["products", "grid.columns.list_price", "WRONG:", "td.listino"]);
}

#[tokio::test]
async fn a_folder_that_others_look_into_is_refused() {
    let folder = TempDir::new().unwrap();
    let report = folder.path().join("report");
    fs::create_dir(&report).unwrap();
    fs::write(report.join("notes.txt"), "").unwrap();
    fs::set_permissions(&report, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.args(["--check-page-map", "--report", "report"]).current_dir(folder.path()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("report (from --report) must be a folder of your own"), "{said}");
    assert_eq!(fs::read_dir(&report).unwrap().count(), 1);
}

#[tokio::test]
async fn a_check_that_is_stopped_takes_its_session_along() {
    let folder = TempDir::new().unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.arg("--check-page-map").env("TMPDIR", &temporary).current_dir(folder.path());
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let profiles = || fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path());
    let has_browser = async {
        while !profiles().any(|profile| profile.join("profile/DevToolsActivePort").exists()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, has_browser).await.unwrap();
    kill(Pid::from_raw(server.id().unwrap().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let ended = timeout(PATIENCE, server.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(1), "{ended}");
    assert_eq!(profiles().collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
}
