use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use archibald_core::scheduler::SchedulerConfig;
use archibald_testing::data::DataSet;
use clap::{Parser, Subcommand, ValueEnum};

use super::error::SimulateError;
use super::generate::Shape;
use super::policy::Policy;
use super::workload::Workload;

/// What fits into the memory of any machine.
const MOST_OPERATIONS: f64 = 10_000_000.0;

/// What if: the scheduler that workers have, in virtual time, over a day that is made or was recorded.
///
/// Prints how long operations waited and for what, preemptions, logins, and how much of slots and contexts was used.
/// Every duration is one of the ERP's requests (5 to 15 s in life) times how many an operation makes; `docs/sizing.md`
/// says where each number comes from. A failing run of the core's own simulation is shown step by step by
/// `cargo run -p archibald-core --example simulate -- replay FILE --step`.
#[derive(Debug, Parser)]
#[command(name = "simulate", args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) task: Option<Task>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// The smallest number of contexts that meets a target, for each number of agents.
    Size(SizeArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Sales agents (the recorded orders' own where there is `--data`).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    agents: Option<u64>,
    /// Browsers.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    browsers: u64,
    /// Contexts in each.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    contexts: u64,
    /// Attempts that may run together.
    #[arg(long, value_name = "N", default_value_t = fixed().slots as u64)]
    slots: u64,
    /// Slots that syncs may not take.
    #[arg(long, value_name = "N", default_value_t = fixed().reserved_interactive as u64)]
    reserved: u64,
    #[command(flatten)]
    pub(super) common: Common,
    /// The folder of the Northwind CSV files: their orders are submitted, each on its day.
    #[arg(long, value_name = "DIR", conflicts_with = "workload")]
    data: Option<PathBuf>,
    /// Lines of JSON: at_ms, agent, class, kind, duration_ms, and requests_ms where it is known.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["agents", "hot", "days"])]
    workload: Option<PathBuf>,
    /// Days (as many as the orders cover where there is `--data`; given with it, the orders are laid on so many).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_660))]
    days: Option<u64>,
    /// Syncs of the first agent that wait from the beginning.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    hot: u64,
    /// Write the workload, for `--workload`.
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Print one JSON line in place of the table.
    #[arg(long)]
    pub(super) json: bool,
    /// Draw waits by class, and what was in use over the day.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SizeArgs {
    /// Numbers of agents.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "60,600,6000", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) agents: Vec<u64>,
    /// What of 100 interactive operations 99 must not exceed.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, allow_negative_numbers = true)]
    pub(super) target_p99: f64,
    /// What that target is about: the wait for a slot alone, or all that other agents cost, so with the login that
    /// is needed where another agent got the context.
    #[arg(long, value_enum, default_value_t = TargetOf::Others)]
    pub(super) target_of: TargetOf,
    /// Within which time 99 of 100 syncs must be done.
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0 * 3600.0, allow_negative_numbers = true)]
    pub(super) target_sync: f64,
    /// Contexts in each browser.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) contexts: u64,
    /// Slots per hundred contexts: the rest keeps idle agents logged in.
    #[arg(long, value_name = "N", default_value_t = 67, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(super) slots_percent: u64,
    /// Reserved slots per hundred slots.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=99))]
    pub(super) reserved_percent: u64,
    #[command(flatten)]
    pub(super) common: Common,
    /// Print one JSON line for each number of agents in place of the table.
    #[arg(long)]
    pub(super) json: bool,
    /// Draw the waits over the number of contexts.
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// Decides everything that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Interactive operations, a day and agent.
    #[arg(long, value_name = "MEAN", default_value_t = 20.0, allow_negative_numbers = true)]
    writes: f64,
    /// How many of them are asked for together.
    #[arg(long, value_name = "MEAN", default_value_t = 1.5, allow_negative_numbers = true)]
    batch: f64,
    /// Rounds of syncs, a day and agent.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    sync_rounds: u64,
    /// Whether the agents' rounds are spread over the time between two, or all begin together.
    #[arg(long, value_enum, default_value_t = Spread::Even)]
    sync_spread: Spread,
    /// How long a request to the ERP takes, in milliseconds.
    #[arg(long, value_name = "FROM-TO", default_value = "5000-15000", value_parser = range)]
    request_ms: RangeInclusive<u64>,
    /// The ERP ends a session that is idle for longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 1_200)]
    session_idle: u64,
    /// Once a sync gave way this often it is not asked to again.
    #[arg(long, value_name = "N", default_value_t = fixed().protect_after_preemptions)]
    protect_after: u32,
    /// A run of a sync that was asked for this long ago does not give way.
    #[arg(long, value_name = "SECONDS", default_value_t = fixed().protect_after_age.as_secs())]
    protect_age: u64,
    /// How long a turn lasts at least.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = fixed().quantum.as_millis() as u64)]
    quantum: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TargetOf {
    Slot,
    Others,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spread {
    Even,
    Together,
}

impl RunArgs {
    pub(super) fn policy(&self) -> Result<Policy, SimulateError> {
        let contexts = self.browsers * self.contexts;
        if self.slots > contexts {
            let most = format!("at most --browsers × --contexts ({contexts})");
            return Err(SimulateError::flag("--slots", most, self.slots));
        }
        Ok(self.common.policy(contexts, self.slots, self.reserved))
    }

    pub(super) fn workload(&self) -> Result<Workload, SimulateError> {
        if let Some(file) = &self.workload {
            return Workload::read(file);
        }
        let shape = self.common.shape(self.agents.unwrap_or(60), self.days.unwrap_or(1), self.hot)?;
        match &self.data {
            Some(folder) => {
                let data = DataSet::northwind(folder)?;
                let agents = self.agents.map_or(data.agents.len(), |agents| agents as usize);
                shape.record(&data.with_agents(agents), self.days)
            }
            None => Ok(shape.generate()),
        }
    }
}

impl Common {
    /// # Errors
    /// [`SimulateError::Flag`] for what is drawn from and no number of the kind.
    pub(super) fn shape(&self, agents: u64, days: u64, hot: u64) -> Result<Shape, SimulateError> {
        let within = |flag, value: f64, from: f64, to: f64| match (from..=to).contains(&value) {
            true => Ok(value),
            false => Err(SimulateError::flag(flag, format!("from {from} to {to}"), value)),
        };
        let writes = within("--writes", self.writes, 0.0, 10_000.0)?;
        let operations = agents as f64 * days as f64 * (writes + 4.0 * self.sync_rounds as f64) + hot as f64;
        if operations > MOST_OPERATIONS {
            let all = "--agents × --days × (--writes + 4 × --sync-rounds) + --hot";
            return Err(SimulateError::flag(all, format!("at most {MOST_OPERATIONS}"), operations));
        }
        Ok(Shape {
            seed: self.seed,
            agents,
            days,
            writes,
            batch: within("--batch", self.batch, 1.0, 100.0)?,
            rounds: self.sync_rounds,
            spread: self.sync_spread == Spread::Even,
            request_ms: self.request_ms.clone(),
            hot,
        })
    }

    pub(super) fn policy(&self, contexts: u64, slots: u64, reserved: u64) -> Policy {
        let config = SchedulerConfig {
            slots: slots as usize,
            reserved_interactive: reserved as usize,
            protect_after_preemptions: self.protect_after,
            protect_after_age: Duration::from_secs(self.protect_age),
            quantum: Duration::from_millis(self.quantum),
            ..SchedulerConfig::default()
        };
        let policy = Policy::new(config, contexts as usize, self.seed);
        Policy {
            idle_ms: self.session_idle.saturating_mul(1_000),
            request_ms: self.request_ms.clone(),
            ..policy
        }
    }
}

fn range(text: &str) -> Result<RangeInclusive<u64>, String> {
    let two = || {
        let (from, to) = text.split_once('-')?;
        Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?))
    };
    match two() {
        Some((from, to)) if (1..=to).contains(&from) && to <= 3_600_000 => Ok(from..=to),
        _ => Err("two numbers from 1 to 3600000 such as 5000-15000, the smaller one first".to_owned()),
    }
}

/// What a worker has where nothing else is said.
fn fixed() -> SchedulerConfig {
    SchedulerConfig::default()
}
