//! The browsers: our pool and puppeteer-cluster in turn, on each engine that is there.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::ratios::{median, number, quotient};
use super::{NAME, Plan, print};
use crate::bench::{MEASURED, Outcome, results};
use crate::cargo::Programs;
use crate::failure::Failure;
use crate::npm;
use crate::process;
use crate::scratch::Scratch;
use crate::setup::{self, Need};

/// The peer's program as it is written.
const SOURCES: &str = "benches/peers/puppeteer";

/// What is compared, and how the line calls it.
const COMPARED: [(&str, &str); 4] = [
    ("tasks_per_cpu_s", "tasks_per_cpu_s"),
    ("tasks_per_s", "tasks_per_s"),
    ("acquire_p50", "acquire_p50_ms"),
    ("task_p50", "task_p50_ms"),
];

/// Runs both, and prints every result and the ratios.
pub(super) fn run(plan: &Plan, is_json: bool) -> Result<(), Failure> {
    setup::ensure(&[Need::Chromium])?;
    let folder = npm::install(SOURCES, "puppeteer")?;
    let programs = Programs::build(MEASURED)?;
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..plan.runs {
        for engine in &plan.engine {
            for (into, peer) in [(&mut ours, None), (&mut theirs, Some(&*folder))] {
                for outcome in outcomes(&programs, &arguments(plan, engine, peer))? {
                    print(&outcome, is_json);
                    into.push(outcome);
                }
            }
        }
    }
    let ratios = ratios(&ours, &theirs, plan.runs);
    let line = serde_json::to_string(&ratios).unwrap_or_default();
    print(&(line, ratios), is_json);
    Ok(())
}

/// Ours are with sessions that are kept and without, so that what each of the two changes can be told.
fn arguments(plan: &Plan, engine: &str, peer: Option<&Path>) -> Vec<String> {
    let tasks = plan.tasks.to_string();
    let mut arguments: Vec<String> =
        ["--parts", "tasks", "--engine", engine, "--tasks", &tasks].map(str::to_owned).to_vec();
    if let Some(folder) = peer {
        arguments.extend(["--peer".to_owned(), folder.display().to_string()]);
    }
    arguments
}

fn outcomes(programs: &Programs, arguments: &[String]) -> Result<Vec<Outcome>, Failure> {
    let scratch = Scratch::new()?;
    let mut command = programs.command("browser")?;
    command.args(arguments).current_dir(scratch.folder());
    scratch.mark(&mut command);
    let output = process::output(&format!("bench {NAME}: browser"), command);
    scratch.finish()?;
    results("browser", &output?)
}

/// Ours to theirs on the same engine, and ours in the headless shell to theirs in the whole Chromium.
fn ratios(ours: &[Outcome], theirs: &[Outcome], runs: u32) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("ratios".to_owned(), json!("archibald / puppeteer-cluster"));
    line.insert("runs".to_owned(), json!(runs));
    let engines = [
        ("shell", "headless-shell", "headless-shell"),
        ("chromium", "chromium", "chromium"),
        ("shell_to_chromium", "headless-shell", "chromium"),
    ];
    for (name, our, their) in engines {
        for sessions in ["warm", "fresh"] {
            let (ours, theirs) = (of(ours, our, sessions), of(theirs, their, "fresh"));
            if ours.is_empty() || theirs.is_empty() {
                continue;
            }
            for (measure, field) in COMPARED {
                let median = |runs: &[&Map<String, Value>]| {
                    median(runs.iter().filter_map(|run| number(run, field)).collect())
                };
                line.insert(format!("{name}_{sessions}_{measure}"), quotient(median(&ours), median(&theirs)));
            }
        }
    }
    let errors = |runs: &[Outcome]| runs.iter().filter_map(|(_, run)| number(run, "errors")).sum::<f64>();
    line.insert("errors".to_owned(), json!([errors(ours), errors(theirs)]));
    let load = ours.iter().chain(theirs).filter_map(|(_, run)| number(run, "load")).reduce(f64::max);
    line.insert("load_at_most".to_owned(), json!(load));
    line
}

fn of<'a>(outcomes: &'a [Outcome], engine: &str, sessions: &str) -> Vec<&'a Map<String, Value>> {
    let is = |run: &Map<String, Value>, field: &str, value: &str| run.get(field) == Some(&json!(value));
    let alike = outcomes.iter().map(|(_, run)| run);
    alike.filter(|run| is(run, "engine", engine) && is(run, "sessions", sessions)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(engine: &str, sessions: &str, tasks_per_cpu_s: f64) -> Outcome {
        let run = json!({ "engine": engine, "sessions": sessions, "tasks_per_cpu_s": tasks_per_cpu_s,
                          "errors": 1, "load": 0.25 });
        (run.to_string(), run.as_object().unwrap().clone())
    }

    #[test]
    fn medians_on_the_same_engine_are_compared_and_the_shell_with_the_whole_browser() {
        let shell = |sessions, tasks| outcome("headless-shell", sessions, tasks);
        let ours = [shell("warm", 11.0), shell("warm", 13.0), shell("fresh", 4.0)];
        let theirs = [shell("fresh", 3.0), outcome("chromium", "fresh", 1.0)];
        let line = ratios(&ours, &theirs, 2);
        let told = |key: &str| line.get(key).and_then(Value::as_f64);
        assert_eq!(told("shell_warm_tasks_per_cpu_s"), Some(4.0));
        assert_eq!(told("shell_fresh_tasks_per_cpu_s"), Some(1.333));
        assert_eq!(told("shell_to_chromium_warm_tasks_per_cpu_s"), Some(12.0));
        assert_eq!(line["shell_warm_acquire_p50"], Value::Null, "what nobody measured");
        assert!(!line.keys().any(|key| key.starts_with("chromium_")), "ours did not run there");
        assert_eq!((&line["errors"], told("load_at_most")), (&json!([3.0, 2.0]), Some(0.25)));
    }
}
