//! W4: a worker that has nothing to do.

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_benches::wait::rounded;
use archibald_peers::Failure;
use archibald_peers::database::Server;
use archibald_peers::worker::{Operation, Ready};
use serde::Serialize;

use crate::{Options, Run, Workload, print};

/// Operations, each of an agent of its own, that it runs first so that what is opened once is open.
const FEW: usize = 60;
/// Milliseconds: as long as it takes until it looks by itself.
const QUIET: u64 = 1_000;

#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    run: Run,
    seconds: f64,
    statements: Option<f64>,
    statements_per_minute: Option<f64>,
    worker_cpu_s: f64,
    worker_cpu_percent: f64,
    store_cpu_s: Option<f64>,
    by_statement: BTreeMap<String, i64>,
    load: f64,
}

pub(crate) async fn run(options: &Options, server: &Server) -> Result<(), Failure> {
    eprintln!("graphile_worker: W4 for {} s", options.seconds);
    let mut database = server.database().await?;
    let mut settings = options.settings.clone();
    settings.refetch_delay.get_or_insert(QUIET);
    let ready = Ready::new(&database, &settings, 10).await?;
    let few: Vec<_> = (0..FEW).map(|number| Operation { agent: number, number, micros: 0 }).collect();
    ready.add(&few, true).await?;
    let mut running = ready.start(&mut database).await?;
    running.ledger().until(FEW, Duration::from_secs(60)).await?;
    tokio::time::sleep(Duration::from_secs(options.settle)).await;
    let before = database.statements().await?;
    running.measure_anew(&mut database).await?;
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let drained = running.so_far(&mut database).await?;
    let mut by_statement = database.statements().await?;
    running.end(&mut database).await?;
    database.remove().await?;
    for (text, calls) in before {
        *by_statement.entry(text).or_default() -= calls;
    }
    by_statement.retain(|_, calls| *calls != 0);
    let (seconds, statements) = (drained.makespan.as_secs_f64(), drained.cost.statements);
    print(&Outcome {
        run: Run::of(Workload::W4),
        seconds: rounded(seconds),
        statements,
        statements_per_minute: statements.map(|count| rounded(count * 60.0 / seconds)),
        worker_cpu_s: rounded(drained.cpu),
        worker_cpu_percent: rounded(drained.cpu * 100.0 / seconds),
        store_cpu_s: drained.cost.cpu.map(rounded),
        by_statement,
        load: rounded(drained.load),
    })
}
