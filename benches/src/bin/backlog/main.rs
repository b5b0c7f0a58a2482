//! What waits, and what it costs those who have nothing to do with it.
//!
//! For each way in which operations lie over the agents, and for each number of them: the time of calls made one
//! by one, of a worker's sweeps, and of its first start; on a private cluster also what the statements behind
//! them looked at. Whatever grows with the number is named.
//!
//! | shape | what |
//! | --- | --- |
//! | `spread` | ten each of many agents |
//! | `hot` | 99 of 100 of one agent, the others of 59 |
//! | `alone` | all of one agent: what others have is not in the database's statistics |
//! | `target` | as `hot`, and all for one thing, so that one goes after the other |
//! | `finished` | none waits: those of one agent and for one thing have ended and are kept |
//!
//! | call | of whom |
//! | --- | --- |
//! | `front` | the agent who has most: what of his a worker reads to go on |
//! | `enqueue`, `enqueue_background` | the same |
//! | `lease_settle` | the same: two calls, together |
//! | `front_other`, `enqueue_other`, `lease_settle_other` | an agent who has nothing else |
//!
//! One JSON line a run; a run that was not alone, in order and once for every operation fails.
mod growth;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use archibald_benches::Failure;
use archibald_benches::call::Caller;
use archibald_benches::fill::{Backlog, Whose, fill, target};
use archibald_benches::machine::{Busy, cpu_of_this_process};
use archibald_benches::plan::{Explained, Looked};
use archibald_benches::store::{Opened, Place};
use archibald_benches::sweep::sweep;
use archibald_benches::wait::{Waits, rounded};
use archibald_benches::work::{Broken, agent};
use archibald_core::operation::Class;
use clap::{Parser, ValueEnum};
use serde::Serialize;

use self::growth::Measured;

/// Calls of each kind that are explained.
const EXPLAINED: usize = 5;
/// Who has nothing else.
const OTHER: usize = 999_999;

#[derive(Debug, Parser)]
struct Options {
    /// sqlite:PATH, postgres://…, postgres (a private cluster) or memory
    #[arg(long, default_value = "postgres")]
    store: String,
    /// How many operations there are, the fewest first
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    sizes: Vec<usize>,
    /// How they lie over the agents
    #[arg(long, value_delimiter = ',', default_value = "spread,hot,alone,target,finished")]
    shapes: Vec<Shape>,
    /// Calls of each kind
    #[arg(long, default_value_t = 50)]
    samples: usize,
    /// Sweeps after the first
    #[arg(long, default_value_t = 5)]
    sweeps: usize,
    /// Seconds after which a run is given up
    #[arg(long, default_value_t = 900)]
    timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Spread,
    Hot,
    Alone,
    Target,
    Finished,
}

#[derive(Debug, Serialize)]
struct Outcome {
    workload: &'static str,
    store: &'static str,
    shape: Shape,
    /// Operations that wait, or of `finished`, that are kept.
    backlog: usize,
    fill_s: f64,
    #[serde(flatten)]
    measured: Measured,
    /// Medians to those of the first size.
    ratio: BTreeMap<&'static str, f64>,
    /// What grew, with the statements' files.
    not_flat: Vec<String>,
    #[serde(flatten)]
    broken: Broken,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let place = Place::find(&options.store)?;
    for shape in &options.shapes {
        if *shape == Shape::Finished && matches!(place, Place::Memory) {
            eprintln!("{shape:?}: left out, a store in memory cannot be given finished operations");
            continue;
        }
        let mut first: Option<Measured> = None;
        for size in &options.sizes {
            eprintln!("{shape:?} {size}");
            let limit = Duration::from_secs(options.timeout);
            let run = run(&options, &place, *shape, *size);
            let late = |_| format!("{shape:?} {size} took longer than {limit:?}");
            let mut outcome = tokio::time::timeout(limit, run).await.map_err(late)??;
            let first = first.get_or_insert_with(|| outcome.measured.clone());
            outcome.ratio = outcome.measured.ratios(first);
            outcome.not_flat = outcome.measured.grown(first);
            println!("{}", serde_json::to_string(&outcome)?);
        }
    }
    Ok(())
}

