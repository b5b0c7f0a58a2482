//! `cargo xtask ci`: what must hold before anything is merged.

mod verdict;

use std::ffi::OsStr;
use std::process::Command;
use std::time::Instant;

use crate::bench;
use crate::cargo::{EVERYTHING, Programs, cargo};
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::test;
use crate::totals::Totals;

/// The steps, in order; the first that fails ends the run.
const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "lints", run: lints },
    Step { name: "documentation", run: documentation },
    Step { name: "tests", run: tests },
    Step { name: "examples", run: examples },
    Step { name: "benches", run: benches },
];

struct Step {
    name: &'static str,
    run: fn(&mut Totals) -> Result<(), Failure>,
}

/// The task: announces each step, and sums up.
pub(crate) fn run() -> Result<(), Failure> {
    let started = Instant::now();
    let mut totals = Totals::default();
    for step in STEPS {
        timed(step, &mut totals)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("ci: {} steps passed in {seconds:.0} s; tests: {totals}", STEPS.len());
    Ok(())
}

fn timed(step: &Step, totals: &mut Totals) -> Result<(), Failure> {
    eprintln!("==> {}", step.name);
    let started = Instant::now();
    let outcome = (step.run)(totals);
    let seconds = started.elapsed().as_secs_f64();
    outcome.map_err(|source| Failure::Step { step: step.name, seconds, source: Box::new(source) })?;
    eprintln!("<== {}: passed in {seconds:.1} s", step.name);
    Ok(())
}

fn format(_: &mut Totals) -> Result<(), Failure> {
    let mut command = cargo("fmt");
    command.args(["--all", "--check"]);
    process::run("cargo fmt", command)
}

fn lints(_: &mut Totals) -> Result<(), Failure> {
    let mut command = cargo("clippy");
    command.args(EVERYTHING).args(["--", "-D", "warnings"]);
    process::run("cargo clippy", command)
}

fn documentation(_: &mut Totals) -> Result<(), Failure> {
    let mut command = cargo("doc");
    command.args(["--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings");
    process::run("cargo doc", command)
}

fn tests(totals: &mut Totals) -> Result<(), Failure> {
    *totals += test::all("ci", None)?;
    Ok(())
}

/// The programs that a newcomer starts, as small as they can be.
fn examples(_: &mut Totals) -> Result<(), Failure> {
    let programs = Programs::build(&EVERYTHING)?;
    in_scratch("quickstart", programs.command("quickstart")?)?;
    let mut what_if = programs.command("simulate")?;
    what_if.args(["size", "--agents", "60", "--json"]);
    in_scratch("simulate", what_if)?;
    let mut demo = programs.command("demo")?;
    demo.args(["--once", "--json", "--driver", "chromium", "--store", "sqlite:demo.sqlite"])
        .args(["--agents", "3", "--orders", &verdict::ORDERS.to_string()])
        .args(["--faults", "some", "--seed", "1", "--timeout", "300"]);
    let output = in_scratch("demo --once", demo)?;
    verdict::judge(&output).map_err(|why| Failure::Wrong(format!("demo --once: {why}")))
}

fn benches(_: &mut Totals) -> Result<(), Failure> {
    bench::in_short(&Programs::build(&EVERYTHING)?)
}

/// Runs a program in a folder that goes with it, and gives back what it printed.
fn in_scratch(what: &str, mut command: Command) -> Result<String, Failure> {
    eprintln!("--> {what} {}", command.get_args().collect::<Vec<_>>().join(OsStr::new(" ")).display());
    let scratch = Scratch::new()?;
    let place = scratch.folder().join("place");
    std::fs::create_dir(&place).map_err(Failure::io("create a folder to run in"))?;
    command.current_dir(&place);
    scratch.mark(&mut command);
    let output = process::output(what, command);
    std::fs::remove_dir_all(&place).map_err(Failure::io("remove the folder it ran in"))?;
    let tidy = scratch.finish();
    let output = output?;
    tidy?;
    Ok(output)
}
