//! What if: the real scheduler in virtual time.
//!
//! A workload (made from a seed, or recorded) and a policy go in; how long operations waited, and for what, comes out.
//! The same workload and the same policy give the same numbers, to the letter.

mod args;
mod busy;
mod dice;
mod error;
mod generate;
mod kinds;
mod outcome;
mod plot;
mod policy;
mod pool;
mod size;
mod summary;
mod workload;
mod world;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use self::args::{Args, RunArgs, Task};
pub use self::busy::Busy;
pub use self::error::SimulateError;
pub use self::generate::Shape;
pub use self::outcome::{Asked, Attempt, Outcome, Told};
pub use self::policy::Policy;
pub use self::pool::Logins;
pub use self::summary::{Start, Summary, Times, Waits};
pub use self::workload::{Job, Workload};
pub use self::world::simulate;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Runs what the arguments ask for.
///
/// Exit code 0, 1 when a rule was broken, no size is enough or a file cannot be read or written, 2 for arguments that
/// cannot be used.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match &args.task {
        Some(Task::Size(size)) => size::run(size).map(|()| true),
        None => once(&args.run),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("simulate: {}", error.in_full());
            ExitCode::from(if matches!(error, SimulateError::Flag { .. }) { 2 } else { 1 })
        }
    }
}

/// One workload under one policy; whether every rule held.
fn once(args: &RunArgs) -> Result<bool, SimulateError> {
    let policy = args.policy()?;
    let workload = args.workload()?;
    if let Some(file) = &args.record {
        workload.write(file)?;
    }
    let outcome = simulate(&workload, &policy)?;
    let summary = Summary::of(&workload, &policy, &outcome);
    outcome.violations.iter().take(20).for_each(|broken| eprintln!("simulate: {broken}"));
    if let Some(file) = &args.svg {
        write("--svg", file, &plot::of_a_day(&workload, &policy, &outcome))?;
    }
    print(&if args.json { json(&summary) + "\n" } else { summary.table() });
    Ok(outcome.violations.is_empty())
}

/// Whoever reads a part of it is done with the rest.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain numbers under plain names")
}

fn write(flag: &'static str, file: &Path, text: &str) -> Result<(), SimulateError> {
    std::fs::write(file, text).map_err(SimulateError::file(flag, file))
}
