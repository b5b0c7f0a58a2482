//! What reaches the store and the ERP, what they do with it, and what gets lost on the way.

use std::time::Duration;

use archibald_core::error::{FenceError, JournalError};
use archibald_core::id::{AgentId, FencingToken, OperationId};
use archibald_core::lease::Lease;
use archibald_core::record::OperationRecord;
use archibald_core::scheduler::Refusal;

use super::attempt::effect;
use super::messages::{Address, Call, Note, Reply, Seen, Write};
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
        let worker = self.workers[from.worker].id.clone();
        let answer = self.store.lease(agent, operation, &worker, TTL, self.now);
        if luck == Luck::Done { answer } else { Err(unavailable) }
    }

    fn write_of_attempt(&mut self, lease: &Lease, write: Write, luck: Luck) -> Result<Reply, String> {
        if luck == Luck::NotDone {
            return Ok(Reply::Unavailable(worth_repeating(write)));
        }
        let now = self.now;
        let again = match &write {
            Write::Record(receipt) => Some(Write::Record(receipt.clone())),
            Write::Settle(disposition) => Some(Write::Settle(disposition.clone())),
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
            Write::Settle(disposition) => {
                let settled = self.store.settle(lease, &disposition, now);
                settled.map(|record| {
                    self.attempt_ended(&record);
                    Reply::Settled(Box::new(record))
                })
            }
        };
        match done {
            Ok(_) if luck == Luck::AnswerLost => Ok(Reply::Unavailable(again)),
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

    pub(crate) fn read(
        &mut self,
        to: Address,
        agent: AgentId,
        token: FencingToken,
        began: archibald_core::time::Timestamp,
    ) {
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
        Write::Answered | Write::Record(_) | Write::Checkpoint(_) | Write::Settle(_) => Some(write),
    }
}
