//! The words that stories are told in.

use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::{Class, Step};
use archibald_core::pause::PauseScope;
use archibald_core::port::Why;
use archibald_core::scheduler::{Command, Input, Refusal, SchedulerConfig, SchedulerCounts, Ticket};
use archibald_core::time::Timestamp;
use uuid::Uuid;

use crate::checked::Checked;

pub(crate) struct Story {
    checked: Checked,
    now: Timestamp,
}

/// What came of one input; it must be said.
#[must_use = "say what comes of it: starts, asks_for, gives_way or nothing"]
pub(crate) struct Then<'a> {
    story: &'a mut Story,
    commands: Vec<Command>,
}

pub(crate) fn slots(slots: usize) -> Story {
    story(SchedulerConfig {
        slots,
        reserved_interactive: 0,
        protect_after_preemptions: 2,
        quantum: Duration::ZERO,
        ..SchedulerConfig::default()
    })
}

pub(crate) fn story(config: SchedulerConfig) -> Story {
    Story { checked: Checked::new(config), now: at(0) }
}

pub(crate) fn at(secs: u64) -> Timestamp {
    Timestamp::EPOCH + Duration::from_secs(secs)
}

pub(crate) fn order(agent: &str, n: u64) -> Ticket {
    ticket(agent, n, Class::Interactive)
}

pub(crate) fn sync(agent: &str, n: u64) -> Ticket {
    ticket(agent, n, Class::Background)
}

fn ticket(agent: &str, n: u64, class: Class) -> Ticket {
    let bytes = agent.bytes().fold(0u128, |id, byte| (id << 8) | u128::from(byte));
    Ticket {
        operation: OperationId(Uuid::from_u128((bytes << 32) | u128::from(n))),
        agent: AgentId::new(agent).unwrap(),
        kind: kind(match class {
            Class::Interactive => "submit-order",
            Class::Background => "sync-customers",
        }),
        class,
        position: n,
        at: at(0),
        step: Step::Act,
        target: None,
        preemptions: 0,
    }
}

pub(crate) fn kind(name: &str) -> OperationKind {
    OperationKind::new(name).unwrap()
}

pub(crate) trait Tweak {
    fn on(self, target: &str) -> Self;
    fn due(self, secs: u64) -> Self;
    fn with(self, step: Step) -> Self;
    fn of(self, kind: &str) -> Self;
    fn gave_way(self, times: u32) -> Self;
}

impl Tweak for Ticket {
    fn on(self, target: &str) -> Self {
        Self { target: Some(Target::new(target).unwrap()), ..self }
    }

    fn due(self, secs: u64) -> Self {
        Self { at: at(secs), ..self }
    }

    fn with(self, step: Step) -> Self {
        Self { step, ..self }
    }

    fn of(self, name: &str) -> Self {
        Self { kind: kind(name), ..self }
    }

    fn gave_way(self, preemptions: u32) -> Self {
        Self { preemptions, ..self }
    }
}

