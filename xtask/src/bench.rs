//! `cargo xtask bench`: the workloads by name.

mod peers;

use std::ffi::OsString;

use clap::Args;
use serde_json::{Map, Value};

use crate::cargo::Programs;
use crate::failure::Failure;
use crate::process;
use crate::scratch::Scratch;
use crate::setup::{self, Need};

/// Which workload, and how its result is printed.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which one (`--list` names them)
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Print the result as the one JSON line that the workload gives
    #[arg(long)]
    json: bool,
    /// The store, for workloads that use one: sqlite:PATH, postgres://…, postgres (a private cluster) or memory
    #[arg(long)]
    store: Option<String>,
    /// Name the workloads
    #[arg(long)]
    list: bool,
    /// Handed to the workload's program unchanged, all but `--json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Options {
    /// `--json` is meant for us wherever it stands; the rest is the program's.
    fn split(&self) -> (bool, Vec<OsString>) {
        let store = self.store.iter().flat_map(|store| ["--store".into(), store.into()]);
        let (json, arguments): (Vec<_>, Vec<_>) =
            store.chain(self.arguments.iter().cloned()).partition(|argument| argument == "--json");
        (self.json || !json.is_empty(), arguments)
    }
}

/// A workload: a program, by default of the crate `benches`, and its arguments.
#[derive(Debug)]
struct Bench {
    name: &'static str,
    about: &'static str,
    program: &'static str,
    /// What cargo is told to build for it.
    build: &'static [&'static str],
    arguments: &'static [&'static str],
    /// What makes it so small that it only shows that it works; one after the other.
    short: &'static [&'static [&'static str]],
}

/// For release, since nothing else is worth measuring.
const MEASURED: &[&str] = &["--release", "-p", "archibald-benches", "--bins"];

const BENCHES: &[Bench] = &[
    Bench {
        name: "journal",
        about: "the rules alone: one operation from accepted to completed, with its effect, without a store",
        program: "journal",
        build: MEASURED,
        arguments: &[],
        short: &[&["--operations", "1000"]],
    },
    Bench {
        name: "scheduler",
        about: "the scheduler alone, --agents N --ops N: time and memory of an operation, and how they grow",
        program: "examples/scale",
        build: &["--release", "-p", "archibald-core", "--example", "scale"],
        arguments: &[],
        short: &[&[
            "--agents", "1000", "--ops", "10000", "--from", "100", "--round", "1000", "--rounds", "2",
        ]],
    },
    Bench {
        name: "throughput",
        about: "operations that wait, drained by a worker: no-ops of very many agents, and of a thousand",
        program: "throughput",
        build: MEASURED,
        arguments: &[],
        short: &[&["--store", "memory", "--operations", "60"]],
    },
    Bench {
        name: "latency",
        about: "one operation at a time: from the request to the start of its handler",
        program: "latency",
        build: MEASURED,
        arguments: &[],
        short: &[&["--store", "sqlite:", "--operations", "10"]],
    },
    Bench {
        name: "fairness",
        about: "one agent with half of all operations, and a backlog besides: how long the others wait for it",
        program: "fairness",
        build: MEASURED,
        arguments: &[],
        short: &[&["--store", "sqlite:", "--operations", "120", "--concurrency", "10", "--backlog", "2000"]],
    },
    Bench {
        name: "idle",
        about: "a worker that has nothing to do, --seconds N: statements, and processor time",
        program: "idle",
        build: MEASURED,
        arguments: &[],
        short: &[&["--store", "postgres", "--seconds", "5", "--settle", "1"]],
    },
    Bench {
        name: "growth",
        about: "operations that come and go for --seconds N: rows, dead rows and size of the tables",
        program: "growth",
        build: MEASURED,
        arguments: &[],
        short: &[&["--seconds", "10", "--keep", "2", "--per-second", "50"]],
    },
    Bench {
        name: "backlog",
        about: "calls, sweeps and statements with --sizes N,N,… operations waiting: what grows with them",
        program: "backlog",
        build: MEASURED,
        arguments: &[],
        short: &[
            &[
                "--store",
                "postgres",
                "--shapes",
                "hot",
                "--sizes",
                "10,100",
                "--samples",
                "2",
                "--sweeps",
                "1",
            ],
            &["--store", "sqlite:", "--sizes", "10,100", "--samples", "2", "--sweeps", "1"],
        ],
    },
    Bench {
        name: "fanout",
        about: "devices that follow: from commit to device, memory of a connection, and one that stops reading",
        program: "fanout",
        build: MEASURED,
        arguments: &[],
        short: &[&[
            "--store",
            "sqlite,postgres",
            "--agents",
            "3",
            "--events",
            "10",
            "--connections",
            "100",
            "--seconds",
            "1",
            "--hot",
            "200",
        ]],
    },
    Bench {
        name: "browser",
        about: "agents at the ERP's pages in a real Chromium: orders, logins, and memory of those who rest",
        program: "browser",
        build: MEASURED,
        arguments: &[],
        short: &[&[
            "--agents",
            "3",
            "--tasks",
            "6",
            "--logins",
            "3",
            "--idle",
            "3",
            "--busy",
            "1",
            "--browsers",
            "1",
        ]],
    },
    Bench {
        name: "simulation",
        about: "workers, a store, an ERP and faults from seeds, --seconds N: steps, crashes, broken rules",
        program: "examples/simulate",
        build: &["--release", "-p", "archibald-core", "--example", "simulate"],
        arguments: &["bench"],
        short: &[&["--seconds", "1"]],
    },
    Bench {
        name: "chaos",
        about: "devices that come and go while servers are killed, logs pruned, histories lost: what they miss",
        program: "chaos",
        build: MEASURED,
        arguments: &[],
        short: &[
            &[
                "--store",
                "postgres",
                "--events",
                "1000",
                "--agents",
                "5",
                "--devices",
                "15",
                "--strikes",
                "6",
            ],
            &["--store", "sqlite", "--events", "1000", "--agents", "5", "--devices", "15", "--strikes", "6"],
        ],
    },
    Bench {
        name: "crash-matrix",
        about: "servers struck at named points, ledger and store compared: counts failures, measures nothing",
        program: "matrix",
        build: &["-p", "archibald-examples", "--bins"],
        arguments: &["--json", "--cells", "200"],
        short: &[&["--cells", "4", "--store", "sqlite"]],
    },
];

