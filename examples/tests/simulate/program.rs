//! The program as somebody calls it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulate"));
    command.args(args.split_whitespace()).current_dir(folder).output().unwrap()
}

fn printed(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args}: {log}");
    String::from_utf8(output.stdout).unwrap()
}

fn numbers(folder: &Path, args: &str) -> Value {
    serde_json::from_str(&printed(folder, args)).unwrap()
}

#[test]
fn a_seed_says_all_and_a_recorded_workload_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = printed(folder, "--agents 30 --seed 7 --hot 50 --record day.jsonl --json");
    assert_eq!(made, printed(folder, "--agents 30 --seed 7 --hot 50 --json"));
    assert_eq!(made, printed(folder, "--workload day.jsonl --seed 7 --json"));
    assert_ne!(made, printed(folder, "--agents 30 --seed 8 --hot 50 --json"));
    let numbers: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(numbers["violations"], 0);
    assert!(numbers["background"]["done"]["count"].as_u64().unwrap() > 50);
}

#[test]
fn the_table_says_what_the_json_line_says() {
    let folder = tempfile::tempdir().unwrap();
    let table = printed(folder.path(), "--agents 9");
    let numbers = numbers(folder.path(), "--agents 9 --json");
    let wait = &numbers["interactive"]["wait"];
    let row: Vec<_> = table
        .lines()
        .find(|line| line.starts_with("interactive: wait"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(row[2], wait["count"].to_string());
    assert_eq!(row[6], format!("{:.1}", wait["max"].as_f64().unwrap()));
}

#[test]
fn the_size_that_is_found_meets_the_target_and_a_smaller_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    for target in ["--target-p99 30", "--target-p99 5 --target-of slot --writes 60"] {
        let args = format!("size --agents 40 {target} --svg curve.svg --json");
        let sized = numbers(folder.path(), &args);
        let enough = sized["contexts"].as_u64().unwrap();
        let curve = sized["curve"].as_array().unwrap();
        for tried in curve {
            let met = tried["meets_target"].as_bool().unwrap();
            assert_eq!(met, tried["contexts"].as_u64().unwrap() >= enough, "{tried}");
        }
        assert!(curve.iter().any(|tried| tried["contexts"].as_u64().unwrap() < enough));
        is_a_picture(&folder.path().join("curve.svg"), 2);
    }
}

#[test]
fn a_picture_of_the_day_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    printed(folder.path(), "--agents 9 --svg day.svg");
    is_a_picture(&folder.path().join("day.svg"), 7);
}

fn is_a_picture(file: &Path, lines: usize) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}");
    assert!(text.contains("prefers-color-scheme:dark"));
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    // Each line twice: drawn, and in the legend.
    let drawn =
        ["c0", "c1", "c2", "c3", "limit"].map(|class| text.matches(&format!("class=\"{class}\"")).count());
    assert_eq!(drawn.iter().sum::<usize>(), lines * 2);
    assert!(text.len() < 40_000, "{} bytes", text.len());
}

#[test]
fn what_cannot_be_worked_with_is_named_by_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.jsonl"), "{\"at_ms\":1}\n").unwrap();
    for (args, code, named) in [
        ("--slots 0", 2, "--slots must be at least 1, got 0"),
        ("--slots 16", 2, "--slots must be at most --browsers × --contexts (15), got 16"),
        ("--slots 4 --reserved 4", 2, "--reserved must be less than slots (4), got 4"),
        ("--browsers 0", 2, "--browsers"),
        ("--agents 0", 2, "--agents"),
        ("--agents many", 2, "--agents"),
        ("--writes -1", 2, "--writes must be from 0 to 10000, got -1"),
        ("--writes NaN", 2, "--writes must be from 0 to 10000, got NaN"),
        ("--agents 100000 --days 3660", 2, "--hot must be at most 10000000, got 11712000000"),
        ("--batch 0.5", 2, "--batch must be from 1 to 100, got 0.5"),
        ("--request-ms 9-5", 2, "--request-ms"),
        ("--request-ms 18446744073709551615-1", 2, "--request-ms"),
        ("--sync-spread odd", 2, "--sync-spread"),
        ("--workload none.jsonl", 1, "--workload none.jsonl: No such file"),
        ("--workload bad.jsonl", 1, "--workload bad.jsonl, line 1: missing field `agent`"),
        ("--workload bad.jsonl --agents 3", 2, "--agents"),
        ("--data none", 1, "--data: cannot read none"),
        ("--svg none/day.svg", 1, "--svg none/day.svg: No such file"),
        ("--record none/day.jsonl", 1, "--record none/day.jsonl: No such file"),
        ("size --agents 1,x", 2, "--agents"),
        ("size --target-p99 0", 2, "--target-p99 must be more than 0 seconds, got 0"),
        ("size --target-sync NaN", 2, "--target-sync must be more than 0 seconds, got NaN"),
        (
            "size --agents 10 --target-sync 1",
            1,
            "10 agents: not even 30 contexts meet the target: --target-sync is 1 s",
        ),
        ("--protect-age 18446744073709551615 --session-idle 18446744073709551615 --agents 2", 0, ""),
        ("--quantum 18446744073709551615 --agents 2", 0, ""),
        ("--writes 0 --sync-rounds 0", 0, ""),
    ] {
        let output = run(folder.path(), args);
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args}: {log}");
        assert!(log.contains(named), "{args}: {log}");
        assert!(!log.contains("panicked"), "{args}: {log}");
    }
}
