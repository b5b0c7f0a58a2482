//! Every target, with its corpus and with what is made of it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use archibald_fuzzing::{TARGETS, Target, mutated, target};

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(target.corpus()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no corpus", target.name);
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn check(name: &str) {
    let target = target(name).unwrap();
    let corpus = corpus(&target);
    corpus.iter().for_each(|bytes| (target.read)(bytes));
    for seed in 0..target.tries {
        let bytes = mutated(&corpus, target.words, seed);
        let read = std::panic::catch_unwind(|| (target.read)(&bytes));
        assert!(read.is_ok(), "{name}, seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn every_target_has_a_test_here() {
    let here = include_str!("corpus.rs");
    for target in TARGETS {
        assert!(here.contains(&format!("check(\"{}\")", target.name)), "{}", target.name);
    }
}

#[test]
fn a_value_that_is_accepted_is_the_same_once_it_is_written() {
    check("texts");
}

#[test]
fn a_schedules_times_come_one_after_the_other() {
    check("cron");
}

#[test]
fn a_page_map_that_is_accepted_writes_what_it_reads() {
    check("page_map");
}

#[test]
fn data_that_is_accepted_belongs_together() {
    check("northwind");
}

#[test]
fn no_request_is_the_servers_fault() {
    check("request");
}

#[test]
fn a_token_that_was_changed_is_refused() {
    check("token");
}

#[test]
fn a_file_that_is_refused_says_why_and_no_secret() {
    check("files");
}

#[test]
fn no_page_shows_a_password_or_what_it_does_not_have() {
    check("html");
}

#[test]
fn no_message_of_the_browser_moves_more_than_it_may() {
    check("protocol");
}
