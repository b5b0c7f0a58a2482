//! Leases that nothing was attempted with yet: an agent is handed on by a guess, and kept by a decision. What the
//! scheduler does not ask for is given back, and so is what may have been committed without an answer.

use std::time::Duration;

use archibald_core::id::{AgentId, FencingToken, OperationId};
use archibald_core::lease::Lease;
use archibald_core::operation::OperationState;
use archibald_core::record::OperationRecord;
use archibald_core::scheduler::{Input, Refusal};
use archibald_core::time::Timestamp;

use super::Mutant;
use super::messages::{Address, Back, Call, Happening, Note, Then, Write};
use super::world::{MARGIN, TTL, World};

/// A lease that is to be run or given back; it is renewed like every other.
pub(crate) struct Fresh {
    pub(crate) lease: Lease,
    pub(crate) record: OperationRecord,
    pub(crate) deadline: Timestamp,
}

/// What an agent is to be handed on to at the end of its attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guess {
    pub(crate) next: OperationId,
    pub(crate) asked_at: Timestamp,
    /// By the worker's clock.
    clock: Timestamp,
    /// What the worker's scheduler had heard by then.
    inputs: u64,
}

impl Fresh {
    /// The clock runs from before it was asked for.
    pub(crate) fn new((lease, record): (Lease, OperationRecord), asked_at: Timestamp) -> Self {
        Self { lease, record, deadline: asked_at + TTL - MARGIN }
    }

    pub(crate) fn key(&self) -> (AgentId, FencingToken) {
        (self.lease.agent.clone(), self.lease.token)
    }
}

impl World {
    /// What the scheduler says that the agent goes on with; now and then it has no time to say.
    pub(crate) fn guess(&mut self, to: Address, agent: &AgentId, operation: OperationId) -> Option<Guess> {
        if self.chance.happens(100) {
            return None;
        }
        let now = self.clock_of(to);
        let worker = &mut self.workers[to.worker];
        let first = worker.scheduler.goes_on_with(now, agent, operation)?;
        let last = || self.store.waiting(Some(agent)).into_iter().max_by_key(|ticket| ticket.place());
        let next = match self.mutant {
            Some(Mutant::HandOnToWhatIsLast) => last()?.operation,
            _ => first,
        };
        Some(Guess { next, asked_at: self.now, clock: now, inputs: worker.inputs })
    }

    /// However late it comes: what was committed is so.
    pub(crate) fn settled(
        &mut self,
        to: Address,
        token: FencingToken,
        record: &OperationRecord,
        next: Option<(Lease, OperationRecord)>,
    ) -> Result<(), String> {
        let attempts = &mut self.workers[to.worker].attempts;
        let ours = attempts.get(&record.operation.agent).is_some_and(|attempt| attempt.lease.token == token);
        let attempt = if ours { attempts.remove(&record.operation.agent) } else { None };
        let Some(attempt) = attempt.filter(|_| self.mutant != Some(Mutant::LoseSettlements)) else {
            return Ok(());
        };
        let asked_at = attempt.guess.map_or(self.now, |guess| match self.mutant {
            Some(Mutant::CountFromTheAnswer) => self.now,
            _ => guess.asked_at,
        });
        let next = next.map(|next| Fresh::new(next, asked_at));
        self.handed_on(to, record, attempt.guess, next)
    }

    /// A mistake, if it is made: what may have been committed is run.
    pub(crate) fn believes(&mut self, to: Address, agent: &AgentId, write: &Write) -> Result<bool, String> {
        let attempts = &mut self.workers[to.worker].attempts;
        let guess = attempts.get(agent).and_then(|attempt| attempt.guess);
        let Some(guess) = guess.filter(|_| self.mutant == Some(Mutant::RunWhatMayHaveBeenHandedOn)) else {
            return Ok(false);
        };
        let Some(attempt) = attempts.remove(agent).filter(|_| matches!(write, Write::Settle(_))) else {
            return Ok(false);
        };
        let next = self.believe(&attempt.lease, guess);
        let input = Input::Settled { agent: agent.clone(), operation: attempt.lease.operation, next: None };
        self.decide_with(to, agent, next, input).map(|()| true)
    }

    /// The attempt is over and its end is written, with what the agent was handed on to.
    fn handed_on(
        &mut self,
        to: Address,
        record: &OperationRecord,
        guess: Option<Guess>,
        next: Option<Fresh>,
    ) -> Result<(), String> {
        let (agent, operation, ticket) =
            (record.operation.agent.clone(), record.operation.id, record.ticket());
        let now = self.clock_of(to);
        let worker = &self.workers[to.worker];
        let quiet = |guess: &Guess| {
            worker.inputs == guess.inputs
                && ticket.is_none()
                && worker.scheduler.nothing_comes_due(guess.clock, now, &record.operation)
        };
        let sure = guess.filter(|_| next.is_some()).filter(quiet).map(|guess| guess.next);
        let input = Input::Settled { agent: agent.clone(), operation, next: ticket };
        if let (Some(guess), Some(next)) = (&guess, &next) {
            let next = next.lease.operation;
            self.workers[to.worker].scheduler.handed_on(guess.clock, &agent, next);
        }
        self.decide_with(to, &agent, next, input)?;
        let Some(sure) = sure else { return Ok(()) };
        match self.workers[to.worker].scheduler.counts().starting.get(&agent) {
            Some(asked) if *asked == sure => Ok(()),
            asked => Err(format!("{sure} was guessed and nothing heard since, asked for is {asked:?}")),
        }
    }

