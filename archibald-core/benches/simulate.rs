//! The simulation outside the tests: `bench` counts its steps, `replay FILE` shows a failing run step by step,
//! `mutants` says which seed finds each mistake, and `find SEED` keeps what fails.
// What measures looks at the clock; the world and the model are those of the tests.
#![allow(missing_docs, dead_code, clippy::disallowed_methods, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, stdin};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use serde::Serialize;

use self::simulation::{Failure, Mutant, Plan};

#[path = "../tests/scheduler/checked.rs"]
mod checked;
#[path = "../tests/scheduler/model.rs"]
mod model;
#[path = "../tests/scheduler/simulation/mod.rs"]
mod simulation;
mod stopwatch;

#[derive(Debug, Parser)]
enum Task {
    /// Seeds one after another; prints one JSON object
    Bench {
        /// How long
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// The first seed
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// With the model beside one scheduler of eight, as in the tests
        #[arg(long)]
        checked: bool,
    },
    /// Shows a failing run from its file
    Replay {
        file: PathBuf,
        /// Wait for the enter key after each step
        #[arg(long)]
        step: bool,
        /// Show only so many steps before the end
        #[arg(long)]
        last: Option<u64>,
    },
    /// Runs one seed; a failure is written, as small as it gets, to this file
    Find {
        seed: u64,
        #[arg(long, default_value = "failure.json")]
        file: PathBuf,
        /// With this mistake, by its name
        #[arg(long)]
        mutant: Option<String>,
    },
    /// For each mistake the first seed that finds it, and the steps until then
    Mutants,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Task::parse() {
        Task::Bench { seconds, from, checked } => bench(Duration::from_secs(seconds), from, checked),
        Task::Replay { file, step, last } => replay(&file, step, last),
        Task::Find { seed, file, mutant } => find(seed, &file, mutant.as_deref()),
        Task::Mutants => mutants(),
    }
}

#[derive(Debug, Default, Serialize)]
struct Outcome {
    first_seed: u64,
    seeds: u64,
    steps: u64,
    /// For each second of the processor.
    steps_per_s: u64,
    crashes: u64,
    freezes: u64,
    lost_wakeups: u64,
    probes: u64,
    violations: u64,
}

fn bench(time: Duration, from: u64, checked: bool) -> Result<(), Box<dyn Error>> {
    let (began, used) = (Instant::now(), stopwatch::Stopwatch::start());
    let mut outcome = Outcome { first_seed: from, ..Outcome::default() };
    let mut counters = BTreeMap::new();
    while began.elapsed() < time {
        let plan = Plan::of(from + outcome.seeds);
        let plan = Plan { checked: plan.checked && checked, ..plan };
        outcome.seeds += 1;
        match plan.run() {
            Ok(run) => {
                outcome.steps += run.steps;
                for (what, times) in run.counters.0 {
                    *counters.entry(what).or_insert(0) += times;
                }
            }
            Err(failure) => {
                outcome.violations += 1;
                keep(failure, Path::new("failure.json"))?;
            }
        }
    }
    let count = |what| counters.get(what).copied().unwrap_or(0);
    (outcome.crashes, outcome.freezes) = (count("crash"), count("freeze"));
    (outcome.lost_wakeups, outcome.probes) = (count("lost wake-up"), count("probe"));
    outcome.steps_per_s = (outcome.steps as f64 / (used.nanos() / 1e9)) as u64;
    println!("{}", serde_json::to_string(&outcome)?);
    match outcome.violations {
        0 => Ok(()),
        violations => Err(format!("{violations} seeds break a rule").into()),
    }
}

fn replay(file: &Path, step: bool, last: Option<u64>) -> Result<(), Box<dyn Error>> {
    let failure: Failure = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let from = last.map_or(0, |last| failure.steps.saturating_sub(last));
    let mut enter = stdin().lock().lines();
    let outcome = failure.plan.watch(|n, world| {
        if n >= from {
            println!("{n:>6} {}", world.next().unwrap_or_default());
            if step {
                enter.next();
            }
        }
    });
    match outcome {
        Err(again) if again == failure => println!("{}", again.why),
        Err(other) => println!("it fails otherwise than it did: {}", other.why),
        Ok(run) => println!("it does not fail any more, in {} steps", run.steps),
    }
    Ok(())
}

fn find(seed: u64, file: &Path, mutant: Option<&str>) -> Result<(), Box<dyn Error>> {
    let known = |name: &str| Mutant::ALL.iter().find(|mutant| format!("{mutant:?}") == name).copied();
    let mutant = match mutant {
        Some(name) => Some(known(name).ok_or_else(|| format!("no mutant is called {name}"))?),
        None => None,
    };
    match (Plan { mutant, ..Plan::of(seed) }).run() {
        Ok(run) => println!("seed {seed} breaks no rule in {} steps", run.steps),
        Err(failure) => keep(failure, file)?,
    }
    Ok(())
}

fn keep(failure: Failure, file: &Path) -> Result<(), Box<dyn Error>> {
    let (seed, steps) = (failure.plan.seed, failure.steps);
    let small = failure.shrunk();
    std::fs::write(file, serde_json::to_string_pretty(&small)?)?;
    let (fewer, file) = (small.steps, file.display());
    eprintln!("seed {seed} fails after {steps} steps, shrunk to {fewer}, see {file}: {}", small.why);
    Ok(())
}

fn mutants() -> Result<(), Box<dyn Error>> {
    let mut alive = vec![];
    for mutant in Mutant::ALL {
        let failed = |seed| Plan { mutant: Some(*mutant), ..Plan::of(seed) }.run().err();
        match (0..2_000).find_map(failed) {
            Some(Failure { plan, steps, why }) => {
                println!("{:<24} seed {:<4} {steps:>6} steps  {why:.90}", format!("{mutant:?}"), plan.seed);
            }
            None => alive.push(mutant),
        }
    }
    println!("mutants: {} of {} killed", Mutant::ALL.len() - alive.len(), Mutant::ALL.len());
    if alive.is_empty() { Ok(()) } else { Err(format!("not killed: {alive:?}").into()) }
}
