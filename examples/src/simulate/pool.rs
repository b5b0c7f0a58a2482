//! The pool's rules in virtual time: an agent gets its own session back, a place is taken from the session that was
//! idle for longest, and a session in use is left alone. As `archibald-browser` does it, without browsers.

use std::collections::BTreeSet;

use serde::Serialize;

/// How many logins there were, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Logins {
    /// The agent's first one.
    pub first: u64,
    /// The ERP had ended the session, or would have by then.
    pub expired: u64,
    /// Its context had been given to another agent.
    pub evicted: u64,
    /// How often a session was there and could be used, at most after a look at it.
    pub warm: u64,
}

/// Why a login is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cold {
    First,
    Expired,
    Evicted,
}

/// What becomes of the wish for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acquired {
    /// Here it is.
    Warm,
    /// Here it is, to be looked at before it is used; whether it will be found expired.
    Check { expired: bool },
    /// It is to be opened.
    Open(Cold),
    /// It is being opened.
    Opening,
    /// All contexts are in use.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    None,
    Opening,
    Idle { since_ms: u64, turn: u64 },
    Leased,
}

#[derive(Debug)]
pub(super) struct Pool {
    capacity: usize,
    /// An idle session is used as it is for so long; then it is looked at first.
    trust_ms: u64,
    /// The ERP ends a session that is idle for longer.
    idle_ms: u64,
    sessions: Vec<State>,
    /// When the agent's last session was used.
    used_ms: Vec<Option<u64>>,
    /// The longest idle first.
    idle: BTreeSet<(u64, u32)>,
    live: usize,
    turns: u64,
    pub(super) logins: Logins,
}

impl Pool {
    pub(super) fn new(capacity: usize, agents: usize, trust_ms: u64, idle_ms: u64) -> Self {
        Self {
            capacity,
            trust_ms,
            idle_ms,
            sessions: vec![State::None; agents],
            used_ms: vec![None; agents],
            idle: BTreeSet::new(),
            live: 0,
            turns: 0,
            logins: Logins::default(),
        }
    }

    pub(super) fn acquire(&mut self, agent: u32, now_ms: u64) -> Acquired {
        match self.sessions[agent as usize] {
            State::Idle { since_ms, turn } => {
                self.idle.remove(&(turn, agent));
                self.sessions[agent as usize] = State::Leased;
                let expired = now_ms - since_ms > self.idle_ms;
                self.logins.warm += u64::from(!expired);
                match now_ms - since_ms <= self.trust_ms {
                    true => Acquired::Warm,
                    false => Acquired::Check { expired },
                }
            }
            State::Opening => Acquired::Opening,
            State::Leased | State::None => match self.make_room() {
                true => Acquired::Open(self.open(agent, now_ms)),
                false => Acquired::Full,
            },
        }
    }

    /// The session that was lent is expired: it is opened anew in its place.
    pub(super) fn reopen(&mut self, agent: u32) -> Cold {
        self.sessions[agent as usize] = State::Opening;
        self.logins.expired += 1;
        Cold::Expired
    }

    /// The login is done; the session is lent at once where it is `wanted`.
    pub(super) fn opened(&mut self, agent: u32, wanted: bool, now_ms: u64) {
        self.sessions[agent as usize] = State::Leased;
        if !wanted {
            self.give_back(agent, now_ms);
        }
    }

    pub(super) fn give_back(&mut self, agent: u32, now_ms: u64) {
        self.turns += 1;
        self.sessions[agent as usize] = State::Idle { since_ms: now_ms, turn: self.turns };
        self.used_ms[agent as usize] = Some(now_ms);
        self.idle.insert((self.turns, agent));
    }

    /// Contexts that there are.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Contexts that are lent or being logged in.
    pub(super) fn in_use(&self) -> usize {
        self.live - self.idle.len()
    }

    fn open(&mut self, agent: u32, now_ms: u64) -> Cold {
        self.sessions[agent as usize] = State::Opening;
        self.live += 1;
        match self.used_ms[agent as usize] {
            None => {
                self.logins.first += 1;
                Cold::First
            }
            // It would have had to log in again anyway.
            Some(used_ms) if now_ms - used_ms > self.idle_ms => {
                self.logins.expired += 1;
                Cold::Expired
            }
            Some(_) => {
                self.logins.evicted += 1;
                Cold::Evicted
            }
        }
    }

    fn make_room(&mut self) -> bool {
        if self.live < self.capacity {
            return true;
        }
        let Some((_, agent)) = self.idle.pop_first() else { return false };
        self.sessions[agent as usize] = State::None;
        self.live -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_gets_its_own_session_back_and_the_longest_idle_one_goes() {
        let mut pool = Pool::new(2, 3, 30, 100);
        for agent in [0, 1] {
            assert_eq!(pool.acquire(agent, 0), Acquired::Open(Cold::First));
            pool.opened(agent, true, 1);
        }
        assert_eq!(pool.acquire(2, 2), Acquired::Full);
        pool.give_back(1, 5);
        pool.give_back(0, 6);
        assert_eq!(pool.acquire(1, 7), Acquired::Warm);
        assert_eq!(pool.acquire(2, 8), Acquired::Open(Cold::First));
        pool.opened(2, false, 9);
        assert_eq!(pool.acquire(0, 10), Acquired::Open(Cold::Evicted));
        assert_eq!((pool.live(), pool.in_use()), (2, 2));
    }

    #[test]
    fn an_idle_session_is_looked_at_after_a_while_and_is_expired_in_the_end() {
        let mut pool = Pool::new(1, 2, 30, 100);
        pool.acquire(0, 0);
        pool.opened(0, false, 0);
        assert_eq!(pool.acquire(0, 31), Acquired::Check { expired: false });
        pool.give_back(0, 40);
        assert_eq!(pool.acquire(0, 141), Acquired::Check { expired: true });
        assert_eq!(pool.reopen(0), Cold::Expired);
        pool.opened(0, false, 150);
        assert_eq!(pool.acquire(1, 160), Acquired::Open(Cold::First));
        pool.opened(1, false, 170);
        // Given away, but by now it would not have lived anyway.
        assert_eq!(pool.acquire(0, 251), Acquired::Open(Cold::Expired));
    }
}
