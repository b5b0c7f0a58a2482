//! What reaches the store and the ERP, what they do with it, and what gets lost on the way.

use std::time::Duration;

use archibald_core::error::{FenceError, JournalError};
use archibald_core::id::{AgentId, FencingToken, OperationId};
use archibald_core::lease::Lease;
use archibald_core::operation::NewOperation;
use archibald_core::port::LeaseRequest;
use archibald_core::record::{Disposition, OperationRecord};
use archibald_core::scheduler::Refusal;
use archibald_core::time::Timestamp;

use super::attempt::effect;
use super::handing_on::in_the_way;
use super::messages::{Address, Call, Happening, Note, Reply, Seen, Write};
use super::world::{TTL, World};

/// How a statement fares.
#[derive(Clone, Copy, PartialEq)]
enum Luck {
    Done,
    NotDone,
    /// Done, and nobody is told.
    AnswerLost,
}

impl World {
    pub(crate) fn at_store(&mut self, from: Address, call: Call) -> Result<(), String> {
        let luck = if self.chance.happens(self.rates.store_down) {
            Luck::NotDone
        } else if self.chance.happens(self.rates.answer_lost) {
            self.seen("answer of the store lost");
            Luck::AnswerLost
        } else {
            Luck::Done
        };
        match call {
            Call::Lease { agent, operation, asked_at } => {
                let allowed = self.store.may_start(&agent, operation, self.now);
                let answer = Box::new(self.lease(from, &agent, operation, luck));
                if answer.is_ok() {
                    allowed?;
                }
                let is_held = matches!(*answer, Err(Refusal::AgentHeld { .. }));
                if is_held && self.store.was_handed_on(&agent) {
                    self.seen("asked for an agent that was handed on elsewhere");
                }
                self.tell(from, Note::Lease { agent, operation, asked_at, answer });
            }
            Call::Attempt { agent, lease, write } => {
                let reply = self.write_of_attempt(&lease, *write, luck)?;
                self.tell(from, Note::Written(agent, lease.token, reply));
            }
            Call::Renew { leases, asked_at } => {
                let survivors = (luck != Luck::NotDone).then(|| self.store.renew(&leases, self.now));
                let survivors = survivors.filter(|_| luck == Luck::Done);
                self.tell(from, Note::Renewed { leases, asked_at, survivors });
            }
            Call::Waiting { agent, ended } if luck == Luck::Done => {
                let tickets = self.store.waiting(Some(&agent));
                self.tell(from, Note::Heard { tickets, agent, ended });
            }
            Call::Sweep => self.sweep(from, luck),
            Call::Accept { new, asked_at } => self.accept_with(luck, from, *new, asked_at)?,
            Call::HandBack(back) => {
                let done = luck != Luck::NotDone && self.hand_back(&back.lease);
                self.tell(from, Note::HandedBack { back: *back, done: done && luck == Luck::Done });
            }
            Call::Followed { ended, next } => {
                let held = self.store.held_by(&ended.worker, next);
                let follows = |lease: &Lease| lease.token.0 == ended.token.0 + 1;
                let found = held.filter(follows).filter(|_| luck == Luck::Done);
                self.tell(from, Note::Followed { ended, found });
            }
            Call::Find(search) => {
                let held = self.store.held_by(&self.workers[from.worker].id, search.operation);
                let found = if luck == Luck::Done { Ok(held) } else { Err(()) };
                self.tell(from, Note::Found { search, found });
            }
            Call::Waiting { .. } => {}
        }
        Ok(())
    }

    fn lease(
        &mut self,
        from: Address,
        agent: &AgentId,
        operation: OperationId,
        luck: Luck,
    ) -> Result<(Lease, OperationRecord), Refusal> {
        let unavailable = Refusal::Unavailable { until: self.now + Duration::from_millis(700) };
        if luck == Luck::NotDone {
            return Err(unavailable);
        }
        let answer = self.store.lease(&self.request(from, agent, operation), self.now);
        if luck == Luck::Done { answer } else { Err(unavailable) }
    }

    /// What a worker asks for.
    pub(crate) fn request(&self, from: Address, agent: &AgentId, operation: OperationId) -> LeaseRequest {
        let worker = self.workers[from.worker].id.clone();
        LeaseRequest { agent: agent.clone(), operation, worker, ttl: TTL }
    }

    /// Whoever asked for it asks again where no answer comes.
    fn accept_with(
        &mut self,
        luck: Luck,
        from: Address,
        new: NewOperation,
        asked_at: Timestamp,
    ) -> Result<(), String> {
        let operation = new.id;
        if luck != Luck::Done {
            let delay = self.chance.millis(500..3_000);
            self.after(delay, Happening::Enqueue(Box::new(new.clone())));
        }
        let leased = if luck == Luck::NotDone { None } else { self.accept(from, new)? };
        let note = match luck {
            Luck::Done => Note::Accepted { asked_at, leased: leased.map(Box::new) },
            Luck::NotDone | Luck::AnswerLost => Note::NotAccepted(operation),
        };
        self.tell(from, note);
        Ok(())
    }

    /// Whether it is over.
    fn hand_back(&mut self, lease: &Lease) -> bool {
        match self.store.hand_back(lease, self.now) {
            Ok(()) => {
                self.wake(&lease.agent, None);
                true
            }
            Err(error) => matches!(error, FenceError::Superseded),
        }
    }

