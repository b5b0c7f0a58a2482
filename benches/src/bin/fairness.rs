//! W3: one agent with half of all operations beside 59 others, and what that costs the others.
//!
//! 2,000 operations of 20 ms over 60 agents, half of them of one. However many slots there are, the hot agent's
//! half takes its time one after the other; the others could be done long before. Four runs for each
//! concurrency:
//!
//! | `backlog` | `arrival` | what |
//! | --- | --- | --- |
//! | 0 | `before` | all wait when the worker starts; until all have ended |
//! | N | `before` | the hot agent has N instead of its half, in front of all others; until the others' have ended |
//! | 0 | `while` | the others' are asked for while the hot agent's run; their waits begin when they are asked for |
//! | N | `while` | the same, with N of the hot agent waiting instead of its half |
//!
//! One JSON line a run; a run that was not alone, in order and once for every operation fails.
use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_benches::Failure;
use archibald_benches::fill::{Backlog, Whose, fill};
use archibald_benches::meter::Cost;
use archibald_benches::run::{Drained, Running, config};
use archibald_benches::store::Place;
use archibald_benches::wait::{Waits, rounded};
use archibald_benches::work::{Asked, Broken, Ledger, agent, enqueue, operation};
use archibald_core::id::OperationId;
use archibald_core::operation::NewOperation;
use clap::Parser;
use serde::Serialize;

/// Agents beside the hot one, who is agent 0.
const OTHERS: usize = 59;

#[derive(Debug, Parser)]
struct Options {
    /// sqlite:PATH, postgres://…, postgres (a private cluster) or memory
    #[arg(long, default_value = "postgres")]
    store: String,
    /// Operations that run together
    #[arg(long, value_delimiter = ',', default_value = "10,60")]
    concurrency: Vec<usize>,
    /// Operations of a run, half of them of the hot agent
    #[arg(long, default_value_t = 2_000)]
    operations: usize,
    /// Milliseconds that each takes
    #[arg(long, default_value_t = 20)]
    takes: u64,
    /// Operations of the hot agent that wait instead of its half, in a second run; 0 leaves these runs out
    #[arg(long, default_value_t = 100_000)]
    backlog: usize,
    /// Seconds after which a run is given up
    #[arg(long, default_value_t = 300)]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Arrival {
    Before,
    While,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: &'static str,
    store: &'static str,
    concurrency: usize,
    ops: usize,
    backlog: usize,
    arrival: Arrival,
    /// Operations that ended; of a run with a backlog, whatever of the hot agent's was done meanwhile too.
    ended: usize,
    ops_per_s: f64,
    makespan_s: f64,
    ideal_makespan_s: Option<f64>,
    wait_others_p50_ms: Option<f64>,
    wait_others_p99_ms: Option<f64>,
    ideal_wait_others_p50_ms: Option<f64>,
    ideal_wait_others_p99_ms: Option<f64>,
    /// To that of the run of the same arrival without a backlog.
    wait_others_p99_ratio: Option<f64>,
    /// Of all, from the worker's start.
    start_p50_ms: Option<f64>,
    start_p99_ms: Option<f64>,
    worker_cpu_s: f64,
    store_cpu_s: Option<f64>,
    statements_per_op: Option<f64>,
    wal_bytes_per_op: Option<f64>,
    #[serde(flatten)]
    broken: Broken,
    load: f64,
}

/// One run.
#[derive(Debug, Clone, Copy)]
struct Run {
    concurrency: usize,
    backlog: usize,
    arrival: Arrival,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let place = Place::find(&options.store)?;
    for concurrency in options.concurrency.iter().copied() {
        for arrival in [Arrival::Before, Arrival::While] {
            let mut without = None;
            for backlog in [0, options.backlog].into_iter().take(if options.backlog == 0 { 1 } else { 2 }) {
                let run = Run { concurrency, backlog, arrival };
                eprintln!("{run:?}");
                let mut outcome = run.measure(&options, &place).await?;
                let p99 = outcome.wait_others_p99_ms;
                outcome.wait_others_p99_ratio =
                    without.zip(p99).map(|(then, now): (f64, f64)| rounded(now / then));
                without = without.or(p99);
                println!("{}", serde_json::to_string(&outcome)?);
            }
        }
    }
    Ok(())
}

