//! Those who ask for operations, and those who pause, withdraw and decide.

use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, Target};
use archibald_core::operation::{Class, NewOperation, OperationState};
use archibald_core::pause::PauseScope;
use archibald_core::record::Resolution;
use archibald_core::scheduler::Input;
use archibald_core::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::messages::Happening;
use super::world::{SETTLE, World};

const NAMES: [&str; 5] = ["andrew", "janet", "laura", "nancy", "steven"];

impl World {
    /// All that will be asked for: in bursts and apart, at once and later.
    pub(crate) fn plan_work(&mut self) {
        let agents = self.chance.within(1..6) as usize;
        let operations = self.chance.within(3..22);
        let span = self.chance.within(1..60_000);
        for n in 1..=operations {
            let agent = NAMES[self.chance.below(agents as u64) as usize];
            let at = self.chance.millis(0..span);
            let new = self.new_operation(n, agent, self.now + at);
            if self.plan.operations.is_none_or(|most| n <= most) {
                self.after(at, Happening::Enqueue(Box::new(new)));
            }
        }
    }

    fn new_operation(&mut self, n: u64, agent: &str, made: Timestamp) -> NewOperation {
        let class = if self.chance.happens(350) { Class::Background } else { Class::Interactive };
        let reads = class == Class::Background && self.chance.happens(800);
        let payload: Value = if reads {
            json!({ "pages": self.chance.within(1..9) })
        } else {
            json!({ "bad": self.chance.happens(60) })
        };
        let target = self.chance.happens(400).then(|| format!("order:{}", self.chance.below(2)));
        NewOperation {
            id: id_of(made, n),
            agent: AgentId::new(agent).unwrap(),
            kind: OperationKind::new(if reads { "sync-customers" } else { "submit-order" }).unwrap(),
            class,
            key: OperationKey::new(format!("key {n}")).unwrap(),
            target: target.map(|text| Target::new(text).unwrap()),
            once_per_target: false,
            payload,
            run_at: self.chance.happens(150).then(|| self.now + self.chance.millis(0..70_000)),
            origin: None,
            queue_limit: 1000,
            trace: false,
        }
    }

    /// Now and then somebody looks after things; once it is calm, after everything.
    pub(crate) fn person(&mut self) -> Result<(), String> {
        self.after(Duration::from_secs(3), Happening::Person);
        self.decide_doubts();
        if self.chance.happens(self.rates.pause) {
            self.pause();
        }
        for scope in self.store.paused() {
            if self.calm || self.chance.happens(200) {
                self.seen("resumed");
                self.store.resume(&scope);
                self.tell_all(&Input::Resume { scope });
            }
        }
        if self.chance.happens(self.rates.cancel) {
            self.cancel_something();
        }
        Ok(())
    }

    fn pause(&mut self) {
        let records: Vec<_> = self.store.records.values().map(|record| &record.operation).collect();
        let Some(some) = records.get(self.chance.below(records.len() as u64) as usize) else { return };
        let (agent, kind) = (some.agent.clone(), some.kind.clone());
        let (scope, what) = match self.chance.below(6) {
            0 => (PauseScope::Everything, "paused: everything"),
            1 | 2 => (kind.into(), "paused: a kind"),
            _ => (agent.into(), "paused: an agent"),
        };
        self.seen(what);
        self.store.pause(&scope);
        let drains = self.chance.happens(300);
        self.tell_all(&Input::Pause { scope, why: "by hand".into(), drains });
    }

    fn cancel_something(&mut self) {
        let waiting = self.store.waiting(None);
        let Some(ticket) = waiting.get(self.chance.below(waiting.len() as u64) as usize) else { return };
        if let Some(record) = self.store.cancel(ticket.operation, self.now) {
            self.seen("cancelled");
            let (agent, operation) = (record.operation.agent, record.operation.id);
            self.tell_all(&Input::Withdrawn { agent, operation });
        }
    }

    /// A person looks at the ERP once nothing can be under way any more, and tells the truth.
    fn decide_doubts(&mut self) {
        let doubts = self.store.records.values().filter(|record| {
            let settled = |at| at + Duration::from_secs(1) < self.now;
            matches!(record.operation.state, OperationState::InDoubt { .. })
                && record.effects.iter().filter_map(|effect| SETTLE.over_at(effect)).all(settled)
        });
        let doubts: Vec<_> = doubts.map(|record| record.operation.id).collect();
        for id in doubts {
            if !self.calm && !self.chance.happens(300) {
                continue;
            }
            let how = match self.erp.find(id, self.now) {
                Some(receipt) => Resolution::Applied { receipt },
                None => Resolution::NotApplied,
            };
            let Some(record) = self.store.resolve(id, &how, self.now) else { continue };
            self.seen("doubt decided");
            self.wake(&record.operation.agent, Some(id));
        }
    }

    fn tell_all(&mut self, input: &Input) {
        for worker in 0..self.workers.len() {
            let to = self.address(worker);
            self.notice(to, input.clone());
        }
    }
}

/// A UUIDv7, as whoever asks makes it: the time, and a number in the place of luck.
fn id_of(made: Timestamp, n: u64) -> OperationId {
    let millis = made.as_micros().unsigned_abs() / 1000;
    OperationId(Uuid::from_u64_pair((millis << 16) | 0x7000, (1 << 63) | n))
}