    /// The scheduler decides while a lease of the agent is at hand.
    pub(crate) fn decide_with(
        &mut self,
        to: Address,
        agent: &AgentId,
        fresh: Option<Fresh>,
        input: Input,
    ) -> Result<(), String> {
        let Some(fresh) = fresh else { return self.input(to, input) };
        let key = fresh.key();
        let worker = &mut self.workers[to.worker];
        worker.at_hand.insert(agent.clone(), key.1);
        worker.fresh.insert(key.clone(), fresh);
        self.input(to, input)?;
        if self.workers[to.worker].at_hand.remove(agent).is_some() {
            self.seen("handed on, and nothing was asked for");
            if self.mutant != Some(Mutant::KeepWhatIsNotWanted) {
                self.give_back(to, &key, Then::Nothing);
            }
        }
        Ok(())
    }

    /// The scheduler asks for a lease, which may be at hand.
    pub(crate) fn ask_for_lease(&mut self, to: Address, agent: AgentId, operation: OperationId) {
        let worker = &mut self.workers[to.worker];
        let at_hand = worker.at_hand.remove(&agent).map(|token| (agent.clone(), token));
        let Some((key, fresh)) = at_hand.and_then(|key| Some((key.clone(), worker.fresh.get(&key)?))) else {
            let asked_at = self.now;
            return self.call(to, Call::Lease { agent, operation, asked_at });
        };
        let is_over = fresh.deadline <= self.now;
        let is_other = fresh.lease.operation != operation && self.mutant != Some(Mutant::RunWhateverIsAtHand);
        if is_over || is_other {
            self.seen(if is_other { "handed on, and another was asked for" } else { "handed on too late" });
            return self.give_back(to, &key, Then::Lease(operation));
        }
        self.seen("handed on and taken up");
        self.tell(to, Note::Begin { agent, operation, token: key.1 });
    }

    /// The attempt begins with the lease that was at hand, unless that was lost meanwhile.
    pub(crate) fn begin_at_hand(
        &mut self,
        to: Address,
        agent: AgentId,
        operation: OperationId,
        token: FencingToken,
    ) -> Result<(), String> {
        match self.workers[to.worker].fresh.remove(&(agent.clone(), token)) {
            Some(Fresh { lease, record, deadline }) => self.begin_attempt(to, lease, record, deadline),
            None => {
                self.seen("lost before it was begun");
                self.input(to, Input::Leased { agent: agent.clone(), operation })?;
                self.input(to, Input::Settled { agent, operation, next: None })
            }
        }
    }

    fn give_back(&mut self, to: Address, key: &(AgentId, FencingToken), then: Then) {
        let Some(fresh) = self.workers[to.worker].fresh.get(key) else { return };
        let (lease, until) = (fresh.lease.clone(), fresh.deadline.max(self.now));
        self.call(to, Call::HandBack(Box::new(Back { lease, until, then })));
    }

    /// Again and again until the store takes it, or its time is over.
    pub(crate) fn given_back(&mut self, to: Address, back: Back, done: bool) -> Result<(), String> {
        if !done && back.until > self.now {
            let delay = self.chance.millis(100..600);
            self.after(delay, Happening::AtWorker(to, Note::HandBackAgain(back)));
            return Ok(());
        }
        let Lease { agent, token, .. } = back.lease;
        self.workers[to.worker].fresh.remove(&(agent.clone(), token));
        match back.then {
            Then::Nothing => Ok(()),
            Then::Lease(operation) => {
                let asked_at = self.now;
                self.call(to, Call::Lease { agent, operation, asked_at });
                Ok(())
            }
            Then::Settled(operation) => self.input(to, Input::Settled { agent, operation, next: None }),
        }
    }

    /// Nobody knew whether the agent was handed on, and now it is known that the lease is over: what was found to
    /// have followed it is run by nobody.
    pub(crate) fn followed(&mut self, to: Address, ended: Lease, found: Option<Lease>) -> Result<(), String> {
        let Lease { agent, operation, .. } = ended;
        match found {
            Some(lease) => {
                self.seen("handed on without an answer, and given back");
                let (until, then) = (self.now + TTL, Then::Settled(operation));
                self.call(to, Call::HandBack(Box::new(Back { lease, until, then })));
                Ok(())
            }
            None => self.input(to, Input::Settled { agent, operation, next: None }),
        }
    }

    /// A mistake: what nobody knows to be committed is taken for committed.
    fn believe(&self, ended: &Lease, guess: Guess) -> Option<Fresh> {
        let token = FencingToken(ended.token.0 + 1);
        let lease = Lease { operation: guess.next, token, ..ended.clone() };
        let mut record = self.store.records.get(&guess.next)?.clone();
        if !matches!(record.operation.state, OperationState::Running { .. }) {
            record.lease(&lease, self.now).ok()?;
        }
        Some(Fresh::new((lease, record), guess.asked_at))
    }
}

/// What the store found in the way of what an agent was to be handed on to.
pub(crate) fn in_the_way(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Gone => "not handed on: gone",
        Refusal::NotDue { .. } => "not handed on: not due",
        Refusal::TargetBusy { .. } => "not handed on: target busy",
        Refusal::Paused { .. } => "not handed on: paused",
        Refusal::AgentHeld { .. } | Refusal::Unavailable { .. } => "not handed on",
    }
}

/// How long a store that failed is left alone.
pub(crate) const STORE_PAUSE: Duration = Duration::from_secs(1);
