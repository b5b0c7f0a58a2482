//! Devices that follow their agents: how late they learn, what a connection costs, and what one that stops reading
//! does to the others.
//!
//! - `live`: so many events a second of agents with three devices each, then as many as can be; with a database also
//!   with the writer in another process than the server.
//! - `idle`: very many devices to whom nothing is told but that the log was read.
//! - `stalled`: one agent writes as fast as it can, and then again beside a device of it that stopped reading.
//!
//! One JSON line for each part, store and transport. A hole or a repeat fails instead of being printed.
use std::time::Duration;

use archibald_benches::Failure;
use archibald_benches::fanout::stage::{Stage, Told, Used};
use archibald_benches::fanout::writer::{Committed, Plan};
use archibald_benches::fanout::{Transport, child, most_connections};
use archibald_benches::machine::Busy;
use archibald_benches::store::Place;
use archibald_benches::wait::rounded;
use clap::{Parser, ValueEnum};
use serde::Serialize;

#[derive(Debug, Parser)]
struct Options {
    /// Which parts
    #[arg(long, value_delimiter = ',', default_value = "live,idle,stalled")]
    parts: Vec<Part>,
    /// sqlite:PATH, postgres://…, postgres (a private cluster) or memory; `idle` and `stalled` take the first
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    store: Vec<String>,
    /// By what the devices follow
    #[arg(long, value_delimiter = ',', default_value = "sse,ws")]
    transports: Vec<Transport>,
    /// Agents that write
    #[arg(long, default_value_t = 60)]
    agents: usize,
    /// Devices of each agent
    #[arg(long, default_value_t = 3)]
    devices: usize,
    /// Events of each agent, at a pace and again without
    #[arg(long, default_value_t = 40)]
    events: usize,
    /// Events a second of all agents together
    #[arg(long, default_value_t = 120.0)]
    per_second: f64,
    /// Devices without news
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// How long those are watched
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Devices that stop reading, all of one agent
    #[arg(long, default_value_t = 1)]
    stalled: usize,
    /// Events of the agent whose devices stop reading
    #[arg(long, default_value_t = 20_000)]
    hot: usize,
    /// We are a process of a run
    #[arg(long, hide = true)]
    as_child: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Live,
    Idle,
    Stalled,
}

#[derive(Debug, Serialize)]
struct Live {
    part: &'static str,
    store: &'static str,
    transport: Transport,
    /// Of whoever writes: the server's, or another one.
    writer: &'static str,
    agents: usize,
    devices: usize,
    events: usize,
    deliveries: u64,
    holes: u64,
    repeats: u64,
    events_per_s: f64,
    /// From when whoever asked knew that it is committed.
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// From when it was asked for.
    asked_p50_ms: Option<f64>,
    asked_p99_ms: Option<f64>,
    /// Beyond what the same events cost without devices.
    server_cpu_us_per_delivery: f64,
    store_cpu_us_per_delivery: Option<f64>,
    /// Without a pace.
    most_events_per_s: f64,
    most_deliveries_per_s: f64,
    most_p99_ms: Option<f64>,
    /// Of the idle ones; `null` where that part was left out, or was of another store.
    bytes_per_connection: Option<u64>,
    load: f64,
}

#[derive(Debug, Serialize)]
struct Idle {
    part: &'static str,
    store: &'static str,
    transport: Transport,
    agents: usize,
    devices: usize,
    /// More than the machine allows.
    devices_wanted: usize,
    server_mb: f64,
    bytes_per_connection: u64,
    /// While nothing is told but that the log was read, every 15 s to each.
    server_cpu_percent: f64,
    load: f64,
}

