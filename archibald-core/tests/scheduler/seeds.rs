//! The simulation over many seeds. `ARCHIBALD_SEEDS=100000` runs that many, `ARCHIBALD_SEEDS=7..8` runs seed 7.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::simulation::{Failure, Mutant, Plan};

/// In each of four tests, which run side by side.
const SEEDS: u64 = 17_000;

#[test]
fn no_seed_of_the_first_quarter_breaks_a_rule() {
    no_seed_breaks_a_rule(0);
}

#[test]
fn no_seed_of_the_second_quarter_breaks_a_rule() {
    no_seed_breaks_a_rule(1);
}

#[test]
fn no_seed_of_the_third_quarter_breaks_a_rule() {
    no_seed_breaks_a_rule(2);
}

#[test]
fn no_seed_of_the_last_quarter_breaks_a_rule() {
    no_seed_breaks_a_rule(3);
}

fn no_seed_breaks_a_rule(quarter: u64) {
    let mut counters = BTreeMap::new();
    let (mut steps, all) = (0, seeds());
    let each = (all.end - all.start).div_ceil(4);
    let first = (all.start + each * quarter).min(all.end);
    let seeds = first..(first + each).min(all.end);
    for seed in seeds.clone() {
        let run = Plan::of(seed).run().unwrap_or_else(|failure| give_up(failure));
        steps += run.steps;
        for (what, times) in run.counters.0 {
            *counters.entry(what).or_insert(0) += times;
        }
    }
    println!("seeds {seeds:?}, {steps} steps: {counters:#?}");
    if seeds.end - seeds.start >= SEEDS {
        for what in RARE {
            assert!(counters.contains_key(what), "it never came to this: {what}");
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 0..5 {
        assert_eq!(Plan::of(seed).run(), Plan::of(seed).run(), "seed {seed}");
    }
}

/// The model changes nothing but what is noticed.
#[test]
fn a_seed_tells_the_same_story_with_and_without_the_model() {
    for seed in 0..20 {
        let run = |checked| Plan { checked, ..Plan::of(seed) }.run();
        assert_eq!(run(true).unwrap(), run(false).unwrap(), "seed {seed}");
    }
}

#[test]
fn every_mutant_is_found() {
    for mutant in Mutant::ALL {
        let failed = |seed| Plan { mutant: Some(*mutant), ..Plan::of(seed) }.run().err();
        let failure = (0..SEEDS).find_map(failed);
        let Failure { plan, steps, why } = failure.unwrap_or_else(|| panic!("{mutant:?} was not found"));
        println!("{mutant:?}: seed {}, {steps} steps: {why:.150}", plan.seed);
    }
}

#[test]
fn a_failure_shrinks_to_one_that_fails_too_and_can_be_read_back() {
    let failed = |seed| Plan { mutant: Some(Mutant::SkipProbes), ..Plan::of(seed) }.run().err();
    let failure = (0..SEEDS).find_map(failed).unwrap();
    let (without, steps) = (failure.plan.without.len(), failure.steps);
    let small = failure.shrunk();
    assert!(small.plan.without.len() > without && small.steps <= steps, "{small:?}");
    let mut last = None;
    let _ = small.plan.watch(|_, world| last = world.next());
    assert!(last.is_some_and(|step| step.contains("Applied")), "the step that breaks the rule is told");
    let read: Failure = serde_json::from_str(&serde_json::to_string(&small).unwrap()).unwrap();
    assert_eq!(read.plan.run().unwrap_err(), small);
}

/// Leaves the smallest plan that fails too, for `cargo run -p archibald-core --example simulate -- replay`.
fn give_up(failure: Failure) -> ! {
    let (seed, steps) = (failure.plan.seed, failure.steps);
    let small = failure.shrunk();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("seed-{seed}.json"));
    std::fs::write(&file, serde_json::to_string_pretty(&small).unwrap()).unwrap();
    panic!(
        "ARCHIBALD_SEEDS={seed}..{}: after {steps} steps: {}; see {}",
        seed + 1,
        small.why,
        file.display()
    );
}

fn seeds() -> Range<u64> {
    let Ok(wanted) = std::env::var("ARCHIBALD_SEEDS") else { return 0..4 * SEEDS };
    let number =
        |text: &str| text.parse::<u64>().expect("ARCHIBALD_SEEDS is a number or a range such as 7..8");
    match wanted.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&wanted),
    }
}

/// What the default seeds must have gone through, so that a quiet run does not pass for a good one.
const RARE: &[&str] = &[
    "absent, and not settled yet",
    "accepted without an answer, and given back",
    "accepted, and not leased",
    "acted again after a probe",
    "answer lost at the ERP",
    "answer of the store lost",
    "applied after everybody gave up",
    "asked for an agent that was handed on elsewhere",
    "asked to give way",
    "cancelled",
    "commit of a recorded effect",
    "crash",
    "dead before it heard of what it was handed on to",
    "dead with a lease at hand",
    "doubt decided",
    "doubt",
    "drained and restarted",
    "failed: attempts spent",
    "freeze",
    "handed on and taken up",
    "handed on too late",
    "handed on without an answer, and given back",
    "handed on",
    "handed on, and another was asked for",
    "handed on, and nothing was asked for",
    "handed on, and the answer lost",
    "lease ended by its time",
    "lease found lost at renewal",
    "leased as it was accepted",
    "lost wake-up",
    "not handed on: gone",
    "not handed on: not due",
    "not handed on: paused",
    "not handed on: target busy",
    "paused: a kind",
    "paused: an agent",
    "paused: everything",
    "preempted",
    "probe found it",
    "probe",
    "prober not healthy",
    "protected by its age",
    "refused by the ERP",
    "refused: gone",
    "refused: held",
    "refused: not due",
    "refused: paused",
    "refused: target busy",
    "refused: unavailable",
    "released too late to send",
    "repeated wake-up",
    "resumed",
    "statement slower than a lease",
    "stopped at its own deadline",
    "write refused: superseded",
];
