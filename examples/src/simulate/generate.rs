//! Workloads that are made: office hours from a seed, or the days and sizes of recorded orders.

use std::ops::RangeInclusive;

use archibald_core::id::AgentId;
use archibald_core::operation::Class;
use archibald_testing::data::DataSet;

use super::dice::Dice;
use super::error::SimulateError;
use super::kinds::{self, SYNCS};
use super::workload::{Job, Workload};
use super::{DAY_MS, HOUR_MS};

/// How likely an operation is asked for in each hour of a day, by proportion: visits before noon, and what was noted
/// on the way at the end of the day.
const HOURS: [f64; 24] = [
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.6, 1.0, 1.3, 1.3, 0.7, 0.5, 0.9, 1.0, 1.3, 1.4, 0.8, 0.3, 0.0,
    0.0, 0.0, 0.0,
];

/// Between two operations that are asked for together: as long as it takes to tap twice.
const TAPS_MS: u64 = 5_000;

/// What a made workload is like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Sales agents.
    pub agents: u64,
    /// Days from midnight to midnight.
    pub days: u64,
    /// Operations that somebody waits for, a day and agent.
    pub writes: f64,
    /// How many of them are asked for together, on average.
    pub batch: f64,
    /// Rounds of syncs, a day and agent.
    pub rounds: u64,
    /// Whether the agents' rounds are spread over the day, or all begin together.
    pub spread: bool,
    /// How long a request to the ERP takes.
    pub request_ms: RangeInclusive<u64>,
    /// Syncs of the first agent that wait from the beginning.
    pub hot: u64,
}

impl Shape {
    /// Everybody asks in office hours, each in Poisson's way.
    #[must_use]
    pub fn generate(&self) -> Workload {
        let agents: Vec<_> = (0..self.agents).map(name).collect();
        let mut jobs = Vec::new();
        for agent in 0..agents.len() as u32 {
            let mut dice = Dice::new(self.seed, u64::from(agent) * 2);
            for day in 0..self.days {
                self.a_day(agent, day, &mut dice, &mut jobs);
            }
        }
        self.add_syncs(agents.len() as u32, self.days, &mut jobs);
        Workload::new(agents, jobs)
    }

    /// Each recorded order on its own day, or on one of `days`, at an hour that is drawn: the records name none.
    ///
    /// # Errors
    /// [`SimulateError::Flag`] for a user that cannot be an agent.
    pub fn record(&self, data: &DataSet, days: Option<u64>) -> Result<Workload, SimulateError> {
        let agents: Result<Vec<_>, _> = data.agents.iter().map(|agent| AgentId::new(&agent.user)).collect();
        let agents = agents.map_err(|error| SimulateError::flag("--data", error.expected, error.got))?;
        let place = |user: &str| agents.iter().position(|agent| agent.as_str() == user);
        let first = data.orders.iter().map(|order| order.date).min().unwrap_or_default();
        let mut jobs = Vec::new();
        for order in &data.orders {
            let Some(agent) = place(&order.agent) else { continue };
            let day = order.date.since(first).map_or(0, |span| u64::try_from(span.get_days()).unwrap_or(0));
            let day = days.map_or(day, |days| day % days);
            let mut dice = Dice::new(self.seed, order.id * 2);
            let requests_ms = self.requests(kinds::of_order(order.lines.len() as u64), &mut dice);
            let (kind, class) = (kinds::kind("submit-order"), Class::Interactive);
            jobs.push(Job {
                at_ms: day * DAY_MS + time_of(dice.share()),
                agent: agent as u32,
                class,
                kind,
                requests_ms,
            });
        }
        let days = jobs.iter().map(|job| job.at_ms / DAY_MS + 1).max().unwrap_or(1);
        self.add_syncs(agents.len() as u32, days, &mut jobs);
        Ok(Workload::new(agents, jobs))
    }

    fn a_day(&self, agent: u32, day: u64, dice: &mut Dice, jobs: &mut Vec<Job>) {
        let mean = self.batch / self.writes;
        let mut share = dice.exponential(mean);
        while share < 1.0 {
            let at_ms = day * DAY_MS + time_of(share);
            for nth in 0..dice.at_least_one(self.batch, 100) {
                let (kind, requests) = kinds::a_write(dice);
                let requests_ms = self.requests(requests, dice);
                let at_ms = at_ms + nth * TAPS_MS;
                jobs.push(Job { at_ms, agent, class: Class::Interactive, kind, requests_ms });
            }
            share += dice.exponential(mean);
        }
    }

    fn add_syncs(&self, agents: u32, days: u64, jobs: &mut Vec<Job>) {
        for agent in 0..agents {
            let mut dice = Dice::new(self.seed, u64::from(agent) * 2 + 1);
            let hot = if agent == 0 { self.hot } else { 0 };
            for nth in 0..hot {
                jobs.push(self.sync(agent, 0, nth as usize, &mut dice));
            }
            let every = DAY_MS / self.rounds.max(1);
            let offset = if self.spread { every * u64::from(agent) / u64::from(agents) } else { 0 };
            for round in 0..self.rounds * days {
                let at_ms = round / self.rounds * DAY_MS + round % self.rounds * every + offset;
                jobs.extend((0..SYNCS.len()).map(|nth| self.sync(agent, at_ms, nth, &mut dice)));
            }
        }
    }

    fn sync(&self, agent: u32, at_ms: u64, nth: usize, dice: &mut Dice) -> Job {
        let (name, pages) = SYNCS[nth % SYNCS.len()];
        let requests_ms = self.requests(pages, dice);
        Job { at_ms, agent, class: Class::Background, kind: kinds::kind(name), requests_ms }
    }

    fn requests(&self, count: u64, dice: &mut Dice) -> Vec<u64> {
        (0..count).map(|_| dice.among(&self.request_ms)).collect()
    }
}

fn name(place: u64) -> AgentId {
    AgentId::new(format!("agent-{:04}", place + 1)).expect("a number is made of allowed characters")
}

/// The time of the day by which this share of the day's operations was asked for.
fn time_of(share: f64) -> u64 {
    let mut left = share * HOURS.iter().sum::<f64>();
    for (hour, weight) in HOURS.iter().enumerate() {
        if left < *weight {
            return hour as u64 * HOUR_MS + (left / weight * HOUR_MS as f64) as u64;
        }
        left -= weight;
    }
    DAY_MS - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_as_many_operations_as_were_asked_for_and_most_of_them_at_the_peaks() {
        let shape = Shape {
            seed: 1,
            agents: 200,
            days: 1,
            writes: 20.0,
            batch: 1.5,
            rounds: 3,
            spread: true,
            request_ms: 5_000..=15_000,
            hot: 7,
        };
        let jobs = shape.generate().jobs;
        let writes: Vec<_> = jobs.iter().filter(|job| job.class == Class::Interactive).collect();
        assert_eq!(jobs.len() - writes.len(), 200 * 3 * 4 + 7);
        assert!((3_800..4_200).contains(&writes.len()), "{}", writes.len());
        let at = |hour| writes.iter().filter(|job| job.at_ms / HOUR_MS == hour).count();
        assert!(at(17) > at(13) * 2, "{} and {}", at(17), at(13));
        assert_eq!(at(3), 0);
    }
}
