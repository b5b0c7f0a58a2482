//! Who gets which context: pure. Inputs in, commands out; no clock, no I/O.
//!
//! A session belongs to an agent and lives in one browser. What it is doing:
//!
//! | state | means | leaves by |
//! | --- | --- | --- |
//! | opening | context, page and login are under way, once for all who wait | opened → idle; failed → forgotten |
//! | idle | logged in, waits for its agent | granted → leased; evicted or over → forgotten |
//! | leased | in use; never evicted | returned clean → idle; dirty → cleaning; expired or outdated → forgotten |
//! | cleaning | its page is destroyed before anybody uses it again | cleaned → idle; failed → forgotten |
//!
//! When its browser dies it is forgotten; a leased one when it is returned. A browser that retires takes no new
//! session, loses those that come to rest, and is ended with the last; another may run in its place meanwhile,
//! so that nobody waits for it. One retires at a time.

use std::collections::BTreeMap;

use archibald_core::id::AgentId;
use archibald_core::operation::Class;
use archibald_core::port::PoolOccupancy;

use crate::session::{Came, OpenError};

/// How often a waiter's session may be lost on the way before the waiter is told.
const TRIES: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BrowserId(pub(super) u64);

/// A caller that waits for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WaiterId(pub(super) u64);

/// One use of a session: what comes back under an older one is not listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(pub(super) u64);

/// In which state a session comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Clean,
    Dirty,
    /// The ERP wants a login again.
    Expired,
    /// It is of credentials that do not hold any more.
    Outdated,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Asked {
        waiter: WaiterId,
        agent: AgentId,
        class: Class,
    },
    GaveUp(WaiterId),
    BrowserUp(BrowserId),
    BrowserFailed(BrowserId, String),
    BrowserLost(BrowserId),
    Opened(AgentId, Ticket, Came),
    OpenFailed(AgentId, Ticket, OpenError),
    Returned(AgentId, Ticket, How),
    Cleaned(AgentId, Ticket, bool),
    /// Nobody is to use the agent's session any more.
    Over(AgentId),
    /// It is old enough.
    Retire(BrowserId),
    Drain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    StartBrowser(BrowserId),
    Open(AgentId, BrowserId, Ticket),
    Grant(WaiterId, AgentId, Ticket),
    Refuse(WaiterId, Refusal),
    /// Destroy the page.
    Clean(AgentId, Ticket),
    /// Let the context go, if there is one.
    Forget(AgentId),
    /// Nobody uses it any more.
    EndBrowser(BrowserId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    Open(OpenError),
    Launch(String),
    Draining,
}

#[derive(Debug)]
pub(super) struct Plan {
    max_browsers: usize,
    contexts_each: usize,
    /// Whether it runs already.
    browsers: BTreeMap<BrowserId, bool>,
    retiring: Option<BrowserId>,
    sessions: BTreeMap<AgentId, Held>,
    waiting: Vec<Waiting>,
    draining: bool,
    /// Numbers browsers and tickets, and tells which session was used longest ago.
    count: u64,
    totals: PoolOccupancy,
}

#[derive(Debug)]
struct Held {
    browser: BrowserId,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening(Ticket),
    Idle { since: u64 },
    Leased(Ticket),
    Cleaning(Ticket),
}

#[derive(Debug)]
struct Waiting {
    waiter: WaiterId,
    agent: AgentId,
    class: Class,
    lost: u32,
}

impl Plan {
    pub(super) fn new(max_browsers: usize, contexts_each: usize) -> Self {
        let capacity = max_browsers * contexts_each;
        Self {
            max_browsers,
            contexts_each,
            browsers: BTreeMap::new(),
            retiring: None,
            sessions: BTreeMap::new(),
            waiting: Vec::new(),
            draining: false,
            count: 0,
            totals: PoolOccupancy { capacity, ..PoolOccupancy::default() },
        }
    }

