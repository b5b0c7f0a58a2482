//! W1, W2 and W3: what waits, drained by one worker.

use std::time::Duration;

use archibald_benches::wait::rounded;
use archibald_peers::Failure;
use archibald_peers::database::Server;
use archibald_peers::worker::{Operation, Ready};
use serde::Serialize;

use crate::{Options, Run, Spent, Workload, print};

/// Agents of W2.
const MANY: usize = 1_000;
/// Agents of W3 beside the hot one, who is agent 0.
const OTHERS: usize = 59;

#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    run: Run,
    concurrency: usize,
    ops: usize,
    ops_per_s: f64,
    makespan_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_others_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_others_p99_ms: Option<f64>,
    /// From the worker's start.
    start_p50_ms: Option<f64>,
    start_p99_ms: Option<f64>,
    #[serde(flatten)]
    spent: Spent,
}

pub(crate) async fn run(options: &Options, server: &Server, workload: Workload) -> Result<(), Failure> {
    let usual = if workload == Workload::W3 { [10, 60] } else { [10, 50] };
    for concurrency in options.concurrency.clone().unwrap_or(usual.to_vec()) {
        eprintln!("graphile_worker: {workload:?} at {concurrency}");
        print(&measure(options, server, workload, concurrency).await?)?;
    }
    Ok(())
}

async fn measure(
    options: &Options,
    server: &Server,
    workload: Workload,
    concurrency: usize,
) -> Result<Outcome, Failure> {
    let all = operations(options, workload);
    let mut database = server.database().await?;
    let ready = Ready::new(&database, &options.settings, concurrency).await?;
    ready.add(&all, workload != Workload::W1).await?;
    let running = ready.start(&mut database).await?;
    running.ledger().until(all.len(), Duration::from_secs(options.timeout)).await?;
    let ledger = running.shared_ledger();
    let drained = running.end(&mut database).await?;
    database.remove().await?;
    let (seconds, starts) = (drained.makespan.as_secs_f64(), ledger.waits(drained.began, |_| true));
    let others = ledger.waits(drained.began, |agent| workload == Workload::W3 && agent != 0);
    Ok(Outcome {
        run: Run::of(workload),
        concurrency,
        ops: all.len(),
        ops_per_s: rounded(all.len() as f64 / seconds),
        makespan_s: rounded(seconds),
        wait_others_p50_ms: others.percentile(50),
        wait_others_p99_ms: others.percentile(99),
        start_p50_ms: starts.percentile(50),
        start_p99_ms: starts.percentile(99),
        spent: Spent::of(&drained, all.len(), ledger.broken()),
    })
}

fn operations(options: &Options, workload: Workload) -> Vec<Operation> {
    let (usual, takes) = if workload == Workload::W3 { (2_000, options.takes) } else { (20_000, 0) };
    let whose = |number: usize| match workload {
        Workload::W2 => number % MANY,
        Workload::W3 if number.is_multiple_of(2) => 0,
        Workload::W3 => 1 + number / 2 % OTHERS,
        Workload::W1 | Workload::W4 | Workload::W5 => number,
    };
    let operation = |number| Operation { agent: whose(number), number, micros: takes * 1_000 };
    (0..options.operations.unwrap_or(usual)).map(operation).collect()
}
