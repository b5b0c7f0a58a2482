//! What must hold after every step, and at the end.

use std::time::Duration;

use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::{EffectAtEnd, OperationState};
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;

use super::messages::Address;
use super::world::World;

impl World {
    /// After every step.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.one_at_a_time()?;
        self.one_actor()
    }

    /// A request that leaves is in the journal, and in time.
    pub(crate) fn may_leave(&self, operation: OperationId) -> Result<(), String> {
        let journal = self.store.records.get(&operation).map(|record| record.effects.as_slice());
        let until = journal.unwrap_or_default().iter().filter_map(|effect| effect.act_until).max();
        match until {
            Some(until) if self.now <= until => Ok(()),
            until => {
                Err(format!("the request of {operation} leaves at {}, allowed until {until:?}", self.now))
            }
        }
    }

    /// A sync does not wait for ever: a run of one that was asked for long enough before gives way to nothing but a
    /// drain.
    pub(crate) fn may_be_asked_to_give_way(
        &self,
        to: Address,
        agent: &AgentId,
        operation: OperationId,
    ) -> Result<(), String> {
        let worker = &self.workers[to.worker];
        let kind = self.store.records.get(&operation).map(|record| &record.operation.kind);
        let drains = |kind| worker.drained.iter().any(|scope| scope.is_about(agent, kind));
        if worker.draining || kind.is_some_and(drains) {
            return Ok(());
        }
        match self.age_at_its_start(to, agent, operation) {
            age if age < self.config.protect_after_age => Ok(()),
            age => Err(format!("{operation} had waited for {age:?} and is asked to give way")),
        }
    }

    /// How long before its lease was asked for it was asked for itself, by the worker's clock.
    pub(crate) fn age_at_its_start(&self, to: Address, agent: &AgentId, operation: OperationId) -> Duration {
        let asked = self.workers[to.worker].asked_for.get(agent).copied();
        asked.unwrap_or(Timestamp::EPOCH).since(made(operation))
    }

    /// At the end, when the faults are over: nothing is lost, nothing is open, and the events tell it all.
    pub(crate) fn check_the_end(&self) -> Result<(), String> {
        for record in self.store.records.values() {
            self.accounted_for(record)?;
        }
        self.events_are_whole()
    }

    pub(crate) fn all_final(&self) -> bool {
        self.store.records.values().all(|record| record.operation.is_final())
    }

    /// What runs is what the agent's lease says, and so at most one operation of an agent.
    fn one_at_a_time(&self) -> Result<(), String> {
        for record in self.store.records.values() {
            let operation = &record.operation;
            let OperationState::Running { token, .. } = operation.state else { continue };
            let lease = self.store.lease_of(&operation.agent);
            if lease.is_none_or(|lease| lease.token != token || lease.operation != operation.id) {
                return Err(format!("{} runs beside the lease {lease:?}", operation.id));
            }
        }
        Ok(())
    }

    /// Over all processes, frozen ones too, one attempt of an agent believes that it may act.
    fn one_actor(&self) -> Result<(), String> {
        let attempts = self.workers.iter().flat_map(|worker| worker.attempts.values());
        let mut acting: Vec<_> =
            attempts.filter(|attempt| !attempt.settling && !self.is_over(attempt)).collect();
        acting.sort_by_key(|attempt| &attempt.lease.agent);
        match acting.windows(2).find(|pair| pair[0].lease.agent == pair[1].lease.agent) {
            Some(pair) => Err(format!("two act at once: {:?} and {:?}", pair[0].lease, pair[1].lease)),
            None => Ok(()),
        }
    }

    fn accounted_for(&self, record: &OperationRecord) -> Result<(), String> {
        let operation = &record.operation;
        let reads = !operation.payload["pages"].is_null();
        let wanted = match &operation.state {
            OperationState::Completed { .. } => usize::from(!reads),
            OperationState::Rejected { .. }
            | OperationState::Cancelled { .. }
            | OperationState::Failed { effect: EffectAtEnd::None, .. } => 0,
            state => return Err(format!("{} ends as {}", operation.id, state.name())),
        };
        match self.erp.times_applied(operation.id) {
            applied if applied == wanted => Ok(()),
            applied => {
                Err(format!("{} is {} and was applied {applied} times", operation.id, operation.state.name()))
            }
        }
    }

    /// Every agent's events are numbered without a hole, and the last of each operation tells its state.
    fn events_are_whole(&self) -> Result<(), String> {
        for (agent, events) in self.store.events() {
            if let Some((n, event)) = events.iter().zip(1..).find_map(|(e, n)| (e.seq != n).then_some((n, e)))
            {
                return Err(format!("{agent}: event {n} has the number {}", event.seq));
            }
        }
        for record in self.store.records.values() {
            let operation = &record.operation;
            let told = self.store.events().find(|(agent, _)| **agent == operation.agent);
            let mut told = told.into_iter().flat_map(|(_, events)| events.iter().rev());
            let last = told.find(|event| event.event.operation == Some(operation.id));
            let state = last.and_then(|event| event.event.data.get("state")).and_then(|state| state.as_str());
            if state != Some(operation.state.name()) {
                return Err(format!("{} is {:?}, told is {state:?}", operation.id, operation.state.name()));
            }
        }
        Ok(())
    }
}

/// When it was asked for, to the millisecond.
fn made(operation: OperationId) -> Timestamp {
    let (high, _) = operation.0.as_u64_pair();
    Timestamp::EPOCH + Duration::from_millis(high >> 16)
}
