//! `cargo xtask test`: every test of the workspace, and that nothing is left behind.

use std::process::{Command, Stdio};

use crate::cargo::{EVERYTHING, cargo};
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::setup::{self, Need};
use crate::totals::{self, Totals};

/// The task: sets up, runs, prints the totals.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Failure> {
    let totals = all("default", filter)?;
    println!("tests: {totals}");
    Ok(())
}

/// Runs the tests with this profile of nextest, where nextest is installed, and the documentation's tests.
pub(crate) fn all(profile: &str, filter: Option<&str>) -> Result<Totals, Failure> {
    setup::ensure(&[Need::CCompiler, Need::Chromium, Need::Postgres, Need::PgBouncer])?;
    let scratch = Scratch::new()?;
    let outcome = both(&scratch, profile, filter);
    // A failed test may well leave something behind: what failed is said first.
    let totals = outcome.inspect_err(|failure| eprintln!("error: {}", failure.in_full()));
    let tidy = scratch.finish();
    let totals = totals?;
    tidy?;
    match filter {
        Some(filter) if !totals.ran() => Err(Failure::Wrong(format!("no test's name contains `{filter}`"))),
        _ => Ok(totals),
    }
}

fn both(scratch: &Scratch, profile: &str, filter: Option<&str>) -> Result<Totals, Failure> {
    let mut totals = if has_nextest() {
        counted(scratch, "cargo nextest run", nextest(profile, filter))?
    } else {
        counted(scratch, "cargo test", libtest(&EVERYTHING, filter))?
    };
    // Neither of the two runs what the documentation shows.
    let documentation = libtest(&["--doc", "--workspace", "--all-features"], filter);
    totals += counted(scratch, "cargo test --doc", documentation)?;
    Ok(totals)
}

fn counted(scratch: &Scratch, what: &str, mut command: Command) -> Result<Totals, Failure> {
    scratch.mark(&mut command);
    let (status, lines) = process::show(what, command, totals::is_total)?;
    process::success(what, status)?;
    Ok(Totals::read(&lines))
}

fn nextest(profile: &str, filter: Option<&str>) -> Command {
    let mut command = cargo("nextest");
    command.args(["run", "--profile", profile]).args(EVERYTHING);
    if let Some(filter) = filter {
        // It may be the name of a documentation test.
        command.args(["--no-tests=pass", "--", filter]);
    }
    command
}

fn libtest(selection: &[&str], filter: Option<&str>) -> Command {
    let mut command = cargo("test");
    command.arg("--no-fail-fast").args(selection).arg("--").args(filter);
    command
}

fn has_nextest() -> bool {
    let mut command = cargo("nextest");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