    /// Takes an input and says what is to be done now.
    pub(super) fn handle(&mut self, input: Input) -> Vec<Command> {
        let mut commands = Vec::new();
        match input {
            Input::Asked { waiter, .. } if self.draining => {
                commands.push(Command::Refuse(waiter, Refusal::Draining));
            }
            Input::Asked { waiter, agent, class } => {
                self.waiting.push(Waiting { waiter, agent, class, lost: 0 });
            }
            Input::GaveUp(waiter) => self.waiting.retain(|waiting| waiting.waiter != waiter),
            Input::BrowserUp(id) => self.browser_up(id, &mut commands),
            Input::BrowserFailed(id, why) => self.browser_failed(id, &why, &mut commands),
            Input::BrowserLost(id) => self.browser_lost(id, &mut commands),
            Input::Opened(agent, ticket, came) => {
                if self.is(&agent, State::Opening(ticket)) {
                    self.totals.logins += u64::from(came == Came::LoggedIn);
                    self.rest(&agent);
                }
            }
            Input::OpenFailed(agent, ticket, why) => {
                if self.is(&agent, State::Opening(ticket)) {
                    self.sessions.remove(&agent);
                    self.open_failed(&agent, &why, &mut commands);
                }
            }
            Input::Returned(agent, ticket, how) => self.returned(agent, ticket, how, &mut commands),
            Input::Cleaned(agent, ticket, well) => {
                if self.is(&agent, State::Cleaning(ticket)) {
                    if well { self.rest(&agent) } else { self.forget(agent, &mut commands) }
                }
            }
            Input::Over(agent) => {
                if matches!(self.sessions.get(&agent).map(|held| held.state), Some(State::Idle { .. })) {
                    self.forget(agent, &mut commands);
                }
            }
            Input::Retire(id) => {
                if self.retiring.is_none() && self.browsers.get(&id) == Some(&true) {
                    self.retiring = Some(id);
                }
            }
            Input::Drain => {
                self.draining = true;
                let refuse = |waiting: Waiting| Command::Refuse(waiting.waiter, Refusal::Draining);
                commands.extend(self.waiting.drain(..).map(refuse));
            }
        }
        self.serve(&mut commands);
        if self.retire(&mut commands) {
            self.serve(&mut commands);
        }
        commands
    }

    pub(super) fn occupancy(&self) -> PoolOccupancy {
        let count =
            |wanted: fn(&State) -> bool| self.sessions.values().filter(|it| wanted(&it.state)).count();
        PoolOccupancy {
            browsers: self.browsers.values().filter(|runs| **runs).count(),
            in_use: count(|state| matches!(state, State::Leased(_))),
            idle: count(|state| matches!(state, State::Idle { .. })),
            ..self.totals.clone()
        }
    }

    /// Gives what there is to those who wait: interactive first, then first come first served. Whoever
    /// waits for a context does not hold up those whose session is there.
    fn serve(&mut self, commands: &mut Vec<Command>) {
        self.waiting.sort_by_key(|waiting| (waiting.class == Class::Background, waiting.waiter));
        let mut place = 0;
        while let Some(waiting) = self.waiting.get(place) {
            let agent = waiting.agent.clone();
            match self.sessions.get(&agent).map(|held| held.state) {
                Some(State::Idle { .. }) => {
                    let waiter = self.waiting.remove(place).waiter;
                    let ticket = self.next_ticket();
                    self.set(&agent, State::Leased(ticket));
                    commands.push(Command::Grant(waiter, agent, ticket));
                }
                Some(_) => place += 1,
                None => {
                    self.open(agent, commands);
                    place += 1;
                }
            }
        }
    }

    /// Lets go of what rests in the browser that retires, and of it with the last; whether it ended.
    fn retire(&mut self, commands: &mut Vec<Command>) -> bool {
        let Some(id) = self.retiring else { return false };
        for agent in self.agents_in(id) {
            if matches!(self.sessions.get(&agent).map(|held| held.state), Some(State::Idle { .. })) {
                self.forget(agent, commands);
            }
        }
        if !self.agents_in(id).is_empty() {
            return false;
        }
        self.retiring = None;
        self.browsers.remove(&id);
        commands.push(Command::EndBrowser(id));
        true
    }

    /// Finds a place for a new session, if there is one or one can be made.
    fn open(&mut self, agent: AgentId, commands: &mut Vec<Command>) {
        let Some(browser) = self.room(commands) else { return };
        let ticket = self.next_ticket();
        self.sessions.insert(agent.clone(), Held { browser, state: State::Opening(ticket) });
        if self.browsers.get(&browser) == Some(&true) {
            commands.push(Command::Open(agent, browser, ticket));
        }
    }

    /// The fullest browser that has room, so that others need not be started; else a new browser; else the
    /// place of the session that has been idle for longest.
    fn room(&mut self, commands: &mut Vec<Command>) -> Option<BrowserId> {
        let load = |id: &BrowserId| self.sessions.values().filter(|held| held.browser == *id).count();
        let stays = |id: &BrowserId| self.retiring != Some(*id);
        let with_room = self.browsers.keys().filter(|id| stays(id) && load(id) < self.contexts_each);
        if let Some(id) = with_room.max_by_key(|id| load(id)) {
            return Some(*id);
        }
        if self.browsers.keys().filter(|id| stays(id)).count() < self.max_browsers {
            self.count += 1;
            let id = BrowserId(self.count);
            self.browsers.insert(id, false);
            commands.push(Command::StartBrowser(id));
            return Some(id);
        }
        let idle = self.sessions.iter().filter_map(|(agent, held)| match held.state {
            State::Idle { since } if !self.is_waited_for(agent) => Some((since, agent, held.browser)),
            _ => None,
        });
        let (_, agent, browser) = idle.min_by_key(|(since, ..)| *since)?;
        let agent = agent.clone();
        self.totals.evictions += 1;
        self.forget(agent, commands);
        Some(browser)
    }

