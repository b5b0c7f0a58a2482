//! Which occurrences are due: told as stories, and held for any schedule, any agents and any times of asking.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod properties;
mod stories;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationKind};
use archibald_core::schedule::{Cron, Due, Missed, Period, Planner, Schedule, Times};
use archibald_core::time::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn agents(names: &[&str]) -> BTreeSet<AgentId> {
    names.iter().map(|name| AgentId::new(name).unwrap()).collect()
}

fn every(count: u64) -> Times {
    Times::Every(Period::new(minutes(count)).unwrap())
}

fn cron(text: &str, zone: &str) -> Times {
    Times::Cron(Cron::new(text, zone).unwrap())
}

/// All that is due now for those who are there.
fn ask(planner: &mut Planner, now: Timestamp, there: BTreeSet<AgentId>) -> Vec<Due> {
    planner.meet(now, there);
    planner.poll(now, usize::MAX)
}

/// Everybody at the nominal time itself.
fn at_once(times: Times, missed: Missed) -> Arc<Schedule> {
    let kind = OperationKind::new("sync-orders").unwrap();
    Arc::new(Schedule { spread: Duration::ZERO, missed, ..Schedule::of(kind, times) })
}
