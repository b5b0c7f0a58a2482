//! W5: one operation at a time, from the request to the start of its handler.

use std::ops::Range;
use std::time::{Duration, Instant};

use archibald_benches::wait::Waits;
use archibald_peers::Failure;
use archibald_peers::database::Server;
use archibald_peers::worker::{Operation, Ready, Running};
use serde::Serialize;

use crate::{Options, Run, Spent, Workload, print};

const AGENTS: usize = 60;
/// As many as our own runs by default.
const CONCURRENCY: usize = 10;

#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    run: Run,
    ops: usize,
    enqueue_p50_ms: Option<f64>,
    enqueue_p99_ms: Option<f64>,
    start_p50_ms: Option<f64>,
    start_p99_ms: Option<f64>,
    #[serde(flatten)]
    spent: Spent,
}

struct Asked {
    number: usize,
    at: Instant,
    answered: Duration,
}

pub(crate) async fn run(options: &Options, server: &Server) -> Result<(), Failure> {
    let count = options.operations.unwrap_or(200);
    eprintln!("graphile_worker: W5");
    let mut database = server.database().await?;
    let ready = Ready::new(&database, &options.settings, CONCURRENCY).await?;
    let mut running = ready.start(&mut database).await?;
    // Connections are made and statements prepared before it counts.
    ask(&running, 0..AGENTS, Duration::from_millis(5)).await?;
    running.ledger().until(AGENTS, Duration::from_secs(30)).await?;

    running.measure_anew(&mut database).await?;
    let asked = ask(&running, AGENTS..AGENTS + count, Duration::from_millis(options.every)).await?;
    running.ledger().until(AGENTS + count, Duration::from_secs(30)).await?;
    let ledger = running.shared_ledger();
    let drained = running.end(&mut database).await?;
    database.remove().await?;
    let started = |asked: &Asked| Some(ledger.started(asked.number)?.duration_since(asked.at));
    let starts = Waits::of(asked.iter().filter_map(started));
    let answers = Waits::of(asked.iter().map(|asked| asked.answered));
    print(&Outcome {
        run: Run::of(Workload::W5),
        ops: count,
        enqueue_p50_ms: answers.percentile(50),
        enqueue_p99_ms: answers.percentile(99),
        start_p50_ms: starts.percentile(50),
        start_p99_ms: starts.percentile(99),
        spent: Spent::of(&drained, count, ledger.broken()),
    })
}

/// Asks for one operation after another, and waits for each answer in between.
async fn ask(running: &Running, numbers: Range<usize>, every: Duration) -> Result<Vec<Asked>, Failure> {
    let mut asked = vec![];
    let mut ticks = tokio::time::interval(every);
    for number in numbers {
        ticks.tick().await;
        let operation = Operation { agent: number % AGENTS, number, micros: 0 };
        let at = Instant::now();
        running.add_one(&operation).await?;
        asked.push(Asked { number, at, answered: at.elapsed() });
    }
    Ok(asked)
}
