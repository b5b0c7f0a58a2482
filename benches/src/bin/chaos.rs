//! The event stream with everything going wrong, for as long as one likes: devices over three transports that come and
//! go, servers that are killed, connections that are cut, logs that are pruned, histories that begin anew.
//!
//! One JSON line; anything that a device objects to is an error.
use std::collections::BTreeMap;
use std::time::Duration;

use archibald_benches::Failure;
use archibald_benches::chaos::{Check, Counts, Plan, Report, Store, Transport, serve};
use archibald_benches::machine::{Busy, cpu_of_this_process};
use archibald_benches::store::Place;
use archibald_benches::wait::rounded;
use clap::Parser;
use serde::Serialize;
use tempfile::TempDir;

#[derive(Debug, Parser)]
struct Options {
    /// postgres (a private cluster, with servers that are processes), or sqlite (a new file, with servers that are
    /// threads: a file is for one process)
    #[arg(long, default_value = "postgres")]
    store: String,
    /// Changes that are acknowledged, each with an event at least
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    #[arg(long, default_value_t = 20)]
    agents: usize,
    #[arg(long, default_value_t = 60)]
    devices: usize,
    /// What goes wrong meanwhile, at least one of each sort
    #[arg(long, default_value_t = 20)]
    strikes: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Within so many seconds every device has to know the end
    #[arg(long, default_value_t = 60)]
    bound: u64,
    /// Be a server of this database instead
    #[arg(long, hide = true)]
    serve: Option<String>,
    #[arg(long, hide = true, default_value_t = 3_600_000)]
    heartbeat_ms: u64,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: &'static str,
    store: &'static str,
    seed: u64,
    agents: usize,
    devices: usize,
    /// Written by the store, in so many histories.
    events: u64,
    epochs: usize,
    #[serde(flatten)]
    counts: Counts,
    struck: BTreeMap<&'static str, u64>,
    holes: u64,
    repeats: u64,
    order_breaks: u64,
    phantoms: u64,
    lost: u64,
    needless_resets: u64,
    stale: u64,
    /// From the last change until every device knew of it.
    to_current_s: f64,
    took_s: f64,
    /// What all but this program used of the machine, servers and database among them.
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let heartbeat = Duration::from_millis(options.heartbeat_ms);
    if let Some(url) = options.serve {
        return serve(url, options.agents, heartbeat).await;
    }
    let folder = TempDir::new()?;
    let place = match options.store.as_str() {
        "postgres" | "sqlite" | "sqlite:" => Place::find(&options.store)?,
        other => {
            return Err(format!(
                "the store must be postgres or sqlite, which are made for a run, got {other}"
            )
            .into());
        }
    };
    let (store, program) = match &place {
        Place::Private(cluster) => {
            (Store::Postgres(cluster.create_database("chaos")?), Some(std::env::current_exe()?))
        }
        _ => (Store::Sqlite(folder.path().join("chaos.db")), None),
    };
    let plan = Plan {
        agents: options.agents,
        devices: options.devices,
        changes: options.events,
        strikes: options.strikes,
        bound: Duration::from_secs(options.bound),
        heartbeat,
        program,
        ..Plan::small(options.seed, store, &Transport::ALL)
    };
    let (busy, cpu) = (Busy::now(), cpu_of_this_process());
    let report = plan.run().await?;
    let load = busy.of_others(cpu_of_this_process() - cpu);
    println!("{}", serde_json::to_string(&outcome(place.name(), &plan, &report, load))?);
    for violation in &report.violations {
        eprintln!("{violation}");
    }
    if report.failed.is_empty() { Ok(()) } else { Err(format!("devices object: {:?}", report.failed).into()) }
}

fn outcome(store: &'static str, plan: &Plan, report: &Report, load: f64) -> Outcome {
    let failed = |check| report.failed.get(&check).copied().unwrap_or(0);
    Outcome {
        workload: "chaos",
        store,
        seed: plan.seed,
        agents: plan.agents,
        devices: plan.devices,
        events: report.events,
        epochs: report.epochs,
        counts: report.counts,
        struck: report.struck.clone(),
        holes: failed(Check::Hole),
        repeats: failed(Check::Repeat),
        order_breaks: failed(Check::Order),
        phantoms: failed(Check::Phantom),
        lost: failed(Check::Lost),
        needless_resets: failed(Check::Reset),
        stale: failed(Check::Stale),
        to_current_s: rounded(report.to_current.as_secs_f64()),
        took_s: rounded(report.took.as_secs_f64()),
        load: rounded(load),
    }
}