/// The task.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let Some(name) = options.name.as_deref().filter(|_| !options.list) else {
        list();
        return Ok(());
    };
    let (json, arguments) = options.split();
    if name == peers::NAME {
        return peers::run(json, &arguments);
    }
    let bench = find(name)?;
    setup::ensure(bench.needs())?;
    let programs = Programs::build(bench.build)?;
    let results = bench.run(&programs, &arguments)?;
    for (line, result) in results {
        println!("{}", if json { line } else { in_rows(&result) });
    }
    Ok(())
}

/// All of them, only to show that they work; they are told apart from measurements by being silent.
pub(crate) fn in_short(programs: &Programs) -> Result<(), Failure> {
    for bench in BENCHES {
        for short in bench.short {
            eprintln!("--> {} {}", bench.name, short.join(" "));
            let arguments: Vec<OsString> = short.iter().map(Into::into).collect();
            bench.run(programs, &arguments)?;
        }
    }
    Ok(())
}

impl Bench {
    /// What it cannot do without; a PostgreSQL is found, or named as missing, where one is asked for.
    fn needs(&self) -> &'static [Need] {
        if self.name == "browser" { &[Need::Chromium] } else { &[] }
    }

    fn run(&self, programs: &Programs, more: &[OsString]) -> Result<Vec<Outcome>, Failure> {
        let scratch = Scratch::new()?;
        let mut command = programs.command(self.program)?;
        command.args(self.arguments).args(more).current_dir(scratch.folder());
        scratch.mark(&mut command);
        let output = process::output(&format!("bench {}", self.name), command);
        scratch.finish()?;
        results(self.name, &output?)
    }
}

fn list() {
    for bench in BENCHES {
        println!("{:<16} {}", bench.name, bench.about);
    }
    println!("{:<16} {}", peers::NAME, peers::ABOUT);
}

fn find(name: &str) -> Result<&'static Bench, Failure> {
    BENCHES.iter().find(|bench| bench.name == name).ok_or_else(|| {
        let known: Vec<_> = BENCHES.iter().map(|bench| bench.name).chain([peers::NAME]).collect();
        Failure::Wrong(format!("no bench is called `{name}`; there are: {}", known.join(", ")))
    })
}

/// A line as it was printed, and what it says.
type Outcome = (String, Map<String, Value>);

/// One JSON object a line, and at least one of them.
fn results(name: &str, output: &str) -> Result<Vec<Outcome>, Failure> {
    let lines = output.lines().filter(|line| !line.trim().is_empty());
    let results: Result<Vec<_>, _> =
        lines.map(|line| Ok((line.to_owned(), serde_json::from_str(line)?))).collect();
    match results {
        Ok(results) if !results.is_empty() => Ok(results),
        Ok(_) => Err(Failure::Wrong(format!("bench {name} printed no result"))),
        Err::<_, serde_json::Error>(error) => {
            Err(Failure::Wrong(format!("bench {name} printed something that is no result: {error}")))
        }
    }
}

fn in_rows(result: &Map<String, Value>) -> String {
    let width = result.keys().map(String::len).max().unwrap_or(0);
    let row = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name:<width$}  {text}"),
        value => format!("{name:<width$}  {value}"),
    };
    result.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cargo_metadata::{MetadataCommand, TargetKind};

    use super::*;
    use crate::cargo;

    #[test]
    fn every_program_of_the_benches_is_in_the_list_and_the_other_way_round() {
        let metadata =
            MetadataCommand::new().manifest_path(cargo::root().join("Cargo.toml")).no_deps().exec().unwrap();
        let benches = metadata.packages.iter().find(|package| package.name == "archibald-benches").unwrap();
        let targets = benches.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin));
        let programs: BTreeSet<&str> = targets.map(|target| target.name.as_str()).collect();
        assert_eq!(
            programs,
            BENCHES.iter().filter(|bench| bench.build == MEASURED).map(|bench| bench.program).collect()
        );
    }

    #[test]
    fn all_arguments_but_json_are_the_programs() {
        let arguments = ["--agents", "5", "--json", "--ops=7"].map(OsString::from).to_vec();
        let options =
            Options { name: Some("scheduler".to_owned()), json: false, store: None, list: false, arguments };
        let (json, arguments) = options.split();
        assert!(json);
        assert_eq!(arguments, ["--agents", "5", "--ops=7"]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let failure = find("jurnal").unwrap_err().in_full();
        assert!(failure.contains("`jurnal`") && failure.contains("journal"), "{failure}");
    }

    #[test]
    fn a_result_is_one_object_a_line() {
        let two = results("x", "{\"ops\":1}\n\n{\"ops\":2,\"store\":\"memory\"}\n").unwrap();
        assert_eq!(in_rows(&two[1].1), "ops    2\nstore  memory");
        assert!(results("x", "\n").unwrap_err().in_full().contains("no result"));
        assert!(results("x", "done\n").unwrap_err().in_full().contains("something that is no result"));
    }
}
