//! The demo as a person starts it, without a browser: what it prints, what it ends with, what it leaves behind.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Its temporary files go to a folder of the test's own, so that what is left can be seen.
fn demo(folder: &TempDir, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    // Built with the tests, and looked for beside the demo.
    let _ = (env!("CARGO_BIN_EXE_server"), env!("CARGO_BIN_EXE_erp"));
    command.args(args.split_whitespace()).current_dir(folder).env("TMPDIR", folder.path());
    command
}

fn run(folder: &TempDir, args: &str) -> Output {
    demo(folder, args).output().unwrap()
}

fn numbers(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}; {errors}"))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn every_order_is_done_once_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder, "--once --json --driver direct --agents 3 --orders 9 --latency-ms 5");
    let numbers = numbers(&output);
    assert!(output.status.success(), "{numbers}\n{}", String::from_utf8_lossy(&output.stderr));
    for (field, value) in [("orders_wanted", 9), ("completed", 9), ("effects_applied", 9), ("event_holes", 0)]
    {
        assert_eq!(numbers[field], value, "{field} in {numbers}");
    }
    assert!(is_empty(folder.path()));
}

#[test]
fn a_person_reads_the_outcome_in_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&folder, "--once --driver direct --agents 2 --orders 4 --latency-ms 5 --store sqlite");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), text.lines().last()), (Some(0), Some("passed")), "{text}");
    assert!(is_empty(folder.path()), "a store of the run's own goes with it");
}

#[test]
fn kills_aimed_between_release_and_record_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let args = "--once --json --driver direct --agents 2 --orders 4 --kill-every 3 --latency-ms 5";
    let output = run(&folder, args);
    let numbers = numbers(&output);
    assert!(output.status.success(), "{numbers}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(numbers["aimed_kills"].as_u64().unwrap() >= 3, "{numbers}");
    assert!(numbers["probes"].as_u64().unwrap() >= 3, "{numbers}");
    for (field, value) in [("completed", 4), ("effects_applied", 4), ("duplicates", 0), ("overlaps", 0)] {
        assert_eq!(numbers[field], value, "{field} in {numbers}");
    }
    assert!(is_empty(folder.path()));
}

#[test]
fn a_browser_that_is_killed_again_and_again_changes_nothing_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let args = "--once --json --agents 2 --orders 24 --browsers 1 --contexts 2 --kill-browser-every 3";
    let output = run(&folder, args);
    let numbers = numbers(&output);
    assert!(output.status.success(), "{numbers}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(numbers["browser_kills"].as_u64().unwrap() >= 1, "{numbers}");
    for (field, value) in [("completed", 24), ("effects_applied", 24), ("duplicates", 0), ("overlaps", 0)] {
        assert_eq!(numbers[field], value, "{field} in {numbers}");
    }
    assert_eq!(numbers["rss_quarters_mb"].as_array().map(Vec::len), Some(4), "{numbers}");
}

#[test]
fn told_to_end_in_the_middle_it_takes_everything_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(&folder, "--once --driver direct --agents 2 --orders 500");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(errors.any(|line| line.unwrap().contains("submitting 500 orders")));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(is_empty(folder.path()));
}

#[test]
fn what_cannot_be_done_is_said_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("--once --workers 2", 2, "--store postgres"),
        ("--once --no-such-flag", 2, "--no-such-flag"),
        ("--once --orders x", 2, "'--orders <ORDERS>': expected a whole number"),
        ("--once --store oracle", 2, "sqlite:PATH, sqlite, postgres://"),
        ("--once --driver direct --data no-such-folder", 1, "no-such-folder"),
        ("--once --driver direct --concurrency 99", 2, "concurrency 99"),
        ("--once --driver direct --store sqlite:/proc/none/x.db", 1, "/proc/none"),
    ];
    for (args, code, said) in cases {
        let output = run(&folder, args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args}: {errors}");
        assert!(errors.contains(said), "{args}: {errors}");
    }
    assert!(is_empty(folder.path()));
}

#[test]
fn a_store_that_was_used_before_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let args = "--once --driver direct --agents 1 --orders 1 --latency-ms 5 --store sqlite:used.db";
    assert_eq!(run(&folder, args).status.code(), Some(0));
    let again = run(&folder, args);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("the store is not new"));
}