    /// The end of an attempt and, where the store finds nothing in the way, the lease of what comes next.
    fn settle_and_hand_on(
        &mut self,
        lease: &Lease,
        disposition: &Disposition,
        next: Option<OperationId>,
    ) -> Result<Result<Reply, FenceError>, String> {
        let record = match self.store.settle(lease, disposition, self.now) {
            Ok(record) => Box::new(record),
            Err(error) => return Ok(Err(error)),
        };
        let allowed = next.map_or(Ok(()), |next| self.store.may_start(&lease.agent, next, self.now));
        let handed = next.map(|next| self.store.hand_on(lease, next, self.now));
        match handed {
            Some(Ok(next)) => {
                allowed?;
                self.seen("handed on");
                return Ok(Ok(Reply::Settled(record, Some(Box::new(next)))));
            }
            Some(Err(refusal)) => self.seen(in_the_way(&refusal)),
            None => {}
        }
        self.attempt_ended(&record);
        Ok(Ok(Reply::Settled(record, None)))
    }

    fn write_of_attempt(&mut self, lease: &Lease, write: Write, luck: Luck) -> Result<Reply, String> {
        if luck == Luck::NotDone {
            return Ok(Reply::Unavailable(worth_repeating(write)));
        }
        let now = self.now;
        let again = match &write {
            Write::Record(receipt) => Some(Write::Record(receipt.clone())),
            // A hand-on is tried once: what is wrong with the next operation is its own trouble.
            Write::Settle(disposition) | Write::HandOn(disposition, _) => {
                Some(Write::Settle(disposition.clone()))
            }
            Write::Answered => Some(Write::Answered),
            Write::Checkpoint(page) => Some(Write::Checkpoint(*page)),
            Write::Intend(_) | Write::Release(..) => None,
        };
        let done = match write {
            Write::Intend(request) => self.store.intend(lease, &request, now).map(Reply::Intended),
            Write::Release(intent) => self.store.release(&intent, now).map(|()| Reply::Released),
            Write::Answered => self.store.answered(lease, &effect(), now).map(|()| Reply::Done),
            Write::Record(receipt) => self.store.keep(lease, &effect(), &receipt).map(|()| Reply::Done),
            Write::Checkpoint(page) => self.store.checkpoint(lease, page, now).map(|()| Reply::Done),
            Write::Settle(disposition) => self.settle_and_hand_on(lease, &disposition, None)?,
            Write::HandOn(disposition, next) => self.settle_and_hand_on(lease, &disposition, Some(next))?,
        };
        match done {
            Ok(reply) if luck == Luck::AnswerLost => {
                if matches!(reply, Reply::Settled(_, Some(_))) {
                    self.seen("handed on, and the answer lost");
                }
                Ok(Reply::Unavailable(again))
            }
            Ok(reply) => Ok(reply),
            Err(FenceError::Superseded) => Ok(Reply::Superseded),
            Err(FenceError::TooShort) => Ok(Reply::TooShort),
            Err(FenceError::Journal(error @ JournalError::Open(_))) => Err(format!("{error} at its end")),
            Err(error) => Err(format!("a driver that keeps the protocol was refused: {error}")),
        }
    }

    fn attempt_ended(&mut self, record: &OperationRecord) {
        let id = record.operation.id;
        let ended = record.operation.is_final().then_some(id);
        self.wake(&record.operation.agent, ended);
    }

    fn sweep(&mut self, from: Address, luck: Luck) {
        if luck == Luck::NotDone {
            return;
        }
        for ticket in self.store.reap(self.now) {
            self.seen("lease ended by its time");
            self.wake(&ticket.agent, None);
        }
        if luck == Luck::Done {
            let (tickets, paused) = (self.store.waiting(None), self.store.paused());
            self.tell(from, Note::Swept { tickets, paused });
        }
    }

    /// The ERP carries out a request, however often it comes.
    pub(crate) fn apply(&mut self, operation: OperationId, list_lag: Duration) -> Result<(), String> {
        self.erp.apply(operation, self.now, self.now + list_lag);
        match self.erp.times_applied(operation) {
            1 => {}
            times => return Err(format!("the effect of {operation} was applied {times} times")),
        }
        match self.store.blocker(operation) {
            Some(earlier) => Err(format!("{operation} was applied before {earlier} of its target ended")),
            None => Ok(()),
        }
    }

    pub(crate) fn read(&mut self, to: Address, agent: AgentId, token: FencingToken, began: Timestamp) {
        let attempt = self.workers[to.worker].attempts.get(&agent);
        let Some(attempt) = attempt.filter(|attempt| attempt.lease.token == token) else { return };
        let operation = attempt.lease.operation;
        let seen = if self.chance.happens(self.rates.maintenance) {
            Seen::Maintenance
        } else {
            let unclear = self.chance.happens(self.rates.unclear);
            Seen::Probe { began, found: self.erp.find(operation, self.now), unclear }
        };
        self.tell(to, Note::Seen(agent, token, seen));
    }
}

/// An intent or a release whose answer is unknown is not asked for again: the journal decides.
fn worth_repeating(write: Write) -> Option<Write> {
    match write {
        Write::Intend(_) | Write::Release(..) => None,
        Write::HandOn(disposition, _) => Some(Write::Settle(disposition)),
        Write::Answered | Write::Record(_) | Write::Checkpoint(_) | Write::Settle(_) => Some(write),
    }
}
