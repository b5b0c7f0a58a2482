//! `server --check-page-map`, as a process.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

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
