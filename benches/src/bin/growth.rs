//! What becomes of the tables while operations come and go for as long as one likes: how many rows they have, how many
//! dead ones, and what they take.
//!
//! Operations come at a steady rate, a worker runs them, and what is finished and told is let go after `--keep` seconds.
//! One JSON line; tables that go on growing in the second half of four minutes or more fail the run.
use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_benches::Failure;
use archibald_benches::meter::Table;
use archibald_benches::run::{Running, config};
use archibald_benches::store::{Opened, Place, Three};
use archibald_benches::wait::rounded;
use archibald_benches::work::{Broken, Ledger, agent, operation};
use archibald_runtime::RuntimeConfig;
use clap::Parser;
use futures::StreamExt;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

/// Looks at the tables.
const LOOKS: u32 = 20;
/// Operations that are asked for together.
const CALLERS: usize = 50;
/// How long what is under way at the end may take.
const END: Duration = Duration::from_secs(120);
/// Seconds from which on it is judged: what is dead goes once a minute or two.
const JUDGED_FROM: u32 = 240;
/// What a table may take at its largest in the second half of the time, in parts of the same in the first; small ones are
/// left to their first vacuum.
const GROWTH: f64 = 1.25;
const SMALL_KIB: i64 = 4_096;
/// And how often what is kept may be there: what is too old is looked for now and then, and goes in batches.
const LEFT: f64 = 3.0;

#[derive(Debug, Parser)]
struct Options {
    /// postgres (a private cluster) or postgres://…
    #[arg(long, default_value = "postgres")]
    store: String,
    /// How long operations come
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Operations a second
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    per_second: u32,
    /// Agents that they are of
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    agents: u32,
    /// Operations that run together
    #[arg(long, default_value_t = 20)]
    concurrency: usize,
    /// Seconds for which finished operations and events are kept
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: &'static str,
    store: &'static str,
    ops: usize,
    seconds: f64,
    /// Operations that are kept if none is kept too long.
    kept: f64,
    /// All tables with their indexes, largest first.
    tables: Vec<Growth>,
    kib_at_most: [i64; 2],
    #[serde(flatten)]
    broken: Broken,
}

/// The most that there was of a table in the first half of the time and in the second.
#[derive(Debug, Serialize)]
struct Growth {
    name: String,
    rows_at_most: [i64; 2],
    dead_at_most: [i64; 2],
    kib_at_most: [i64; 2],
    updates: i64,
    within_page: i64,
}

/// The tables at one time.
type Look = Vec<Table>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let place = Place::find(&options.store)?;
    let mut opened = place.open().await?;
    if opened.tables().await?.is_empty() {
        return Err("--store: only of PostgreSQL is it known what a table takes".into());
    }
    let ledger = Arc::new(Ledger::default());
    let keep = Duration::from_secs(options.keep.into());
    let retention = RuntimeConfig {
        keep_finished: keep,
        keep_events: keep,
        sweep: Duration::from_secs(1),
        ..config(options.concurrency)
    };
    let running = Running::start(&opened.ports, &ledger, retention)?;
    let began = Instant::now();
    let ports = opened.ports.clone();
    let (asked, looks) = tokio::try_join!(ask(&ports, &options), look(&mut opened, &options))?;
    ledger.until(asked, END).await?;
    let seconds = began.elapsed().as_secs_f64();
    let drained = running.end().await?;
    opened.close().await?;
    let outcome = Outcome {
        workload: "growth",
        store: place.name(),
        ops: asked,
        seconds: rounded(seconds),
        kept: f64::from(options.per_second) * f64::from(options.keep),
        tables: growth(&looks),
        kib_at_most: halves(&looks, |look| look.iter().map(|table| table.kib).sum()),
        broken: drained.ledger.broken(),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    if options.seconds < JUDGED_FROM { Ok(()) } else { check(&outcome) }
}

