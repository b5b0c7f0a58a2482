//! Operations that wait, drained by one worker: how many a second, and at what cost.
//!
//! | workload | what |
//! | --- | --- |
//! | W1 | no-op operations, as many agents as operations |
//! | W2 | no-op operations over 1,000 agents, one at a time and in order within each |
//!
//! One JSON line a run; a run that was not alone, in order and once for every operation fails.
use std::sync::Arc;
use std::time::Duration;

use archibald_benches::Failure;
use archibald_benches::meter::{Cost, Table};
use archibald_benches::run::{Drained, Running, config};
use archibald_benches::statements::Names;
use archibald_benches::store::{Opened, Place};
use archibald_benches::wait::rounded;
use archibald_benches::work::{Broken, Ledger, agent, enqueue, operation};
use archibald_core::operation::NewOperation;
use clap::{Parser, ValueEnum};
use serde::Serialize;

#[derive(Debug, Parser)]
struct Options {
    /// sqlite:PATH, postgres://…, postgres (a private cluster) or memory
    #[arg(long, default_value = "postgres")]
    store: String,
    /// Which workloads
    #[arg(long, value_delimiter = ',', default_value = "w1,w2")]
    workload: Vec<Workload>,
    /// Operations that run together
    #[arg(long, value_delimiter = ',', default_value = "10,50")]
    concurrency: Vec<usize>,
    /// Operations of a run
    #[arg(long, default_value_t = 20_000)]
    operations: usize,
    /// Seconds after which a run is given up
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Print the statements that were made most often, and what became of the tables, to standard error
    #[arg(long)]
    statements: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Workload {
    W1,
    W2,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: Workload,
    store: &'static str,
    concurrency: usize,
    ops: usize,
    ops_per_s: f64,
    makespan_s: f64,
    enqueues_per_s: f64,
    /// From the worker's start.
    start_p50_ms: Option<f64>,
    start_p99_ms: Option<f64>,
    worker_cpu_s: f64,
    store_cpu_s: Option<f64>,
    statements_per_op: Option<f64>,
    rows_per_op: Option<f64>,
    pages_per_op: Option<f64>,
    transactions_per_op: Option<f64>,
    wal_bytes_per_op: Option<f64>,
    #[serde(flatten)]
    broken: Broken,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let place = Place::find(&options.store)?;
    for workload in &options.workload {
        for concurrency in &options.concurrency {
            eprintln!("{workload:?} at {concurrency}");
            let outcome = run(&options, &place, *workload, *concurrency).await?;
            println!("{}", serde_json::to_string(&outcome)?);
        }
    }
    Ok(())
}

impl Workload {
    fn operations(self, count: usize) -> Result<Vec<NewOperation>, Failure> {
        let whose = |number: usize| match self {
            Self::W1 => number,
            Self::W2 => number % 1_000,
        };
        (0..count).map(|number| operation(agent(whose(number))?, number, Duration::ZERO)).collect()
    }
}

async fn run(
    options: &Options,
    place: &Place,
    workload: Workload,
    concurrency: usize,
) -> Result<Outcome, Failure> {
    let mut opened = place.open().await?;
    let asked = enqueue(&opened.ports, workload.operations(options.operations)?).await?;
    let before = opened.cost().await?;
    let ledger = Arc::new(Ledger::default());
    let running = Running::start(&opened.ports, &ledger, config(concurrency))?;
    let ended = ledger.until(options.operations, Duration::from_secs(options.timeout)).await;
    let drained = running.end().await;
    ended?;
    let (drained, cost) = (drained?, opened.cost().await?.since(&before));
    if options.statements {
        print_statements(&mut opened).await?;
        // A connection says what it did to the tables when it ends.
        opened = opened.reopen().await?;
        print_tables(&mut opened).await?;
    }
    opened.close().await?;
    Ok(outcome((workload, place.name(), concurrency), options.operations, asked.took, &drained, cost))
}

async fn print_statements(opened: &mut Opened) -> Result<(), Failure> {
    let names = Names::of_schema(opened.schema())?;
    for statement in opened.statements().await?.into_iter().take(40) {
        let name = names.name(&statement.text);
        eprintln!("{:>8} {:>10.1} ms {:>9} rows  {name}", statement.calls, statement.millis, statement.rows);
    }
    Ok(())
}

async fn print_tables(opened: &mut Opened) -> Result<(), Failure> {
    for Table { name, rows, dead, updates, within_page, kib } in opened.tables().await? {
        eprintln!(
            "{rows:>8} rows {dead:>8} dead {kib:>8} KiB {updates:>8} updates, {within_page:>8} within the page  {name}"
        );
    }
    Ok(())
}

fn outcome(
    (workload, store, concurrency): (Workload, &'static str, usize),
    count: usize,
    enqueued: Duration,
    drained: &Drained,
    cost: Cost,
) -> Outcome {
    let each = |value: Option<f64>| value.map(|value| rounded(value / count as f64));
    let (seconds, broken) = (drained.makespan.as_secs_f64(), drained.ledger.broken());
    let starts = drained.waits(|_| true);
    Outcome {
        workload,
        store,
        concurrency,
        ops: count,
        ops_per_s: rounded(count as f64 / seconds),
        makespan_s: rounded(seconds),
        enqueues_per_s: rounded(count as f64 / enqueued.as_secs_f64()),
        start_p50_ms: starts.percentile(50),
        start_p99_ms: starts.percentile(99),
        worker_cpu_s: rounded(drained.cpu),
        store_cpu_s: cost.cpu.map(rounded),
        statements_per_op: each(cost.statements),
        rows_per_op: each(cost.rows),
        pages_per_op: each(cost.pages),
        transactions_per_op: each(cost.transactions),
        wal_bytes_per_op: each(cost.wal),
        broken,
        load: rounded(drained.busy.of_others(drained.cpu + cost.cpu.unwrap_or(0.0))),
    }
}
