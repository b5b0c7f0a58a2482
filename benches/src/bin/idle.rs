//! W4: a worker that has nothing to do and no device to tell: what it asks of the store, and of the machine.
//!
//! It runs a few operations first, so that what is opened once is open. One JSON line.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_benches::Failure;
use archibald_benches::machine::{Busy, cpu_of_this_process};
use archibald_benches::meter::{Cost, Statement};
use archibald_benches::run::{Running, config};
use archibald_benches::statements::Names;
use archibald_benches::store::Place;
use archibald_benches::wait::rounded;
use archibald_benches::work::{Broken, Ledger, agent, enqueue, operation};
use clap::Parser;
use serde::Serialize;

/// Agents that the store knows.
const AGENTS: usize = 60;

#[derive(Debug, Parser)]
struct Options {
    /// sqlite:PATH, postgres://…, postgres (a private cluster) or memory
    #[arg(long, default_value = "postgres")]
    store: String,
    /// How long it is watched
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long it is left alone before that
    #[arg(long, default_value_t = 3)]
    settle: u64,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: &'static str,
    store: &'static str,
    seconds: f64,
    /// Null where they cannot be counted, as within SQLite.
    statements: Option<f64>,
    statements_per_minute: Option<f64>,
    /// As the database counts them, with those of its other users and of this look; of SQLite, commits.
    transactions: Option<f64>,
    wal_bytes: Option<f64>,
    worker_cpu_s: f64,
    /// Processor time of the worker in hundredths of a core, with that of SQLite.
    worker_cpu_percent: f64,
    store_cpu_s: Option<f64>,
    /// By their files, or as they begin.
    by_statement: BTreeMap<String, i64>,
    #[serde(flatten)]
    broken: Broken,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let place = Place::find(&options.store)?;
    let mut opened = place.open().await?;
    let ledger = Arc::new(Ledger::default());
    let running = Running::start(&opened.ports, &ledger, config(10))?;
    let few = (0..AGENTS).map(|number| operation(agent(number)?, number, Duration::ZERO));
    enqueue(&opened.ports, few.collect::<Result<_, _>>()?).await?;
    ledger.until(AGENTS, Duration::from_secs(60)).await?;
    tokio::time::sleep(Duration::from_secs(options.settle)).await;

    let (cost, statements) = (opened.cost().await?, opened.statements().await?);
    let (began, cpu, busy) = (Instant::now(), cpu_of_this_process(), Busy::now());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_of_this_process() - cpu);
    let (cost, later) = (opened.cost().await?.since(&cost), opened.statements().await?);
    let names = Names::of_schema(opened.schema())?;
    let by_statement = difference(&names, &statements, &later);
    running.end().await?;
    opened.close().await?;
    let outcome = outcome(place.name(), seconds, cpu, &cost, &busy, by_statement, &ledger);
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// How often each was made between two looks.
fn difference(names: &Names, before: &[Statement], after: &[Statement]) -> BTreeMap<String, i64> {
    let mut calls = BTreeMap::new();
    let (before, after) = (before.iter().map(|one| (one, -1)), after.iter().map(|one| (one, 1)));
    for (statement, sign) in before.chain(after) {
        *calls.entry(names.name(&statement.text)).or_default() += sign * statement.calls;
    }
    calls.retain(|_, calls| *calls != 0);
    calls
}

fn outcome(
    store: &'static str,
    seconds: f64,
    cpu: f64,
    cost: &Cost,
    busy: &Busy,
    by_statement: BTreeMap<String, i64>,
    ledger: &Ledger,
) -> Outcome {
    let broken = ledger.broken();
    Outcome {
        workload: "W4",
        store,
        seconds: rounded(seconds),
        statements: cost.statements,
        statements_per_minute: cost.statements.map(|count| rounded(count * 60.0 / seconds)),
        transactions: cost.transactions,
        wal_bytes: cost.wal,
        worker_cpu_s: rounded(cpu),
        worker_cpu_percent: rounded(cpu * 100.0 / seconds),
        store_cpu_s: cost.cpu.map(rounded),
        by_statement,
        broken,
        load: rounded(busy.of_others(cpu + cost.cpu.unwrap_or(0.0))),
    }
}