impl Run {
    async fn measure(self, options: &Options, place: &Place) -> Result<Outcome, Failure> {
        let mut opened = place.open().await?;
        let takes = Duration::from_millis(options.takes);
        let (limit, others) = (Duration::from_secs(options.timeout), options.operations / 2);
        if self.backlog > 0 {
            let whose = Whose::Of(1);
            let count = self.backlog;
            let backlog = Backlog { count, whose, takes, has_target: false, is_finished: false };
            opened = fill(opened, &backlog).await?;
        }
        let (first, later) = self.operations(options.operations, takes)?;
        enqueue(&opened.ports, first).await?;
        let before = opened.cost().await?;
        let ledger = Arc::new(Ledger::with_apart(agent(0)?));
        let running = Running::start(&opened.ports, &ledger, config(self.concurrency))?;
        let mut asked = None;
        if !later.is_empty() {
            // By then it has read what waits.
            ledger.until(5, limit).await?;
            asked = Some(enqueue(&opened.ports, later).await?);
        }
        let ended = match (self.backlog, self.arrival) {
            (0, Arrival::Before) => ledger.until(options.operations, limit).await,
            _ => ledger.until_others(others, limit).await,
        };
        let drained = running.end().await;
        ended?;
        let (drained, cost) = (drained?, opened.cost().await?.since(&before));
        opened.close().await?;
        self.outcome(options, place.name(), &drained, asked.as_ref(), cost)
    }

    /// What waits when the worker starts, and what comes later.
    fn operations(
        self,
        count: usize,
        takes: Duration,
    ) -> Result<(Vec<NewOperation>, Vec<NewOperation>), Failure> {
        let whose = |number: usize| if number.is_multiple_of(2) { 0 } else { 1 + number / 2 % OTHERS };
        let all =
            (0..count).map(|number| Ok((whose(number), operation(agent(whose(number))?, number, takes)?)));
        let all: Vec<(usize, NewOperation)> = all.collect::<Result<_, Failure>>()?;
        let is_first = |agent: usize| agent == 0 || self.arrival == Arrival::Before;
        // To ask for its half behind such a backlog may take longer than everything else.
        let is_wanted = |agent: usize| agent != 0 || self.backlog == 0;
        let all = all.into_iter().filter(|(agent, _)| is_wanted(*agent));
        let (first, later): (Vec<_>, Vec<_>) = all.partition(|(agent, _)| is_first(*agent));
        let alone = |all: Vec<(usize, NewOperation)>| all.into_iter().map(|(_, new)| new).collect();
        Ok((alone(first), alone(later)))
    }

    fn outcome(
        self,
        options: &Options,
        store: &'static str,
        drained: &Drained,
        asked: Option<&Asked>,
        cost: Cost,
    ) -> Result<Outcome, Failure> {
        let hot = agent(0)?;
        let waits = match asked {
            None => drained.waits(|agent| *agent != hot),
            Some(asked) => {
                let starts = drained.ledger.starts();
                let wait = |(id, at): (&OperationId, &Instant)| Some(starts.get(id)?.1.duration_since(*at));
                Waits::of(asked.at.iter().filter_map(wait))
            }
        };
        let (all_before, broken) = (self.arrival == Arrival::Before, drained.ledger.broken());
        let (starts, ended) = (drained.waits(|_| true), drained.ledger.starts().len());
        let ideal = self.ideal_waits(options);
        let ideal_makespan = (options.operations.div_ceil(2) as u64 * options.takes) as f64 / 1e3;
        let seconds = drained.makespan.as_secs_f64();
        let each = |value: Option<f64>| value.map(|value| rounded(value / ended as f64));
        Ok(Outcome {
            workload: "W3",
            store,
            concurrency: self.concurrency,
            ops: options.operations,
            backlog: self.backlog,
            arrival: self.arrival,
            ended,
            ops_per_s: rounded(ended as f64 / seconds),
            makespan_s: rounded(seconds),
            ideal_makespan_s: (all_before && self.backlog == 0).then_some(ideal_makespan),
            wait_others_p50_ms: waits.percentile(50),
            wait_others_p99_ms: waits.percentile(99),
            ideal_wait_others_p50_ms: ideal.percentile(50).filter(|_| all_before),
            ideal_wait_others_p99_ms: ideal.percentile(99).filter(|_| all_before),
            wait_others_p99_ratio: None,
            start_p50_ms: starts.percentile(50),
            start_p99_ms: starts.percentile(99),
            worker_cpu_s: rounded(drained.cpu),
            store_cpu_s: cost.cpu.map(rounded),
            statements_per_op: each(cost.statements),
            wal_bytes_per_op: each(cost.wal),
            broken,
            load: rounded(drained.busy.of_others(drained.cpu + cost.cpu.unwrap_or(0.0))),
        })
    }

    /// One slot is the hot agent's; the others' operations take the rest of them without a gap.
    fn ideal_waits(self, options: &Options) -> Waits {
        let slots = (self.concurrency - 1).clamp(1, OTHERS);
        let rounds = (0..options.operations / 2).map(|number| (number / slots) as u64);
        Waits::of(rounds.map(|round| Duration::from_millis(round * options.takes)))
    }
}
