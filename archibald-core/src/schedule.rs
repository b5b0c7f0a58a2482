//! When background operations are asked for by themselves.
//!
//! A [`Schedule`] names a background kind and its [`Times`]. Every agent has each of its occurrences once: at the
//! occurrence's nominal time and an offset that is the agent's own and never moves, so that not all of them want
//! their slot in the same minute. The [`Planner`] says which occurrences are due and when to look again; whoever
//! asks it enqueues each one under its [`key`](Schedule::key), which any worker makes alike, so that it is one
//! operation however many workers there are and however often they start.
//!
//! | what happened | what follows |
//! | --- | --- |
//! | nobody was there at the time | [`Missed`]: the latest one is made up for, or none; never all |
//! | one of the kind waits still | the store's rule: that one is this one |
//! | one of the kind runs | this one waits for its turn; the next finds it waiting |
//! | the agent or the kind is paused | one waits, and all that follow are that one |
//! | the clock goes back | nothing again; times that come a second time have the same keys |
//! | the clock jumps ahead | what it skipped was missed |
//! | the clocks of the zone are changed | [`Cron`] |

mod cron;
mod planner;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use self::cron::{Cron, CronError};
pub use self::planner::{Due, PUNCTUAL, Planner};
use crate::id::{AgentId, OperationKey, OperationKind, ScheduleName};
use crate::time::Timestamp;

/// The spread where nobody says otherwise and the times leave room for it.
const SPREAD: Duration = Duration::from_secs(600);
/// How old a missed occurrence may be where nobody says otherwise.
const MISSED_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// The shortest period: what comes more often is no schedule, and cron knows no less.
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest period.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// What is asked for, when, and for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its name among the schedules; part of the key of every occurrence.
    pub name: ScheduleName,
    /// A background kind.
    pub kind: OperationKind,
    /// What each operation has as its payload.
    pub payload: Value,
    /// The nominal times.
    pub times: Times,
    /// Within this time after the nominal one all agents have theirs.
    pub spread: Duration,
    /// What becomes of occurrences at which nobody was there.
    pub missed: Missed,
    /// Whose operations they are.
    pub whose: Whose,
}

/// The nominal times of a schedule, the same for all agents.
#[derive(Debug, Clone, PartialEq)]
pub enum Times {
    /// By the wall clock of a time zone.
    Cron(Cron),
    /// Every so often, counted from 1970-01-01T00:00:00Z, so that every worker counts alike.
    Every(Period),
}

/// A time between two occurrences: at least a minute, at most 366 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(Duration);

/// What becomes of occurrences that are more than [`PUNCTUAL`] ago when they are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Nothing: the next one is waited for.
    Skip,
    /// The latest one is made up for, unless it is older than this, or the next one comes first.
    Once {
        /// The oldest that is made up for.
        within: Duration,
    },
}

/// Which agents have a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// All that there are.
    Everyone,
    /// Those of these that there are.
    Only(BTreeSet<AgentId>),
    /// All but these.
    AllBut(BTreeSet<AgentId>),
}

/// A period that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a period must be at least a minute and at most 366 days, got {0:?}")]
pub struct InvalidPeriod(Duration);

impl Schedule {
    /// For everyone, named as the kind and without anything in its payload, spread over ten minutes or, where that
    /// is less, the time between two occurrences; the latest missed one of the last 24 hours is made up for.
    #[must_use]
    pub fn of(kind: OperationKind, times: Times) -> Self {
        let name = ScheduleName::new(kind.as_str()).expect("what is allowed in a kind is allowed here");
        let spread = SPREAD.min(times.shortest_gap());
        let missed = Missed::Once { within: MISSED_WITHIN };
        Self { name, kind, payload: json!({}), times, spread, missed, whose: Whose::Everyone }
    }

    /// How long after the nominal time an agent has its own: always the same, less than the spread.
    #[must_use]
    pub fn offset(&self, agent: &AgentId) -> Duration {
        let hash = Sha256::new().chain_update(self.name.as_str()).chain_update([0]);
        let digest: [u8; 32] = hash.chain_update(agent.as_str()).finalize().into();
        let (first, _) = digest.split_at(8);
        let share = first.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let micros = (self.spread.as_micros() * share) >> 64;
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// The key of an occurrence: the same in every worker and after every start.
    #[must_use]
    pub fn key(&self, nominal: Timestamp) -> OperationKey {
        OperationKey::new(format!("schedule:{}:{nominal}", self.name)).expect("a name is short, so is a time")
    }

    /// Whether the agent has it.
    #[must_use]
    pub fn is_for(&self, agent: &AgentId) -> bool {
        match &self.whose {
            Whose::Everyone => true,
            Whose::Only(agents) => agents.contains(agent),
            Whose::AllBut(agents) => !agents.contains(agent),
        }
    }

    /// How old an occurrence may be that is enqueued, counted from the agent's own time.
    #[must_use]
    pub fn patience(&self) -> Duration {
        match self.missed {
            Missed::Skip => PUNCTUAL,
            Missed::Once { within } => within.max(PUNCTUAL),
        }
    }
}

impl Period {
    /// Checks it.
    ///
    /// # Errors
    /// [`InvalidPeriod`] outside a minute to 366 days.
    pub fn new(period: Duration) -> Result<Self, InvalidPeriod> {
        if (SHORTEST..=LONGEST).contains(&period) { Ok(Self(period)) } else { Err(InvalidPeriod(period)) }
    }

