//! What is asked for in a process that works may be leased as it is accepted; where the answer is lost, it is looked
//! for.

use archibald_core::id::OperationId;
use archibald_core::lease::Lease;
use archibald_core::operation::NewOperation;
use archibald_core::scheduler::Input;
use archibald_core::time::Timestamp;

use super::handing_on::{Fresh, STORE_PAUSE};
use super::messages::{Address, Back, Call, Happening, Leased, Note, Search, Then};
use super::world::{TTL, World};

impl World {
    /// Half of it is asked for in a process that works.
    pub(crate) fn enqueue(&mut self, new: NewOperation) {
        let worker = self.chance.below(self.workers.len() as u64) as usize;
        let from = self.address(worker);
        if self.chance.happens(500) && self.would_start(from, &new) {
            self.workers[worker].promises += 1;
            let asked_at = self.now;
            return self.call(from, Call::Accept { new: Box::new(new), asked_at });
        }
        let agent = new.agent.clone();
        if let Some(ticket) = self.store.enqueue(new, self.now) {
            self.notice(from, Input::Waiting(ticket));
        }
        self.wake(&agent, None);
    }

    fn would_start(&self, from: Address, new: &NewOperation) -> bool {
        let worker = &self.workers[from.worker];
        worker.alive
            && worker.frozen_until <= self.now
            && !worker.draining
            && new.run_at.is_none()
            && worker.scheduler.would_start(&new.agent, &new.kind, new.class, worker.promises)
    }

    /// In one transaction; what is not leased is told of.
    pub(crate) fn accept(&mut self, from: Address, new: NewOperation) -> Result<Option<Leased>, String> {
        let (agent, id) = (new.agent.clone(), new.id);
        let Some(ticket) = self.store.enqueue(new, self.now) else { return Ok(None) };
        let allowed = self.store.may_start(&agent, id, self.now);
        let request = self.request(from, &agent, id);
        let Some((lease, record)) = self.store.take_up(&request, self.now) else {
            self.seen("accepted, and not leased");
            self.notice(from, Input::Waiting(ticket));
            self.wake(&agent, None);
            return Ok(None);
        };
        allowed?;
        self.seen("leased as it was accepted");
        match self.store.waiting(Some(&agent)).first() {
            Some(other) => Err(format!("{id} came alone, and {} waits", other.operation)),
            None => Ok(Some(Leased { lease, record, ticket })),
        }
    }

    pub(crate) fn accepted(
        &mut self,
        to: Address,
        asked_at: Timestamp,
        leased: Option<Leased>,
    ) -> Result<(), String> {
        self.workers[to.worker].promises -= 1;
        let Some(Leased { lease, record, ticket }) = leased else { return Ok(()) };
        let fresh = Fresh::new((lease, record), asked_at);
        self.decide_with(to, &ticket.agent.clone(), Some(fresh), Input::Waiting(ticket))
    }

    /// Nobody knows whether it was accepted, or leased.
    pub(crate) fn not_accepted(&mut self, to: Address, operation: OperationId) {
        self.workers[to.worker].promises -= 1;
        let until = self.now + TTL;
        self.call(to, Call::Find(Search { operation, seen: None, until }));
    }

    /// What this worker holds without knowing of it is given back; what is being taken just now is known of a moment
    /// later.
    pub(crate) fn found(&mut self, to: Address, search: Search, found: Result<Option<Lease>, ()>) {
        if search.until <= self.now {
            return;
        }
        let seen = match found {
            Ok(None) => return,
            Ok(Some(lease)) if self.knows(to, &lease) => return,
            Ok(Some(lease)) if search.seen == Some(lease.token) => {
                self.seen("accepted without an answer, and given back");
                let (until, then) = (self.now + TTL, Then::Nothing);
                return self.call(to, Call::HandBack(Box::new(Back { lease, until, then })));
            }
            Ok(Some(lease)) => Some(lease.token),
            Err(()) => search.seen,
        };
        let again = Note::FindAgain(Search { seen, ..search });
        self.after(STORE_PAUSE, Happening::AtWorker(to, again));
    }

    fn knows(&self, to: Address, lease: &Lease) -> bool {
        let worker = &self.workers[to.worker];
        let attempt = worker.attempts.get(&lease.agent);
        attempt.is_some_and(|attempt| attempt.lease.token == lease.token)
            || worker.fresh.contains_key(&(lease.agent.clone(), lease.token))
    }
}
