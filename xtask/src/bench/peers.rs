//! `cargo xtask bench peers`: our workloads and the same run by others, in turn, and what the database reaches
//! by itself.
//!
//! What others made is a workspace of its own, and a package of npm, built by nothing but this.

mod puppeteer;
mod ratios;

use std::ffi::OsString;

use clap::Parser;

use self::ratios::ratios;
use super::{MEASURED, Outcome, in_rows, results};
use crate::cargo::{Programs, cargo};
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;

pub(super) const NAME: &str = "peers";
pub(super) const ABOUT: &str = "W1 to W5 by us and by graphile_worker in turn, --runs N, and what pgbench reaches; browser: by puppeteer-cluster";

const MANIFEST: &str = "benches/peers/Cargo.toml";
const PEERS: &[&str] = &["--release", "--manifest-path", MANIFEST, "--bins"];
const WORKLOADS: [&str; 6] = ["w1", "w2", "w3", "w4", "w5", BROWSER];
/// By another peer, and only when it is asked for: it needs Chromium and npm.
const BROWSER: &str = "browser";

/// What is run, and how often.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench peers --", no_binary_name = true)]
struct Plan {
    /// postgres (each program makes a private cluster, all with the same settings) or postgres://…
    #[arg(long, default_value = "postgres")]
    store: String,
    /// Which workloads
    #[arg(long, value_delimiter = ',', value_parser = WORKLOADS, default_value = "w1,w2,w3,w4,w5")]
    workload: Vec<String>,
    /// How often each is run by each; ratios are those of the medians
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), default_value_t = 2)]
    runs: u32,
    /// Operations of a run of W1 and W2
    #[arg(long, default_value_t = 20_000)]
    operations: u32,
    /// Operations that run together in W1 and W2
    #[arg(long, default_value = "10,50")]
    concurrency: String,
    /// Operations of a run of W3
    #[arg(long, default_value_t = 2_000)]
    fairness_operations: u32,
    /// Operations of a run of W5
    #[arg(long, default_value_t = 200)]
    latency_operations: u32,
    /// Operations of a run of pgbench: whole hundreds for each of 1, 2, 5 and 10 clients
    #[arg(long, default_value_t = 100_000)]
    limit_operations: u32,
    /// How long W4 watches
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Orders that are saved in a run of `browser`
    #[arg(long, default_value_t = 200)]
    tasks: u32,
    /// In which Chromium: shell, chromium or a program
    #[arg(long, value_delimiter = ',', default_value = "shell")]
    engine: Vec<String>,
}