    fn browser_up(&mut self, id: BrowserId, commands: &mut Vec<Command>) {
        let Some(runs) = self.browsers.get_mut(&id) else { return };
        *runs = true;
        let opening = self.sessions.iter().filter_map(|(agent, held)| match held.state {
            State::Opening(ticket) if held.browser == id => Some(Command::Open(agent.clone(), id, ticket)),
            _ => None,
        });
        commands.extend(opening);
    }

    fn browser_failed(&mut self, id: BrowserId, why: &str, commands: &mut Vec<Command>) {
        self.browsers.remove(&id);
        for agent in self.agents_in(id) {
            self.sessions.remove(&agent);
            self.refuse_all(&agent, &Refusal::Launch(why.into()), commands);
        }
    }

    fn browser_lost(&mut self, id: BrowserId, commands: &mut Vec<Command>) {
        if self.browsers.remove(&id).is_none() {
            return;
        }
        self.retiring.take_if(|retiring| *retiring == id);
        self.totals.crashes += 1;
        for agent in self.agents_in(id) {
            match self.sessions.get(&agent).map(|held| held.state) {
                // Its holder finds out by itself and gives it back.
                Some(State::Leased(_)) | None => {}
                Some(State::Opening(_)) => {
                    self.sessions.remove(&agent);
                    let why = OpenError::Lost("its browser died".into());
                    self.open_failed(&agent, &why, commands);
                }
                Some(State::Idle { .. } | State::Cleaning(_)) => self.forget(agent, commands),
            }
        }
    }

    fn returned(&mut self, agent: AgentId, ticket: Ticket, how: How, commands: &mut Vec<Command>) {
        if !self.is(&agent, State::Leased(ticket)) {
            return;
        }
        let browser_lives =
            self.sessions.get(&agent).is_some_and(|it| self.browsers.contains_key(&it.browser));
        match how {
            _ if !browser_lives => self.forget(agent, commands),
            How::Clean => self.rest(&agent),
            How::Expired | How::Outdated => self.forget(agent, commands),
            How::Dirty => {
                let ticket = self.next_ticket();
                self.set(&agent, State::Cleaning(ticket));
                commands.push(Command::Clean(agent, ticket));
            }
        }
    }

    /// A refused login is told to all who wait for it and not tried again; one that was lost on the way is,
    /// a few times.
    fn open_failed(&mut self, agent: &AgentId, why: &OpenError, commands: &mut Vec<Command>) {
        let is_lost = matches!(why, OpenError::Lost(_));
        let mut spent = !is_lost;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.agent == *agent) {
            waiting.lost += 1;
            spent |= waiting.lost >= TRIES;
        }
        if spent {
            self.refuse_all(agent, &Refusal::Open(why.clone()), commands);
        }
    }

    fn refuse_all(&mut self, agent: &AgentId, why: &Refusal, commands: &mut Vec<Command>) {
        let refused = self.waiting.extract_if(.., |waiting| waiting.agent == *agent);
        commands.extend(refused.map(|waiting| Command::Refuse(waiting.waiter, why.clone())));
    }

    fn rest(&mut self, agent: &AgentId) {
        self.count += 1;
        self.set(agent, State::Idle { since: self.count });
    }

    fn forget(&mut self, agent: AgentId, commands: &mut Vec<Command>) {
        self.sessions.remove(&agent);
        commands.push(Command::Forget(agent));
    }

    fn set(&mut self, agent: &AgentId, state: State) {
        if let Some(held) = self.sessions.get_mut(agent) {
            held.state = state;
        }
    }

    fn is(&self, agent: &AgentId, state: State) -> bool {
        self.sessions.get(agent).is_some_and(|held| held.state == state)
    }

    fn is_waited_for(&self, agent: &AgentId) -> bool {
        self.waiting.iter().any(|waiting| waiting.agent == *agent)
    }

    fn agents_in(&self, id: BrowserId) -> Vec<AgentId> {
        let inside = self.sessions.iter().filter(|(_, held)| held.browser == id);
        inside.map(|(agent, _)| agent.clone()).collect()
    }

    fn next_ticket(&mut self) -> Ticket {
        self.count += 1;
        Ticket(self.count)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