async fn run(options: &Options, place: &Place, shape: Shape, size: usize) -> Result<Outcome, Failure> {
    let (began, busy, cpu) = (Instant::now(), Busy::now(), cpu_of_this_process());
    let mut opened = fill(place.open().await?, &shape.backlog(size)).await?;
    let filled = began.elapsed();
    eprintln!("filled in {filled:.0?}");
    let cost = opened.cost().await?;
    let mut caller = Caller::of(&opened.ports)?;
    let calls = calls(&mut caller, shape, options.samples).await?;
    let mut measured = Measured::of(calls);
    let swept = sweep(&opened.ports, options.sweeps, Duration::from_secs(60)).await?;
    measured.add("first_sweep", &Waits::of([swept.first]));
    measured.add("first_start", &Waits::of(swept.first_start));
    measured.add("sweep", &swept.later);
    let store_cpu = opened.cost().await?.since(&cost).cpu;
    opened = explain(opened, shape, &mut measured).await?;
    opened.close().await?;
    let broken = caller.broken();
    broken.check()?;
    Ok(Outcome {
        workload: "backlog",
        store: place.name(),
        shape,
        backlog: size,
        fill_s: rounded(filled.as_secs_f64()),
        measured,
        ratio: BTreeMap::new(),
        not_flat: vec![],
        broken,
        load: rounded(busy.of_others(cpu_of_this_process() - cpu + store_cpu.unwrap_or(0.0))),
    })
}

impl Shape {
    fn backlog(self, count: usize) -> Backlog {
        let whose = match self {
            Self::Spread => Whose::Of(count.div_ceil(10)),
            Self::Hot | Self::Target => Whose::NearlyAllOfOne,
            Self::Alone | Self::Finished => Whose::Of(1),
        };
        Backlog {
            count,
            whose,
            takes: Duration::ZERO,
            has_target: matches!(self, Self::Target | Self::Finished),
            is_finished: self == Self::Finished,
        }
    }
}

type Calls = BTreeMap<&'static str, Vec<Duration>>;

/// So many of each kind, one by one: first those who ask, so that there is something to lease.
async fn calls(caller: &mut Caller, shape: Shape, count: usize) -> Result<Calls, Failure> {
    let (most, other) = (agent(0)?, agent(OTHER)?);
    let target = if shape.backlog(1).has_target { Some(target()?) } else { None };
    // Connections are made and statements prepared before it counts, and the two agents are known.
    caller.ask(&most, Class::Interactive, target.clone()).await?;
    caller.ask(&other, Class::Interactive, None).await?;
    for agent in [&most, &other] {
        caller.front(agent).await?;
        caller.turn(agent).await?;
    }
    let mut calls = Calls::new();
    for _ in 0..count {
        let mut note = |name, took| calls.entry(name).or_default().push(took);
        note("enqueue", caller.ask(&most, Class::Interactive, target.clone()).await?);
        note("enqueue_other", caller.ask(&other, Class::Interactive, None).await?);
        note("enqueue_background", caller.ask(&most, Class::Background, None).await?);
        note("front", caller.front(&most).await?.0);
        note("front_other", caller.front(&other).await?.0);
        let nothing = "nothing waited where something was asked for";
        note("lease_settle", caller.turn(&most).await?.ok_or(nothing)?);
        note("lease_settle_other", caller.turn(&other).await?.ok_or(nothing)?);
    }
    Ok(calls)
}

/// Makes a few calls and sweeps again with all statements explained, where that can be had.
async fn explain(opened: Opened, shape: Shape, measured: &mut Measured) -> Result<Opened, Failure> {
    let (opened, explained) = Explained::open(opened).await?;
    let Some(explained) = explained else { return Ok(opened) };
    let mut caller = Caller::of(&opened.ports)?.prefixed("explained");
    let began = explained.end()?;
    calls(&mut caller, shape, EXPLAINED).await?;
    let called = explained.end()?;
    let of_calls = explained.read(began)?;
    sweep(&opened.ports, 1, Duration::from_secs(60)).await?;
    measured.calls = Some(of_calls);
    measured.sweep = Some(a_sweep(&explained.read(called)?));
    caller.broken().check()?;
    Ok(opened)
}

/// Of one page of several sweeps.
fn a_sweep(looked: &BTreeMap<String, Looked>) -> BTreeMap<String, Looked> {
    let sweeps = looked.get("survey.sql").map_or(1, |survey| survey.calls).max(1);
    looked.iter().map(|(name, looked)| (name.clone(), looked.share(sweeps))).collect()
}
