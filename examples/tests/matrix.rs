//! A sample of the crash matrix, drawn anew each time: the seed is printed, and taken from `ARCHIBALD_SEED` where
//! it is given.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Its temporary files go to a folder of the test's own, so that what is left can be seen.
fn matrix(folder: &TempDir, args: &str) -> Output {
    // Built with the tests, and looked for beside the matrix.
    let _ = (env!("CARGO_BIN_EXE_server"), env!("CARGO_BIN_EXE_erp"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_matrix"));
    command.args(args.split_whitespace()).current_dir(folder).env("TMPDIR", folder.path());
    if let Ok(seed) = std::env::var("ARCHIBALD_SEED") {
        command.args(["--seed", &seed]);
    }
    command.output().unwrap()
}

fn recovers(args: &str, cells: u64) {
    let folder = tempfile::tempdir().unwrap();
    let output = matrix(&folder, args);
    let (text, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let numbers: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {log}"));
    println!("{numbers}");
    assert!(output.status.success(), "{numbers}\n{log}");
    assert_eq!((numbers["cases"].as_u64(), numbers["recovered"].as_u64()), (Some(cells), Some(cells)));
    for fault in ["duplicates", "lost", "phantoms", "unfinished", "not_reached"] {
        assert_eq!(numbers[fault], 0, "{fault} in {numbers}");
    }
    assert!(is_empty(folder.path()), "something was left behind");
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_server_struck_anywhere_on_either_store_does_everything_once() {
    recovers("--json --cells 66", 66);
}

#[test]
fn so_does_one_that_drives_real_browsers() {
    recovers("--json --cells 3 --driver chromium --store sqlite --patience 90 --jobs 1", 3);
}

#[test]
fn what_is_run_and_what_is_left_out_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let output = matrix(&folder, "--list");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for line in
        ["submit-order     sqlite   effect.released", "not drop: nothing drops the worker's own calls"]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn arguments_that_name_no_cell_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (args, said) in [
        ("--action fly-to-verona", "no cell is like that"),
        ("--kind explode", "--kind"),
        ("--all --cells 3", "--cells"),
    ] {
        let output = matrix(&folder, args);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args}: {log}");
        assert!(log.contains(said), "{args}: {log}");
    }
}
