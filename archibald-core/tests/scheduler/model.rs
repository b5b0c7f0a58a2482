//! The scheduler's rules said once more, as plainly as possible: everything in one map, every question
//! answered by looking at all of it. Where the scheduler may wait a little longer than it must (after a
//! refusal), "may start" and "must have started" are two questions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::{Class, Step};
use archibald_core::pause::PauseScope;
use archibald_core::port::{NotPreempted, Why};
use archibald_core::scheduler::{BLOCKED_RETRY, Command, Input, Refusal, SchedulerConfig, Ticket};
use archibald_core::time::Timestamp;

use crate::checked::slot_of;

const NOT_DUE_PAUSE: Duration = Duration::from_millis(20);
const HOLD_SLACK: Duration = Duration::from_secs(30);

pub(crate) struct Model {
    config: SchedulerConfig,
    known: BTreeMap<(AgentId, OperationId), Known>,
    agents: BTreeMap<AgentId, Agent>,
    /// For each agent that waits for a slot in a class: who started in that class since.
    passed: BTreeMap<(AgentId, Class), BTreeMap<AgentId, u32>>,
    /// When the last start that was counted was.
    turns: BTreeMap<(AgentId, Class), Timestamp>,
    /// What is paused, and whether it drains.
    paused: BTreeMap<PauseScope, bool>,
    draining: bool,
}

struct Known {
    ticket: Ticket,
    /// Its time came; a clock that goes back does not take that away.
    due: bool,
    blocked: Option<(OperationId, Timestamp)>,
}

#[derive(Default)]
struct Agent {
    taken: Option<Taken>,
    hold: Option<Hold>,
}

struct Hold {
    held: bool,
    may: Timestamp,
    over: bool,
    must: Timestamp,
}

impl Hold {
    /// Between what the store named and what is bearable.
    fn is(&self, until: Timestamp) -> bool {
        self.may <= until && until <= self.must
    }
}

struct Taken {
    ticket: Ticket,
    leased: bool,
    heard: bool,
    open: bool,
    asked: bool,
    protected: bool,
    again: Option<Ticket>,
    withdrawn: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    May,
    Must,
}

impl Model {
    pub(crate) fn new(config: SchedulerConfig) -> Self {
        let (known, agents, passed, turns, paused) = Default::default();
        Self { config, known, agents, passed, turns, paused, draining: false }
    }

    pub(crate) fn take_in(&mut self, now: Timestamp, input: &Input) {
        match input.clone() {
            Input::Waiting(ticket) => {
                self.hear(&ticket.agent, true);
                self.wait(ticket);
            }
            Input::Leased { agent, operation } => {
                if let Some(taken) = self.taken_by(&agent, operation) {
                    taken.leased = true;
                }
            }
            Input::LeaseRefused { agent, operation, reason } => self.refuse(now, &agent, operation, reason),
            Input::EffectOpen { agent, operation } => {
                if let Some(taken) = self.taken_by(&agent, operation) {
                    taken.open = true;
                }
            }
            Input::Settled { agent, operation, next } => self.settle(&agent, operation, next),
            Input::Withdrawn { agent, operation } => {
                self.hear(&agent, false);
                if let Some(taken) = self.taken_by(&agent, operation) {
                    (taken.withdrawn, taken.again) = (true, None);
                } else {
                    self.known.remove(&(agent.clone(), operation));
                }
                self.unblock(&agent, operation);
            }
            Input::TargetFreed { agent, operation } => {
                self.hear(&agent, true);
                self.unblock(&agent, operation);
            }
            Input::Pause { scope, drains, .. } => self.pause(scope, drains),
            Input::Resume { scope } => {
                let was_paused = self.paused.remove(&scope).is_some();
                match &scope {
                    PauseScope::Agent { agent } => self.hear(agent, true),
                    PauseScope::Kind { .. } | PauseScope::Everything => {
                        if was_paused {
                            self.look_at_the_time_again(&scope);
                        }
                        let taken = self.agents.values_mut().filter_map(|agent| agent.taken.as_mut());
                        taken.for_each(|taken| taken.heard = true);
                    }
                }
            }
            Input::Drain => self.draining = true,
            Input::Tick => {}
        }
        self.forget_what_is_over(now);
        let standing = self.standing(now);
        let stands =
            |agent: &AgentId, class| standing.iter().any(|(id, head)| id == agent && head.class == class);
        self.passed.retain(|(agent, class), _| stands(agent, *class));
    }