/// Operations at a steady rate, of the agents in turn. How many.
async fn ask(ports: &Three, options: &Options) -> Result<usize, Failure> {
    let count = usize::try_from(options.per_second * options.seconds)?;
    let agents = usize::try_from(options.agents)?;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / options.per_second);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let paced = futures::stream::unfold((pace, 0), |(mut pace, number)| async move {
        pace.tick().await;
        Some((number, (pace, number + 1)))
    });
    let asked = paced.take(count).map(|number| async move {
        let new = operation(agent(number % agents)?, number, Duration::ZERO)?;
        ports.store.enqueue(new).await?;
        Ok::<_, Failure>(())
    });
    let mut asked = std::pin::pin!(asked.buffer_unordered(CALLERS));
    while let Some(one) = asked.next().await {
        one?;
    }
    Ok(count)
}

async fn look(opened: &mut Opened, options: &Options) -> Result<Vec<Look>, Failure> {
    let mut looks = vec![];
    let mut pace = tokio::time::interval(Duration::from_secs(options.seconds.into()) / LOOKS);
    pace.tick().await;
    for _ in 0..LOOKS {
        pace.tick().await;
        let tables = opened.tables().await?;
        let (rows, dead): (i64, i64) =
            tables.iter().fold((0, 0), |(rows, dead), table| (rows + table.rows, dead + table.dead));
        let kib: i64 = tables.iter().map(|table| table.kib).sum();
        eprintln!("{rows:>8} rows {dead:>8} dead {kib:>8} KiB");
        looks.push(tables);
    }
    Ok(looks)
}

fn growth(looks: &[Look]) -> Vec<Growth> {
    let Some(last) = looks.last() else { return vec![] };
    let of = |name: &str, what: fn(&Table) -> i64| {
        halves(looks, |look| look.iter().find(|table| table.name == name).map_or(0, what))
    };
    last.iter()
        .filter(|table| table.rows + table.dead > 0)
        .map(|table| Growth {
            rows_at_most: of(&table.name, |table| table.rows),
            dead_at_most: of(&table.name, |table| table.dead),
            kib_at_most: of(&table.name, |table| table.kib),
            name: table.name.clone(),
            updates: table.updates,
            within_page: table.within_page,
        })
        .collect()
}

/// The most that there was in the first half of the time, and in the second.
fn halves(looks: &[Look], what: impl Fn(&Look) -> i64) -> [i64; 2] {
    let (first, second) = looks.split_at(looks.len() / 2);
    [first, second].map(|half| half.iter().map(&what).max().unwrap_or(0))
}

/// Whether what came also went.
fn check(outcome: &Outcome) -> Result<(), Failure> {
    for Growth { name, kib_at_most: [first, second], .. } in &outcome.tables {
        if *second > SMALL_KIB && *second as f64 > *first as f64 * GROWTH {
            return Err(format!("{name} grew from {first} to {second} KiB").into());
        }
    }
    let finished = outcome.tables.iter().find(|table| table.name == "finished");
    let left = finished.ok_or("no table of what is finished")?.rows_at_most[1];
    if left as f64 > outcome.kept * LEFT {
        return Err(format!("{left} finished operations are kept").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, rows: i64, kib: i64) -> Table {
        Table { name: name.to_owned(), rows, dead: 0, updates: 0, within_page: 0, kib }
    }

    /// What is said of four looks, in each of which these two tables have so many KiB, and rows of what is finished.
    fn said(kib: [i64; 4], rows: i64) -> Result<(), String> {
        let looks: Vec<_> =
            kib.iter().map(|kib| vec![table("events", 9, *kib), table("finished", rows, 64)]).collect();
        let (tables, kib_at_most) = (growth(&looks), halves(&looks, |look| look[0].kib));
        let broken = Broken::default();
        let (workload, store) = ("growth", "postgres");
        let outcome =
            Outcome { workload, store, ops: 9, seconds: 300.0, kept: 10.0, tables, kib_at_most, broken };
        check(&outcome).map_err(|error| error.to_string())
    }

    #[test]
    fn a_table_that_goes_on_growing_fails_the_run() {
        assert_eq!(said([5_000, 8_000, 9_000, 8_000], 10), Ok(()));
        assert_eq!(said([100, 200, 300, 400], 10), Ok(()));
        let grew = "events grew from 6000 to 8000 KiB".to_owned();
        assert_eq!(said([5_000, 6_000, 7_000, 8_000], 10), Err(grew));
        assert_eq!(said([5_000; 4], 31), Err("31 finished operations are kept".to_owned()));
    }
}