impl Story {
    pub(crate) fn comes(&mut self, ticket: &Ticket) -> Then<'_> {
        self.says(Input::Waiting(ticket.clone()))
    }

    pub(crate) fn leased(&mut self, ticket: &Ticket) -> Then<'_> {
        self.says(Input::Leased { agent: ticket.agent.clone(), operation: ticket.operation })
    }

    pub(crate) fn refused(&mut self, ticket: &Ticket, reason: Refusal) -> Then<'_> {
        let (agent, operation) = (ticket.agent.clone(), ticket.operation);
        self.says(Input::LeaseRefused { agent, operation, reason })
    }

    pub(crate) fn effect_open(&mut self, ticket: &Ticket) -> Then<'_> {
        self.says(Input::EffectOpen { agent: ticket.agent.clone(), operation: ticket.operation })
    }

    pub(crate) fn settles(&mut self, ticket: &Ticket) -> Then<'_> {
        let (agent, operation) = (ticket.agent.clone(), ticket.operation);
        self.says(Input::Settled { agent, operation, next: None })
    }

    pub(crate) fn settles_and_waits(&mut self, next: &Ticket) -> Then<'_> {
        let (agent, operation) = (next.agent.clone(), next.operation);
        self.says(Input::Settled { agent, operation, next: Some(next.clone()) })
    }

    /// What the agent would go on with if this one ended.
    /// The store handed the agent on to it, asked when so many seconds had passed.
    pub(crate) fn hands_on_to(&mut self, next: &Ticket, asked: u64) {
        self.checked.handed_on(at(asked), &next.agent, next.operation);
    }

    pub(crate) fn goes_on_with(&mut self, running: &Ticket) -> Option<OperationId> {
        self.checked.goes_on_with(self.now, &running.agent, running.operation)
    }

    /// Whether it would start if it came now, and so many others that were told so.
    pub(crate) fn would_start(&self, ticket: &Ticket, others: usize) -> bool {
        self.checked.would_start(&ticket.agent, &ticket.kind, ticket.class, others)
    }

    /// The place of what goes next of the agent.
    pub(crate) fn goes_next(&self, agent: &str) -> Option<(Class, u64)> {
        self.checked.goes_next(self.now, &AgentId::new(agent).unwrap())
    }

    pub(crate) fn withdrawn(&mut self, ticket: &Ticket) -> Then<'_> {
        self.says(Input::Withdrawn { agent: ticket.agent.clone(), operation: ticket.operation })
    }

    pub(crate) fn target_freed(&mut self, by: &Ticket) -> Then<'_> {
        self.says(Input::TargetFreed { agent: by.agent.clone(), operation: by.operation })
    }

    pub(crate) fn pause(&mut self, agent: &str, why: &str) -> Then<'_> {
        let scope = AgentId::new(agent).unwrap().into();
        self.says(Input::Pause { scope, why: why.into(), drains: false })
    }

    pub(crate) fn pause_kind(&mut self, name: &str, why: &str) -> Then<'_> {
        self.says(Input::Pause { scope: kind(name).into(), why: why.into(), drains: false })
    }

    pub(crate) fn pause_all(&mut self, why: &str) -> Then<'_> {
        self.says(Input::Pause { scope: PauseScope::Everything, why: why.into(), drains: false })
    }

    pub(crate) fn resume_kind(&mut self, name: &str) -> Then<'_> {
        self.says(Input::Resume { scope: kind(name).into() })
    }

    pub(crate) fn resume_all(&mut self) -> Then<'_> {
        self.says(Input::Resume { scope: PauseScope::Everything })
    }

    pub(crate) fn resume(&mut self, agent: &str) -> Then<'_> {
        self.says(Input::Resume { scope: AgentId::new(agent).unwrap().into() })
    }

    pub(crate) fn drain(&mut self) -> Then<'_> {
        self.says(Input::Drain)
    }

    /// Waits until the alarm rings, which must be then, and not a microsecond later.
    pub(crate) fn alarm_at(&mut self, secs: u64) -> Then<'_> {
        assert_eq!(self.checked.poll_timeout(), Some(at(secs)), "the alarm");
        self.now = at(secs);
        self.says(Input::Tick)
    }

    pub(crate) fn no_alarm(&mut self) {
        assert_eq!(self.checked.poll_timeout(), None, "the alarm");
    }

    pub(crate) fn says(&mut self, input: Input) -> Then<'_> {
        let commands = self.checked.handle(self.now, &input).unwrap();
        self.checked.check_explanations(self.now).unwrap();
        Then { story: self, commands }
    }

    pub(crate) fn time_is(&mut self, secs: u64) {
        self.now = at(secs);
    }

    pub(crate) fn why(&self, ticket: &Ticket) -> Vec<Why> {
        self.checked.explain(self.now, &ticket.agent, ticket.operation)
    }

    pub(crate) fn counts(&self) -> SchedulerCounts {
        self.checked.counts()
    }
}

impl Then<'_> {
    /// At once, and the store gives the lease.
    pub(crate) fn starts(self, ticket: &Ticket) {
        self.start(&[ticket]);
    }

    /// At once, all of them and in this order, and the store gives the leases.
    pub(crate) fn start(self, tickets: &[&Ticket]) {
        assert_eq!(self.commands, tickets.iter().map(|ticket| lease(ticket)).collect::<Vec<_>>());
        for ticket in tickets {
            self.story.leased(ticket).nothing();
        }
    }

    /// At once; the lease stays under way.
    pub(crate) fn asks_for(self, ticket: &Ticket) {
        assert_eq!(self.commands, [lease(ticket)]);
    }

    /// Asked at once.
    pub(crate) fn gives_way(self, ticket: &Ticket) {
        assert_eq!(self.commands, [preempt(ticket)]);
    }

    /// All of it.
    pub(crate) fn commands(self) -> Vec<Command> {
        self.commands
    }

    /// It does not matter here.
    pub(crate) fn whatever(self) {}

    pub(crate) fn nothing(self) {
        assert_eq!(self.commands, []);
    }
}

pub(crate) fn preempt(ticket: &Ticket) -> Command {
    Command::Preempt { agent: ticket.agent.clone(), operation: ticket.operation }
}

pub(crate) fn lease(ticket: &Ticket) -> Command {
    Command::Lease { agent: ticket.agent.clone(), operation: ticket.operation, step: ticket.step }
}