/// A program, and what it is told but for the store.
type Call = (&'static str, Vec<String>);

/// The task.
pub(super) fn run(is_json: bool, arguments: &[OsString]) -> Result<(), Failure> {
    let plan = Plan::try_parse_from(arguments).unwrap_or_else(|error| error.exit());
    if plan.wants(BROWSER) {
        puppeteer::run(&plan, is_json)?;
    }
    if plan.pairs().is_empty() { Ok(()) } else { beside_graphile(&plan, is_json) }
}

fn beside_graphile(plan: &Plan, is_json: bool) -> Result<(), Failure> {
    fetch()?;
    let (ours, theirs) = (Programs::build(MEASURED)?, Programs::build(PEERS)?);
    let mut all = Results::default();
    let mut measure = |programs: &Programs, call: &Call, into: fn(&mut Results) -> &mut Vec<Outcome>| {
        for outcome in outcomes(programs, call, &plan.store)? {
            print(&outcome, is_json);
            into(&mut all).push(outcome);
        }
        Ok::<_, Failure>(())
    };
    for (our, their) in plan.pairs() {
        for _ in 0..plan.runs {
            measure(&ours, &our, |all| &mut all.ours)?;
            measure(&theirs, &their, |all| &mut all.theirs)?;
        }
    }
    if let Some(limit) = plan.limit() {
        measure(&theirs, &limit, |all| &mut all.limit)?;
    }
    let ratios = ratios(&all, plan.runs);
    let line = serde_json::to_string(&ratios).unwrap_or_default();
    print(&(line, ratios), is_json);
    Ok(())
}

/// What was measured so far.
#[derive(Debug, Default)]
struct Results {
    ours: Vec<Outcome>,
    theirs: Vec<Outcome>,
    limit: Vec<Outcome>,
}

impl Plan {
    /// Our call and theirs, which do the same.
    fn pairs(&self) -> Vec<(Call, Call)> {
        let asked: Vec<&str> = WORKLOADS[..2].iter().copied().filter(|one| self.wants(one)).collect();
        let throughput = (!asked.is_empty()).then(|| {
            let [workload, operations] = [asked.join(","), self.operations.to_string()];
            let more = ["--concurrency", &self.concurrency, "--operations", &operations];
            pair("throughput", &["--workload", &workload], &workload, &more)
        });
        let fairness = self.wants("w3").then(|| {
            let operations = self.fairness_operations.to_string();
            pair("fairness", &["--backlog", "0"], "w3", &["--operations", &operations])
        });
        let idle = self.wants("w4").then(|| {
            let seconds = self.seconds.to_string();
            pair("idle", &[], "w4", &["--seconds", &seconds])
        });
        let latency = self.wants("w5").then(|| {
            let operations = self.latency_operations.to_string();
            pair("latency", &[], "w5", &["--operations", &operations])
        });
        [throughput, fairness, latency, idle].into_iter().flatten().collect()
    }

    fn limit(&self) -> Option<Call> {
        let operations = ["--operations".to_owned(), self.limit_operations.to_string()];
        self.wants("w2").then(|| ("limit", operations.to_vec()))
    }

    fn wants(&self, workload: &str) -> bool {
        self.workload.iter().any(|one| one == workload)
    }
}

/// `more` is understood by both.
fn pair(program: &'static str, our: &[&str], workload: &str, more: &[&str]) -> (Call, Call) {
    let call = |first: &[&str]| first.iter().chain(more).map(|&text| text.to_owned()).collect();
    ((program, call(our)), ("graphile", call(&["--workload", workload])))
}

fn fetch() -> Result<(), Failure> {
    let mut command = cargo("fetch");
    command.args(["--manifest-path", MANIFEST]);
    process::run("cargo fetch", command).map_err(|error| {
        Failure::Missing(format!(
            "the crates of the peers are not on this machine and could not be fetched ({}); run \
             `cargo fetch --manifest-path {MANIFEST}` once where the registry can be reached",
            error.in_full()
        ))
    })
}

fn outcomes(programs: &Programs, (program, arguments): &Call, store: &str) -> Result<Vec<Outcome>, Failure> {
    let scratch = Scratch::new()?;
    let mut command = programs.command(program)?;
    command.args(["--store", store]).args(arguments).current_dir(scratch.folder());
    scratch.mark(&mut command);
    let output = process::output(&format!("bench {NAME}: {program}"), command);
    scratch.finish()?;
    results(program, &output?)
}

fn print((line, result): &Outcome, is_json: bool) {
    if is_json {
        println!("{line}");
    } else {
        println!("{}\n", in_rows(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Plan {
        Plan::try_parse_from(arguments).unwrap()
    }

    fn words((program, arguments): &Call) -> String {
        format!("{program} {}", arguments.join(" "))
    }

    #[test]
    fn both_are_told_the_same() {
        let plan = plan(&["--operations", "500", "--concurrency", "7", "--seconds", "3"]);
        let calls: Vec<_> = plan.pairs().iter().flat_map(|(our, their)| [words(our), words(their)]).collect();
        assert_eq!(
            calls,
            [
                "throughput --workload w1,w2 --concurrency 7 --operations 500",
                "graphile --workload w1,w2 --concurrency 7 --operations 500",
                "fairness --backlog 0 --operations 2000",
                "graphile --workload w3 --operations 2000",
                "latency --operations 200",
                "graphile --workload w5 --operations 200",
                "idle --seconds 3",
                "graphile --workload w4 --seconds 3",
            ]
        );
        assert_eq!(words(&plan.limit().unwrap()), "limit --operations 100000");
    }

    #[test]
    fn only_what_is_asked_for_is_run() {
        let one = plan(&["--workload", "w2"]);
        assert_eq!(one.pairs().len(), 1);
        assert!(words(&one.pairs()[0].1).starts_with("graphile --workload w2 "));
        assert!(plan(&["--workload", "w5"]).limit().is_none());
        assert!(plan(&["--workload", "browser"]).pairs().is_empty());
        assert!(!plan(&[]).wants(BROWSER), "it needs what not everybody has");
        assert!(Plan::try_parse_from(["--workload", "w6"]).is_err());
        assert!(Plan::try_parse_from(["--runs", "0"]).is_err());
    }

    #[test]
    fn it_is_found_by_its_name_and_no_part_of_the_short_runs() {
        assert!(super::super::BENCHES.iter().all(|bench| bench.name != NAME && bench.build != PEERS));
    }
}
