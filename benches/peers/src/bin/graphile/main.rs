//! `graphile_worker` under the workloads of `archibald-benches`: an agent is a queue of it, one at a time and in
//! order.
//!
//! | workload | what |
//! | --- | --- |
//! | W1 | no-op operations without a queue |
//! | W2 | no-op operations over 1,000 agents |
//! | W3 | operations of 20 ms over 60 agents, half of them of one |
//! | W4 | nothing to do |
//! | W5 | one operation at a time, every 50 ms: from the request to the start of its handler |
//!
//! One JSON line a run; a run that was not alone, in order and once for every operation fails.
mod drain;
mod idle;
mod latency;

use archibald_benches::meter::Cost;
use archibald_benches::wait::rounded;
use archibald_benches::work::Broken;
use archibald_peers::Failure;
use archibald_peers::database::Server;
use archibald_peers::worker::{Drained, Settings};
use clap::{Parser, ValueEnum};
use serde::Serialize;

#[derive(Debug, Parser)]
struct Options {
    /// postgres (a private cluster) or postgres://…
    #[arg(long, default_value = "postgres")]
    store: String,
    /// Which workloads
    #[arg(long, value_enum, value_delimiter = ',', default_value = "w1,w2,w3,w4,w5")]
    workload: Vec<Workload>,
    /// Operations that run together; by default 10 and 50, of W3 10 and 60
    #[arg(long, value_delimiter = ',')]
    concurrency: Option<Vec<usize>>,
    /// Operations of a run; by default 20,000, of W3 2,000, of W5 200
    #[arg(long)]
    operations: Option<usize>,
    /// Milliseconds that each takes in W3
    #[arg(long, default_value_t = 20)]
    takes: u64,
    /// Milliseconds between two in W5
    #[arg(long, default_value_t = 50)]
    every: u64,
    /// How long W4 watches
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long W4 leaves it alone before that
    #[arg(long, default_value_t = 3)]
    settle: u64,
    /// Seconds after which a run is given up
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Workload {
    W1,
    W2,
    W3,
    W4,
    W5,
}

/// What every result begins with.
#[derive(Debug, Serialize)]
struct Run {
    workload: Workload,
    peer: &'static str,
    store: &'static str,
}

/// What every result says of the cost; per operation where there were some.
#[derive(Debug, Serialize)]
struct Spent {
    worker_cpu_s: f64,
    store_cpu_s: Option<f64>,
    statements_per_op: Option<f64>,
    rows_per_op: Option<f64>,
    pages_per_op: Option<f64>,
    wal_bytes_per_op: Option<f64>,
    #[serde(flatten)]
    broken: Broken,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let server = Server::find(&options.store)?;
    for workload in options.workload.iter().copied() {
        match workload {
            Workload::W1 | Workload::W2 | Workload::W3 => drain::run(&options, &server, workload).await?,
            Workload::W4 => idle::run(&options, &server).await?,
            Workload::W5 => latency::run(&options, &server).await?,
        }
    }
    Ok(())
}

impl Run {
    fn of(workload: Workload) -> Self {
        Self { workload, peer: "graphile_worker", store: "postgres" }
    }
}

impl Spent {
    fn of(drained: &Drained, operations: usize, broken: Broken) -> Self {
        let each = |value: Option<f64>| value.map(|value| rounded(value / operations as f64));
        let Cost { cpu, statements, rows, pages, wal, .. } = drained.cost;
        Self {
            worker_cpu_s: rounded(drained.cpu),
            store_cpu_s: cpu.map(rounded),
            statements_per_op: each(statements),
            rows_per_op: each(rows),
            pages_per_op: each(pages),
            wal_bytes_per_op: each(wal),
            broken,
            load: rounded(drained.load),
        }
    }
}

fn print(outcome: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string(outcome)?);
    Ok(())
}
