use super::Scheduler;
use super::halt::Halt;
use super::kept::Place;
use super::lane::{Hold, Lane};
use super::slab::{Key, NONE};
use crate::id::{AgentId, OperationId};
use crate::operation::Class;
use crate::pause::PauseScope;
use crate::port::{NotPreempted, Why};
use crate::time::Timestamp;

impl Scheduler {
    /// Every reason why an operation is not running now, the one that lasts longest first: each of them has
    /// to end before it starts. Empty when it runs, or is not known here; never empty for one that waits.
    ///
    /// Linear in the agents, where nothing but a slot is wanted.
    #[must_use]
    pub fn explain(&self, now: Timestamp, agent: &AgentId, operation: OperationId) -> Vec<Why> {
        let Some(lane) = self.lane_of(agent) else { return vec![] };
        let Some(key) = self.backlog.find(lane, operation) else { return vec![] };
        if self.backlog.is_taken(key) {
            let leased = self.runs[self.lanes[lane].run].leased;
            return if leased { vec![] } else { vec![Why::Starting] };
        }
        let mut why = vec![];
        why.extend(self.draining.then_some(Why::Draining));
        self.say_what_parks(now, lane, key, &mut why);
        self.say_what_runs(lane, key, &mut why);
        let operations = self.backlog.ahead_of(&self.lanes[lane].pile, key);
        why.extend((operations > 0).then_some(Why::Behind { operations }));
        if why.is_empty() {
            why.push(Why::NoSlot);
            let agents = self.agents_ahead_of(lane);
            why.extend((agents > 0).then_some(Why::InTurn { agents }));
        }
        why
    }

    fn say_what_parks(&self, now: Timestamp, lane: Key, key: Key, why: &mut Vec<Why>) {
        let (lane, ticket) = (&self.lanes[lane], self.backlog.get(key));
        why.extend(self.halted.as_ref().map(|halt| paused(PauseScope::Everything, halt)));
        why.extend(lane.agent.clone().zip(lane.halt()).map(|(agent, halt)| paused(agent.into(), halt)));
        why.extend(self.backlog.halt_of(key).map(|(kind, halt)| paused(kind.clone().into(), halt)));
        let blocked = self.backlog.block_of(key).map(|block| block.by);
        why.extend(blocked.or_else(|| self.backlog.leader_of(key)).map(|by| Why::TargetBlocked { by }));
        // By what was last heard of the time, which `now` may be ahead of.
        let later = ticket.place == Place::Later
            || (!matches!(ticket.place, Place::Due | Place::Paused) && ticket.at > now);
        why.extend(later.then_some(Why::NotDue { at: ticket.at }));
        why.extend(lane.hold().map(|hold| match hold {
            Hold::Held { until } => Why::LeasedElsewhere { until },
            Hold::Unavailable { until } => Why::StoreFailed { until },
        }));
    }

    fn say_what_runs(&self, lane: Key, key: Key, why: &mut Vec<Why>) {
        let lane = &self.lanes[lane];
        if lane.run == NONE {
            return;
        }
        let run = &self.runs[lane.run];
        why.push(Why::AgentBusy { operation: run.operation });
        let could_start = self.backlog.could_start(key) && !lane.is_parked() && self.halted.is_none();
        let class = self.backlog.get(key).class;
        let because = match () {
            () if run.preempt_asked => NotPreempted::Asked,
            () if class != Class::Interactive || !could_start => NotPreempted::NotForThisOne,
            () if run.class != Class::Background => NotPreempted::NotForThisOne,
            () if run.effect_open => NotPreempted::EffectOpen,
            () if !run.leased => NotPreempted::Starting,
            () => NotPreempted::Protected,
        };
        why.push(Why::NotPreempted { because });
    }

    /// How many agents have a slot before this one, which stands: those of a class that goes first, and those
    /// of its class with an earlier turn.
    fn agents_ahead_of(&self, lane: Key) -> u64 {
        let before = |lane: &Lane| {
            let standing = lane.standing.filter(|standing| !standing.commit)?;
            Some((standing.class, lane.turn(standing.class)))
        };
        let Some(own) = before(&self.lanes[lane]) else { return 0 };
        let others = self.lanes.iter().filter_map(|(_, other)| before(other));
        others.filter(|other| *other < own).count() as u64
    }
}

fn paused(scope: PauseScope, halt: &Halt) -> Why {
    Why::Paused { scope, why: halt.why.clone() }
}
