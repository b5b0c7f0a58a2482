//! When an agent may log in again: pure, with the time as an argument.
//!
//! The ERP allows one session a user. When a person logs in as an agent, ours ends at its next request; were
//! we to log in again at once, theirs would end, and so on, and accounts that log in too often are locked. So
//! after a few sessions in a row that did not last, each next login waits twice as long. A session that was
//! evicted, or went with its browser, was ended by us and counts for nothing.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use archibald_core::id::AgentId;

/// Sessions in a row that may end soon before the next login waits.
const FREE: u32 = 3;
/// A session that lasted so many pauses was no short one.
const LASTING: u32 = 20;
/// No login waits longer than so many pauses.
const LONGEST: u32 = 15;

#[derive(Debug)]
pub(super) struct Logins {
    pause: Duration,
    agents: HashMap<AgentId, History>,
}

#[derive(Debug)]
struct History {
    last: Instant,
    /// How many sessions in a row ended soon.
    short: u32,
    /// The ERP ended the last one.
    ended: bool,
}

/// Not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSoon {
    /// How many sessions in a row ended soon.
    pub(super) short: u32,
    /// When to ask again.
    pub(super) wait: Duration,
}

impl fmt::Display for TooSoon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { short, wait } = self;
        write!(
            f,
            "the ERP ended {short} sessions in a row soon after their login, as when somebody else logs in as \
             this user; the next login is in {} s",
            wait.as_secs() + 1
        )
    }
}

impl Logins {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, agents: HashMap::new() }
    }

    /// The ERP ended the agent's session.
    pub(super) fn ended(&mut self, agent: &AgentId, now: Instant) {
        let (pause, Some(history)) = (self.pause, self.agents.get_mut(agent)) else { return };
        let lasted = now.saturating_duration_since(history.last) >= pause * LASTING;
        history.short = if lasted { 0 } else { history.short + 1 };
        history.ended = true;
    }

    /// Whether it may log in now; if so, it does.
    pub(super) fn ask(&mut self, agent: &AgentId, now: Instant) -> Result<(), TooSoon> {
        let history =
            self.agents.entry(agent.clone()).or_insert(History { last: now, short: 0, ended: false });
        let over = history.short.saturating_sub(FREE);
        if history.ended && over > 0 {
            let factor = 1_u32.checked_shl(over - 1).unwrap_or(LONGEST).min(LONGEST);
            let due = history.last + self.pause * factor;
            if now < due {
                return Err(TooSoon { short: history.short, wait: due - now });
            }
        }
        (history.last, history.ended) = (now, false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(60);

    struct Fight {
        logins: Logins,
        agent: AgentId,
        now: Instant,
    }

    impl Fight {
        fn new() -> Self {
            Self { logins: Logins::new(PAUSE), agent: AgentId::new("nancy").unwrap(), now: Instant::now() }
        }

        /// How long the next login waits, in seconds; then it logs in.
        fn wait(&mut self) -> u64 {
            let waited = match self.logins.ask(&self.agent, self.now) {
                Ok(()) => return 0,
                Err(TooSoon { wait, .. }) => wait,
            };
            self.now += waited;
            assert_eq!(self.logins.ask(&self.agent, self.now), Ok(()));
            waited.as_secs()
        }

        fn ended_after(&mut self, lived: Duration) {
            self.now += lived;
            self.logins.ended(&self.agent, self.now);
        }
    }

    #[test]
    fn who_is_thrown_out_again_and_again_waits_twice_as_long_each_time() {
        let mut fight = Fight::new();
        let waits: Vec<_> = (0..10)
            .map(|_| {
                let wait = fight.wait();
                fight.ended_after(Duration::ZERO);
                wait
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 60, 120, 240, 480, 900, 900]);
    }

    #[test]
    fn a_session_that_lasted_ends_the_fight() {
        let mut fight = Fight::new();
        for _ in 0..5 {
            fight.wait();
            fight.ended_after(Duration::ZERO);
        }
        assert_eq!(fight.wait(), 120);
        fight.ended_after(PAUSE * LASTING);
        assert_eq!(fight.wait(), 0);
    }

    #[test]
    fn what_we_end_ourselves_counts_for_nothing_and_others_are_not_concerned() {
        let mut fight = Fight::new();
        assert_eq!((0..20).map(|_| fight.wait()).sum::<u64>(), 0);
        for _ in 0..5 {
            fight.ended_after(Duration::ZERO);
        }
        let andrew = AgentId::new("andrew").unwrap();
        assert_eq!(fight.logins.ask(&andrew, fight.now), Ok(()));
        assert_eq!(fight.wait(), 120);
    }
}