#[derive(Debug, Serialize)]
struct Stalled {
    part: &'static str,
    store: &'static str,
    transport: Transport,
    agents: usize,
    devices: usize,
    stalled: usize,
    events: usize,
    holes: u64,
    repeats: u64,
    /// At the devices of the other agents.
    without_p50_ms: Option<f64>,
    without_p99_ms: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// At the devices of the agent that writes most.
    without_beside_p99_ms: Option<f64>,
    beside_p99_ms: Option<f64>,
    /// What its events come to as they are sent.
    unread_mb: f64,
    without_growth_kib: i64,
    growth_kib: i64,
    load: f64,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    match &options.as_child {
        Some(role) => child::be(role),
        None => tokio::runtime::Runtime::new()?.block_on(run(&options)),
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    let most = most_connections()?;
    for (number, store) in options.store.iter().enumerate() {
        let place = Place::find(store)?;
        for transport in options.transports.iter().copied() {
            let mut run = Run { options, place: &place, transport, bytes_per_connection: None };
            if options.parts.contains(&Part::Idle) && number == 0 {
                run.bytes_per_connection = Some(run.idle(most).await?);
            }
            if options.parts.contains(&Part::Live) {
                run.live(false).await?;
                if matches!(place, Place::Private(_) | Place::Given(_)) {
                    run.live(true).await?;
                }
            }
            if options.parts.contains(&Part::Stalled) && number == 0 {
                run.stalled().await?;
            }
        }
    }
    Ok(())
}

/// One store and transport.
struct Run<'a> {
    options: &'a Options,
    place: &'a Place,
    transport: Transport,
    /// Of those that are idle, where that was asked for.
    bytes_per_connection: Option<u64>,
}

