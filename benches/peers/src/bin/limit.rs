//! What the database reaches when nothing but batched statements is asked of it: claim 100, complete 100; and when
//! they write the rows that the store here writes.
//!
//! `pgbench` does it, by each number of clients. One JSON line a run.
use archibald_benches::machine::{Busy, cpu_with_children};
use archibald_benches::wait::rounded;
use archibald_peers::Failure;
use archibald_peers::database::Server;
use archibald_peers::pgbench::{Complete, fill, run};
use clap::Parser;
use serde::Serialize;

#[derive(Debug, Parser)]
struct Options {
    /// postgres (a private cluster) or postgres://…
    #[arg(long, default_value = "postgres")]
    store: String,
    /// Clients that work together
    #[arg(long, value_delimiter = ',', default_value = "1,2,5,10")]
    clients: Vec<usize>,
    /// What becomes of what is done
    #[arg(long, value_enum, value_delimiter = ',', default_value = "delete,update,keep")]
    complete: Vec<Complete>,
    /// Operations of a run
    #[arg(long, default_value_t = 100_000)]
    operations: usize,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: &'static str,
    peer: &'static str,
    store: &'static str,
    complete: Complete,
    clients: usize,
    ops: usize,
    ops_per_s: f64,
    worker_cpu_s: f64,
    store_cpu_s: Option<f64>,
    statements_per_op: Option<f64>,
    wal_bytes_per_op: Option<f64>,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let server = Server::find(&options.store)?;
    for complete in options.complete.iter().copied() {
        for clients in options.clients.iter().copied() {
            eprintln!("limit: {complete:?} by {clients}");
            println!("{}", serde_json::to_string(&measure(&options, &server, complete, clients).await?)?);
        }
    }
    Ok(())
}

async fn measure(
    options: &Options,
    server: &Server,
    complete: Complete,
    clients: usize,
) -> Result<Outcome, Failure> {
    let ops = options.operations;
    let mut database = server.database().await?;
    fill(&mut database, complete, ops).await?;
    let us = std::process::id();
    let (before, cpu, busy) = (database.cost().await?, cpu_with_children(us), Busy::now());
    let ops_per_s = run(&mut database, complete, clients, ops).await?;
    let (cost, cpu) = (database.cost().await?.since(&before), cpu_with_children(us) - cpu);
    database.remove().await?;
    let each = |value: Option<f64>| value.map(|value| rounded(value / ops as f64));
    Ok(Outcome {
        workload: "limit",
        peer: "pgbench",
        store: "postgres",
        complete,
        clients,
        ops,
        ops_per_s: rounded(ops_per_s),
        worker_cpu_s: rounded(cpu),
        store_cpu_s: cost.cpu.map(rounded),
        statements_per_op: each(cost.statements),
        wal_bytes_per_op: each(cost.wal),
        load: rounded(busy.of_others(cpu + cost.cpu.unwrap_or(0.0))),
    })
}