    /// How long it is.
    #[must_use]
    pub fn length(self) -> Duration {
        self.0
    }
}

impl Times {
    /// The first nominal time after this one; `None` only where the calendar ends.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_after(time),
            Self::Every(period) => {
                let next = period.count(time).checked_add(1)?.checked_mul(period.micros())?;
                (next <= Timestamp::MAX.as_micros()).then(|| Timestamp::from_micros(next))
            }
        }
    }

    /// The last nominal time up to this one, unless it is `within` ago, or more.
    #[must_use]
    pub fn last_until(&self, time: Timestamp, within: Duration) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.last_until(time, within),
            Self::Every(period) => {
                let last = Timestamp::from_micros(period.count(time).saturating_mul(period.micros()));
                (time.since(last) < within).then_some(last)
            }
        }
    }

    /// The shortest time between two of them.
    #[must_use]
    pub fn shortest_gap(&self) -> Duration {
        match self {
            Self::Cron(cron) => cron.shortest_gap(),
            Self::Every(period) => period.0,
        }
    }
}

impl Period {
    fn micros(self) -> i64 {
        i64::try_from(self.0.as_micros()).expect("366 days are few microseconds")
    }

    /// How many whole periods there were.
    fn count(self, time: Timestamp) -> i64 {
        time.as_micros().div_euclid(self.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(times: Times) -> Schedule {
        Schedule::of(OperationKind::new("sync-orders").unwrap(), times)
    }

    fn every(minutes: u64) -> Times {
        Times::Every(Period::new(Duration::from_secs(minutes * 60)).unwrap())
    }

    #[test]
    fn periods_are_counted_alike_by_everybody() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let times = every(15);
        assert_eq!(times.next_after(at("2026-11-22T08:30:00Z")), Some(at("2026-11-22T08:45:00Z")));
        let hour = Duration::from_secs(3600);
        assert_eq!(times.last_until(at("2026-11-22T08:44:59Z"), hour), Some(at("2026-11-22T08:30:00Z")));
        assert_eq!(times.last_until(at("2026-11-22T08:44:59Z"), Duration::from_secs(60)), None);
        assert_eq!(times.next_after(Timestamp::MAX), None);
        assert_eq!(
            Period::new(Duration::from_secs(59)).unwrap_err().to_string(),
            "a period must be at least a minute and at most 366 days, got 59s"
        );
    }

    #[test]
    fn the_spread_leaves_no_agent_in_the_next_ones_time() {
        assert_eq!(orders(every(5)).spread, Duration::from_secs(300));
        assert_eq!(orders(every(60)).spread, Duration::from_secs(600));
        let cron = Times::Cron(Cron::utc("*/2 8 * * 1-5").unwrap());
        assert_eq!(orders(cron).spread, Duration::from_secs(120));
    }

    /// They are in operations' times for ever: another hash would move every agent.
    #[test]
    fn an_offset_is_always_the_same() {
        let schedule = orders(every(60));
        let offsets = ["nancy", "andrew", "janet"].map(|name| schedule.offset(&AgentId::new(name).unwrap()));
        assert_eq!(offsets.map(|offset| offset.as_secs()), [242, 416, 521]);
    }

    #[test]
    fn offsets_fill_the_spread() {
        let schedule = orders(every(60));
        let mut minutes = [0; 10];
        for n in 0..600 {
            let offset = schedule.offset(&AgentId::new(format!("agent-{n}")).unwrap());
            minutes[usize::try_from(offset.as_secs() / 60).unwrap()] += 1;
        }
        assert!(minutes.iter().all(|count| (40..=80).contains(count)), "{minutes:?}");
    }

    #[test]
    fn a_key_names_schedule_and_nominal_time() {
        let nominal = "2026-11-22T08:30:00Z".parse().unwrap();
        assert_eq!(
            orders(every(30)).key(nominal).as_str(),
            "schedule:sync-orders:2026-11-22T08:30:00.000000Z"
        );
    }
}