impl Run<'_> {
    fn devices(&self) -> usize {
        self.options.agents * self.options.devices
    }

    fn plan(&self, each: usize, per_second: Option<f64>) -> Plan {
        Plan { agents: self.options.agents, each, per_second, hot: None }
    }

    async fn live(&self, across: bool) -> Result<(), Failure> {
        let Self { options, place, transport, .. } = self;
        eprintln!("live: {transport:?} on {}, across processes: {across}", place.name());
        let mut stage = Stage::set(place, options.agents, self.devices(), across).await?;
        // Connections are made and statements prepared before it counts.
        stage.write(&self.plan(2, None), false).await?;
        let paced = self.plan(options.events, Some(options.per_second));
        let before = stage.used().await?;
        stage.write(&paced, false).await?;
        let without = stage.used().await?.since(&before);
        stage.connect(*transport, options.agents, self.devices(), false).await?;
        stage.write(&self.plan(2, None), true).await?;
        let (before, busy) = (stage.used().await?, Busy::now());
        let told = stage.write(&paced, true).await?;
        let with = stage.used().await?.since(&before);
        let load = busy.of_others(with.all);
        let most = stage.write(&self.plan(options.events, None), true).await?;
        stage.strike().await?;
        let line = self.told(across, &told, [without, with], &most, load);
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }

    fn told(&self, across: bool, told: &Told, [without, with]: [Used; 2], most: &Told, load: f64) -> Live {
        let (beyond, deliveries) = (with.since(&without), told.deliveries());
        let each = |seconds: f64| rounded(seconds * 1e6 / deliveries.max(1) as f64);
        let a_second = |count: f64, told: &Told| rounded(count / told.took().as_secs_f64().max(1e-9));
        let all = |_| true;
        let (committed, asked) = (told.delays(all, |event| event.at), told.delays(all, |event| event.asked));
        Live {
            part: "live",
            store: self.place.name(),
            transport: self.transport,
            writer: if across { "another process" } else { "server" },
            agents: self.options.agents,
            devices: self.devices(),
            events: told.committed.len(),
            deliveries,
            holes: told.holes(),
            repeats: told.repeats(),
            events_per_s: a_second(told.committed.len() as f64, told),
            p50_ms: committed.percentile(50),
            p99_ms: committed.percentile(99),
            asked_p50_ms: asked.percentile(50),
            asked_p99_ms: asked.percentile(99),
            server_cpu_us_per_delivery: each(beyond.server),
            store_cpu_us_per_delivery: beyond.store.map(each),
            most_events_per_s: a_second(most.committed.len() as f64, most),
            most_deliveries_per_s: a_second(most.deliveries() as f64, most),
            most_p99_ms: most.delays(all, |event| event.at).percentile(99),
            bytes_per_connection: self.bytes_per_connection,
            load: rounded(load),
        }
    }

    /// What a connection costs, in bytes.
    async fn idle(&self, most: usize) -> Result<u64, Failure> {
        let Self { options, place, transport, .. } = self;
        let wanted = options.connections;
        let devices = wanted.min(most);
        if devices < wanted {
            eprintln!("idle: {wanted} connections are not possible, a process may have {most} open files");
        }
        let agents = devices.div_ceil(options.devices);
        eprintln!("idle: {devices} devices by {transport:?} on {}", place.name());
        let mut stage = Stage::set(place, agents, devices, false).await?;
        // What the first connections need is not theirs.
        let first = (devices / 100).max(1);
        stage.connect(*transport, agents, first, false).await?;
        let memory = stage.memory().await?;
        stage.connect(*transport, agents, devices - first, false).await?;
        let grown = stage.memory().await?;
        let (before, busy) = (stage.used().await?, Busy::now());
        tokio::time::sleep(Duration::from_secs(options.seconds)).await;
        let used = stage.used().await?.since(&before);
        let load = busy.of_others(used.all);
        stage.strike().await?;
        let bytes_per_connection = grown.saturating_sub(memory) / (devices - first).max(1) as u64;
        let line = Idle {
            part: "idle",
            store: place.name(),
            transport: *transport,
            agents,
            devices,
            devices_wanted: wanted,
            server_mb: rounded(grown as f64 / 1e6),
            bytes_per_connection,
            server_cpu_percent: rounded(used.server * 100.0 / options.seconds.max(1) as f64),
            load: rounded(load),
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(bytes_per_connection)
    }

    async fn stalled(&self) -> Result<(), Failure> {
        let Self { options, place, transport, .. } = self;
        eprintln!("stalled: {transport:?} on {}", place.name());
        let mut stage = Stage::set(place, options.agents, self.devices() + options.stalled, false).await?;
        stage.connect(*transport, options.agents, self.devices(), false).await?;
        let paced = self.plan(options.events, Some(options.per_second));
        let plan = Plan { hot: Some(options.hot), ..paced };
        // Once for nothing, so that what grows with the first events has grown.
        stage.write(&plan, true).await?;
        let (busy, used) = (Busy::now(), stage.used().await?);
        let (without, without_growth_kib) = watched(&mut stage, &plan).await?;
        // All of them are the first agent's.
        stage.connect(*transport, 1, options.stalled, true).await?;
        let (with, growth_kib) = watched(&mut stage, &plan).await?;
        let used = stage.used().await?.since(&used);
        let load = busy.of_others(used.all);
        stage.strike().await?;
        let at = |event: &Committed| event.at;
        let others = [&without, &with].map(|told| told.delays(|agent| agent != 0, at));
        let beside = [&without, &with].map(|told| told.delays(|agent| agent == 0, at));
        let line = Stalled {
            part: "stalled",
            store: place.name(),
            transport: *transport,
            agents: options.agents,
            devices: self.devices(),
            stalled: options.stalled,
            events: with.committed.len(),
            holes: with.holes(),
            repeats: with.repeats(),
            without_p50_ms: others[0].percentile(50),
            without_p99_ms: others[0].percentile(99),
            p50_ms: others[1].percentile(50),
            p99_ms: others[1].percentile(99),
            without_beside_p99_ms: beside[0].percentile(99),
            beside_p99_ms: beside[1].percentile(99),
            unread_mb: rounded(with.bytes_of_first() as f64 / options.devices.max(1) as f64 / 1e6),
            without_growth_kib,
            growth_kib,
            load: rounded(load),
        };
        println!("{}", serde_json::to_string(&line)?);
        Ok(())
    }
}

/// What was told, and the most by which the server's memory grew meanwhile, in KiB.
async fn watched(stage: &mut Stage, plan: &Plan) -> Result<(Told, i64), Failure> {
    let before = stage.memory_now();
    let told = stage.write(plan, true).await?;
    let grown = i64::try_from(stage.memory_now())? - i64::try_from(before)?;
    Ok((told, grown / 1024))
}