    /// A command is allowed, and is carried out here too.
    pub(crate) fn obey(&mut self, now: Timestamp, command: &Command) -> Result<(), String> {
        match command {
            Command::Lease { agent, operation, step } => self.start(now, agent, *operation, *step),
            Command::Preempt { agent, operation } => {
                if !self.should_give_way(agent) {
                    return Err("nothing asks it to give way".into());
                }
                let taken = self.taken_by(agent, *operation).ok_or("it does not run")?;
                taken.asked = true;
                Ok(())
            }
        }
    }

    /// Nothing waits that could start, and nothing runs that should have been asked to give way.
    pub(crate) fn nothing_is_left(&mut self, now: Timestamp) -> Result<(), String> {
        for agent in self.agents.keys() {
            if self.should_give_way(agent) {
                return Err(format!("{agent}: the running attempt was not asked to give way"));
            }
        }
        let standing = self.standing(now);
        for (agent, head) in &standing {
            if self.has_room(slot_of(head.class, head.step)) {
                return Err(format!("{agent}: {} could start and does not", head.operation));
            }
        }
        for (agent, head) in standing {
            self.passed.entry((agent, head.class)).or_default();
        }
        Ok(())
    }

    /// Agents that wait for nothing but a slot, and what they would start.
    fn standing(&self, now: Timestamp) -> Vec<(AgentId, Ticket)> {
        let head = |agent: &AgentId| {
            let may = self.head(now, agent, When::May)?;
            self.head(now, agent, When::Must).filter(|must| rank(may) == rank(must))
        };
        let agents = self.agents.keys().filter(|_| !self.draining && !self.is_halted());
        agents.filter_map(|agent| Some((agent.clone(), head(agent)?.clone()))).collect()
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Ticket> {
        self.known.values().map(|known| &known.ticket)
    }

    pub(crate) fn taken(&self) -> impl Iterator<Item = &AgentId> {
        self.agents.iter().filter(|(_, agent)| agent.taken.is_some()).map(|(id, _)| id)
    }

    pub(crate) fn is_taken(&self, agent: &AgentId) -> bool {
        self.agents.get(agent).is_some_and(|agent| agent.taken.is_some())
    }

    fn is_paused(&self, agent: &AgentId) -> bool {
        self.paused.contains_key(&agent.clone().into())
    }

    fn is_halted(&self) -> bool {
        self.paused.contains_key(&PauseScope::Everything)
    }

    /// Every pause that is about an operation.
    fn pauses_of(&self, ticket: &Ticket) -> BTreeSet<PauseScope> {
        let scopes = [PauseScope::Everything, ticket.agent.clone().into(), ticket.kind.clone().into()];
        scopes.into_iter().filter(|scope| self.paused.contains_key(scope)).collect()
    }

    fn is_kind_paused(&self, kind: &OperationKind) -> bool {
        self.paused.contains_key(&kind.clone().into())
    }

    pub(crate) fn slots_in_use(&self) -> (usize, usize) {
        let count = |class| {
            let taken = self.agents.values().filter_map(|agent| agent.taken.as_ref());
            taken.filter(|taken| slot_of(taken.ticket.class, taken.ticket.step) == Some(class)).count()
        };
        (count(Class::Interactive), count(Class::Background))
    }

    /// The operation of the same target that stands in the way of one that waits.
    fn blocker_of(&self, ticket: &Ticket) -> Option<OperationId> {
        let block = self.known.get(&key(ticket)).and_then(|known| known.blocked);
        self.leader_of(ticket).or(block.map(|(by, _)| by))
    }

    /// Whether the store said of anything that this operation blocks it.
    pub(crate) fn blocks(&self, agent: &AgentId, operation: OperationId) -> bool {
        self.own(agent).any(|known| known.blocked.is_some_and(|(by, _)| by == operation))
    }

    /// Whether the time of anything of this target came after one of these moments and until the other.
    pub(crate) fn comes_due(
        &self,
        agent: &AgentId,
        target: Option<&Target>,
        after: Timestamp,
        until: Timestamp,
    ) -> bool {
        let behind = |known: &Known| target.is_some() && known.ticket.target.as_ref() == target;
        self.own(agent).any(|known| behind(known) && after < known.ticket.at && known.ticket.at <= until)
    }

    /// Whether a reason that a ticket gives for waiting holds.
    pub(crate) fn is_true(&self, now: Timestamp, ticket: &Ticket, why: &Why) -> bool {
        let hold = self.agents.get(&ticket.agent).and_then(|agent| agent.hold.as_ref());
        match why {
            Why::LeasedElsewhere { until } => hold.is_some_and(|hold| hold.held && hold.is(*until)),
            Why::StoreFailed { until } => hold.is_some_and(|hold| !hold.held && hold.is(*until)),
            Why::Paused { scope, .. } => self.pauses_of(ticket).contains(scope),
            Why::NoSlot => {
                let free =
                    !self.is_halted() && !self.is_paused(&ticket.agent) && hold.is_none_or(|hold| hold.over);
                free && self.first(&ticket.agent) == Some(ticket)
                    && !self.has_room(slot_of(ticket.class, ticket.step))
            }
            Why::InTurn { agents } => {
                let could_start = |agent: &&AgentId| !self.is_taken(agent) && self.first(agent).is_some();
                (*agents as usize) < self.agents.keys().filter(could_start).count()
            }
            other => self.reasons(now, ticket).contains(other),
        }
    }

    /// The reasons that a ticket must give, as far as they are known to the letter.
    pub(crate) fn reasons(&self, now: Timestamp, ticket: &Ticket) -> Vec<Why> {
        let mut why = vec![];
        why.extend(self.draining.then_some(Why::Draining));
        why.extend(self.blocker_of(ticket).map(|by| Why::TargetBlocked { by }));
        let stuck = self.blocker_of(ticket).is_some();
        let later = !self.is_due(ticket) && (ticket.at > now || !stuck);
        why.extend(later.then_some(Why::NotDue { at: ticket.at }));
        let state = self.agents.get(&ticket.agent);
        if let Some(taken) = state.and_then(|state| state.taken.as_ref()) {
            why.push(Why::AgentBusy { operation: taken.ticket.operation });
            why.push(Why::NotPreempted { because: self.why_not_preempted(ticket, taken) });
        }
        let ahead = self.own(&ticket.agent).map(|known| &known.ticket).filter(|other| self.may_start(other));
        let ahead = ahead.filter(|other| rank(other) < rank(ticket));
        why.extend(match ahead.count() as u64 {
            0 => None,
            operations => Some(Why::Behind { operations }),
        });
        let parked = !self.pauses_of(ticket).is_empty() || state.is_some_and(|state| state.hold.is_some());
        if why.is_empty() && !parked && !self.has_room(slot_of(ticket.class, ticket.step)) {
            why.push(Why::NoSlot);
        }
        why
    }

    fn why_not_preempted(&self, ticket: &Ticket, taken: &Taken) -> NotPreempted {
        let state = &self.agents[&ticket.agent];
        let could_start = self.may_start(ticket) && state.hold.is_none() && self.pauses_of(ticket).is_empty();
        match (taken.ticket.class, ticket.class) {
            _ if taken.asked => NotPreempted::Asked,
            (Class::Background, Class::Interactive) if could_start => match () {
                () if taken.open => NotPreempted::EffectOpen,
                () if !taken.leased => NotPreempted::Starting,
                () => NotPreempted::Protected,
            },
            _ => NotPreempted::NotForThisOne,
        }
    }

    fn leader_of(&self, ticket: &Ticket) -> Option<OperationId> {
        let target = ticket.target.as_ref()?;
        let earlier = |other: &&Ticket| {
            other.target.as_ref() == Some(target)
                && (other.position, other.operation) < (ticket.position, ticket.operation)
        };
        let taken = self.agents.get(&ticket.agent).and_then(|agent| agent.taken.as_ref());
        let waiting = self.own(&ticket.agent).map(|known| &known.ticket);
        let others = waiting.chain(taken.map(|taken| &taken.ticket));
        let leader = others.filter(earlier).min_by_key(|other| (other.position, other.operation));
        leader.map(|other| other.operation)
    }

    /// When something changes by itself, at the latest.
    pub(crate) fn next_alarm(&self, now: Timestamp) -> Option<Timestamp> {
        let free = self.known.values().filter(|known| !known.due && self.leader_of(&known.ticket).is_none());
        let tickets = free.map(|known| known.blocked.map_or(known.ticket.at, |(_, until)| until));
        let holds = self.agents.values().filter_map(|agent| agent.hold.as_ref());
        let holds = holds.filter(|hold| !hold.over).map(|hold| hold.must);
        tickets.chain(holds).filter(|at| *at > now).min()
    }

    fn start(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        operation: OperationId,
        step: Step,
    ) -> Result<(), String> {
        if self.draining || self.is_halted() {
            return Err("started although it drains or everything is paused".into());
        }
        let head = self.head(now, agent, When::May).ok_or("the agent has nothing that may start")?;
        let must = self.head(now, agent, When::Must);
        let known = self.known.get(&(agent.clone(), operation)).ok_or("unknown, or running")?;
        let ticket = known.ticket.clone();
        if !self.may_start(&ticket) {
            return Err("it may not start".into());
        }
        let outranked = must.is_some_and(|must| rank(must) < rank(&ticket));
        if outranked || rank(&ticket) < rank(head) {
            return Err("another one of the agent goes first".into());
        }
        if ticket.step != step {
            return Err(format!("it begins with {:?}", ticket.step));
        }
        let slot = slot_of(ticket.class, step);
        if !self.has_room(slot) {
            return Err("no slot is free for it".into());
        }
        if slot.is_some() {
            self.note_turn(now, agent, ticket.class)?;
        }
        self.known.remove(&(agent.clone(), operation));
        let open = step != Step::Act;
        let (preemptions, old) = (ticket.preemptions, self.is_old(now, operation));
        self.passed.retain(|(waits, _), _| waits != agent);
        self.agent(agent).hold = None;
        self.agent(agent).taken = Some(Taken {
            ticket,
            leased: false,
            heard: false,
            open,
            asked: false,
            protected: preemptions >= self.config.protect_after_preemptions || old,
            again: None,
            withdrawn: false,
        });
        Ok(())
    }

    /// While one agent waits for a slot, every other one gets as many before it as its weight says; what starts
    /// within the quantum of one belongs to it, and so does one that could have and got its slot later.
    fn note_turn(&mut self, now: Timestamp, agent: &AgentId, class: Class) -> Result<(), String> {
        let began = self.turns.get(&(agent.clone(), class));
        if began.is_some_and(|began| now.since(*began) < self.config.quantum) {
            return Ok(());
        }
        self.turns.insert((agent.clone(), class), now);
        for ((waits, its_class), passed) in &mut self.passed {
            if waits == agent || *its_class != class {
                continue;
            }
            let times = passed.entry(agent.clone()).or_default();
            *times += 1;
            let weight = self.config.weights.get(agent).copied().unwrap_or(1).max(1);
            if *times > weight + u32::from(!self.config.quantum.is_zero()) {
                return Err(format!("{times} turns while {waits} waits"));
            }
        }
        Ok(())
    }

    fn is_old(&self, now: Timestamp, operation: OperationId) -> bool {
        let id = operation.0;
        let made = id.get_timestamp().filter(|_| id.get_version_num() == 7).map(|made| made.to_unix());
        let made = made.map(|(secs, nanos)| Timestamp::EPOCH + Duration::new(secs, nanos));
        made.is_some_and(|made| now.since(made) >= self.config.protect_after_age)
    }

    /// The ticket of the agent that goes first, if the agent is free.
    fn head(&self, now: Timestamp, agent: &AgentId, when: When) -> Option<&Ticket> {
        let state = self.agents.get(agent)?;
        let parked = state.hold.as_ref().is_some_and(|hold| match when {
            When::May => !hold.over,
            When::Must => hold.must > now,
        });
        if state.taken.is_some() || self.is_paused(agent) || parked {
            return None;
        }
        self.first(agent)
    }

    fn first(&self, agent: &AgentId) -> Option<&Ticket> {
        let due = self.own(agent).filter(|known| known.due).map(|known| &known.ticket);
        due.filter(|ticket| !self.is_kind_paused(&ticket.kind)).min_by_key(|ticket| rank(ticket))
    }

    /// What waits of one agent.
    fn own(&self, agent: &AgentId) -> impl Iterator<Item = &Known> {
        let from = (agent.clone(), OperationId(uuid::Uuid::nil()));
        self.known.range(from..).take_while(move |((owner, _), _)| owner == agent).map(|(_, known)| known)
    }

    fn may_start(&self, ticket: &Ticket) -> bool {
        self.is_due(ticket) && !self.is_kind_paused(&ticket.kind)
    }

    fn is_due(&self, ticket: &Ticket) -> bool {
        self.known.get(&key(ticket)).is_some_and(|known| known.due)
    }

    fn should_give_way(&self, agent: &AgentId) -> bool {
        let Some(state) = self.agents.get(agent) else { return false };
        let Some(taken) = &state.taken else { return false };
        let waits = !self.is_paused(agent)
            && state.hold.is_none()
            && self.first(agent).is_some_and(|first| first.class == Class::Interactive);
        let drains = self.pauses_of(&taken.ticket).iter().any(|scope| self.paused[scope]);
        taken.leased
            && taken.ticket.class == Class::Background
            && !taken.open
            && !taken.asked
            && (self.draining || drains || (waits && !self.is_halted() && !taken.protected))
    }

    fn has_room(&self, slot: Option<Class>) -> bool {
        let (interactive, background) = self.slots_in_use();
        let room = interactive + background < self.config.slots;
        match slot {
            None => true,
            Some(Class::Interactive) => room,
            Some(Class::Background) => {
                room && background < self.config.slots - self.config.reserved_interactive
            }
        }
    }

    fn wait(&mut self, ticket: Ticket) {
        self.agent(&ticket.agent);
        if let Some(taken) = self.taken_by(&ticket.agent, ticket.operation) {
            if taken.ticket != ticket {
                taken.withdrawn = false;
                taken.again = Some(ticket);
            }
            return;
        }
        let old = self.known.remove(&key(&ticket));
        let same = old.as_ref().is_some_and(|old| old.ticket == ticket);
        let same_target = old.as_ref().is_some_and(|old| old.ticket.target == ticket.target);
        let due = old.as_ref().is_some_and(|old| same && old.due);
        let blocked = old.filter(|_| same_target).and_then(|old| old.blocked);
        self.known.insert(key(&ticket), Known { due, ticket, blocked });
    }

    fn refuse(&mut self, now: Timestamp, agent: &AgentId, operation: OperationId, reason: Refusal) {
        let state = self.agent(agent);
        let asked = |taken: &mut Taken| taken.ticket.operation == operation && !taken.leased;
        let Some(Taken { ticket, heard, again, withdrawn, .. }) = state.taken.take_if(asked) else { return };
        if withdrawn {
            return;
        }
        let new = again.clone().unwrap_or_else(|| ticket.clone());
        let mut known = Known { due: false, ticket: new, blocked: None };
        match reason {
            Refusal::Gone if again.is_none() => return,
            Refusal::NotDue { at } if again.is_none() => {
                known.ticket.at = at.max(now + NOT_DUE_PAUSE);
            }
            Refusal::Gone | Refusal::NotDue { .. } => {}
            Refusal::TargetBusy { by } if !heard => known.blocked = Some((by, now + BLOCKED_RETRY)),
            Refusal::AgentHeld { until } if !heard => state.hold = Some(hold(until, now, true)),
            Refusal::Paused { scope, .. } if !heard => self.pause_unless_known(scope),
            Refusal::Unavailable { until } => state.hold = Some(hold(until, now, false)),
            Refusal::TargetBusy { .. } | Refusal::AgentHeld { .. } | Refusal::Paused { .. } => {}
        }
        self.known.insert(key(&known.ticket), known);
    }

    fn pause(&mut self, scope: PauseScope, drains: bool) {
        if self.paused.insert(scope.clone(), drains).is_none() {
            self.look_at_the_time_again(&scope);
        }
    }

    /// Of a pause that is known a refusal knows less: not whether it drains.
    fn pause_unless_known(&mut self, scope: PauseScope) {
        if !self.paused.contains_key(&scope) {
            self.pause(scope, false);
        }
    }

    /// Whatever is moved because its kind is paused or resumed is due if it is now.
    fn look_at_the_time_again(&mut self, scope: &PauseScope) {
        for known in self.known.values_mut() {
            known.due &= PauseScope::from(known.ticket.kind.clone()) != *scope;
        }
    }

    fn settle(&mut self, agent: &AgentId, operation: OperationId, next: Option<Ticket>) {
        self.hear(agent, true);
        let foreign = next.as_ref().is_some_and(|next| next.agent != *agent);
        let taken = self.agent(agent).taken.take_if(|taken| taken.ticket.operation == operation);
        let again = taken.and_then(|taken| taken.again);
        let (ours, foreign) = if foreign { (None, next) } else { (next, None) };
        if let Some(next) = ours.or(again) {
            self.wait(next);
        }
        if let Some(next) = foreign {
            self.hear(&next.agent, true);
            self.wait(next);
        }
        self.unblock(agent, operation);
    }

    fn hear(&mut self, agent: &AgentId, free: bool) {
        let state = self.agent(agent);
        if let Some(taken) = &mut state.taken {
            taken.heard = true;
        }
        state.hold.take_if(|hold| free && hold.held);
    }

    fn unblock(&mut self, agent: &AgentId, by: OperationId) {
        for (_, known) in self.known.iter_mut().filter(|((owner, _), _)| owner == agent) {
            known.blocked.take_if(|(blocker, _)| *blocker == by);
        }
    }

    fn forget_what_is_over(&mut self, now: Timestamp) {
        for state in self.agents.values_mut() {
            state.hold.take_if(|hold| hold.must <= now);
            if let Some(hold) = &mut state.hold {
                hold.over |= hold.may <= now;
            }
        }
        let idle = |model: &Self, agent: &AgentId| {
            !model.is_taken(agent) && !model.is_paused(agent) && model.own(agent).next().is_none()
        };
        let idle: Vec<_> = self.agents.keys().filter(|agent| idle(self, agent)).cloned().collect();
        for agent in idle {
            self.agent(&agent).hold = None;
        }
        let behind: Vec<_> =
            self.waiting().filter(|ticket| self.leader_of(ticket).is_some()).map(key).collect();
        for (key, known) in &mut self.known {
            let behind = behind.contains(key);
            known.blocked.take_if(|(_, until)| *until <= now || behind);
            known.due = !behind && known.blocked.is_none() && (known.due || known.ticket.at <= now);
        }
    }

    fn agent(&mut self, agent: &AgentId) -> &mut Agent {
        self.agents.entry(agent.clone()).or_default()
    }

    fn taken_by(&mut self, agent: &AgentId, operation: OperationId) -> Option<&mut Taken> {
        self.agent(agent).taken.as_mut().filter(|taken| taken.ticket.operation == operation)
    }
}

fn hold(until: Timestamp, now: Timestamp, held: bool) -> Hold {
    Hold { held, may: until, over: false, must: until.max(now + HOLD_SLACK) }
}

fn rank(ticket: &Ticket) -> (Class, u64, OperationId) {
    (ticket.class, ticket.position, ticket.operation)
}

fn key(ticket: &Ticket) -> (AgentId, OperationId) {
    (ticket.agent.clone(), ticket.operation)
}
