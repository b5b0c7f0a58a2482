//! A scheduler with its rules beside it: every command must be allowed by the model, and nothing that the
//! model would start may be left waiting.

use archibald_core::id::{AgentId, OperationId, OperationKind};
use archibald_core::operation::{Class, Operation, Step};
use archibald_core::port::Why;
use archibald_core::scheduler::{Command, Input, Scheduler, SchedulerConfig, SchedulerCounts};
use archibald_core::time::Timestamp;

use crate::model::Model;

pub(crate) struct Checked {
    scheduler: Scheduler,
    /// None where speed counts for more.
    model: Option<Model>,
}

impl Checked {
    pub(crate) fn new(config: SchedulerConfig) -> Self {
        let scheduler = Scheduler::new(config.clone()).expect("tests have sound settings");
        Self { scheduler, model: Some(Model::new(config)) }
    }

    /// Without its rules beside it: what comes of it is for others to check.
    pub(crate) fn alone(config: SchedulerConfig) -> Self {
        Self { scheduler: Scheduler::new(config).expect("tests have sound settings"), model: None }
    }

    /// Hands the input on and checks what comes of it.
    pub(crate) fn handle(&mut self, now: Timestamp, input: &Input) -> Result<Vec<Command>, String> {
        let goes_on = self.goes_on(now, input).or_else(|| self.starts_alone(now, input));
        if let Input::Waiting(ticket) = input {
            self.scheduler.expect(std::slice::from_ref(ticket));
        }
        self.scheduler.handle(now, input.clone());
        let Some(model) = &mut self.model else {
            return Ok(std::iter::from_fn(|| self.scheduler.poll_command()).collect());
        };
        model.take_in(now, input);
        let mut commands = vec![];
        while let Some(command) = self.scheduler.poll_command() {
            model.obey(now, &command).map_err(|why| format!("{command:?}: {why}"))?;
            commands.push(command);
        }
        model.nothing_is_left(now)?;
        let starts = |next: OperationId| {
            let is_next =
                |command: &Command| matches!(command, Command::Lease { operation, .. } if *operation == next);
            commands.iter().any(is_next)
        };
        if let Some(next) = goes_on.filter(|next| !starts(*next)) {
            return Err(format!("{next} was to start"));
        }
        self.check_counts()?;
        self.check_timeout(now)?;
        Ok(commands)
    }

    /// What the agent goes on with at once after this input, where no alarm and no block changes that.
    fn goes_on(&mut self, now: Timestamp, input: &Input) -> Option<OperationId> {
        let Input::Settled { agent, operation, next: None } = input else { return None };
        let rings = self.scheduler.poll_timeout().is_some_and(|at| at <= now);
        let unblocks = self.model.as_ref().is_none_or(|model| model.blocks(agent, *operation));
        self.goes_on_with(now, agent, *operation).filter(|_| !rings && !unblocks)
    }

    /// What starts at once with this input, where no alarm changes that.
    fn starts_alone(&self, now: Timestamp, input: &Input) -> Option<OperationId> {
        let Input::Waiting(ticket) = input else { return None };
        let rings = self.scheduler.poll_timeout().is_some_and(|at| at <= now);
        let would_start = self.would_start(&ticket.agent, &ticket.kind, ticket.class, 0);
        (would_start && ticket.at <= now && !rings).then_some(ticket.operation)
    }

    /// Whether since it was asked the end of this operation has brought nothing but that end: then a guess that was made
    /// before must hold. Only the model can say so.
    ///
    /// What stands behind the operation, of its own target, comes due without an alarm.
    pub(crate) fn nothing_comes_due(&self, asked: Timestamp, now: Timestamp, ended: &Operation) -> bool {
        let rings = self.scheduler.poll_timeout().is_some_and(|at| at <= now);
        let quiet = |model: &Model| {
            let Operation { agent, id, target, .. } = ended;
            !model.blocks(agent, *id) && !model.comes_due(agent, target.as_ref(), asked, now)
        };
        !rings && self.model.as_ref().is_some_and(quiet)
    }

    pub(crate) fn would_start(
        &self,
        agent: &AgentId,
        kind: &OperationKind,
        class: Class,
        others: usize,
    ) -> bool {
        self.scheduler.would_start(agent, kind, class, others)
    }

    pub(crate) fn goes_on_with(
        &mut self,
        now: Timestamp,
        agent: &AgentId,
        operation: OperationId,
    ) -> Option<OperationId> {
        self.scheduler.goes_on_with(now, agent, operation)
    }

    pub(crate) fn handed_on(&mut self, asked: Timestamp, agent: &AgentId, next: OperationId) {
        self.scheduler.handed_on(asked, agent, next);
    }

    pub(crate) fn goes_next(&self, now: Timestamp, agent: &AgentId) -> Option<(Class, u64)> {
        self.scheduler.goes_next(now, agent)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        self.scheduler.poll_timeout()
    }

    pub(crate) fn counts(&self) -> SchedulerCounts {
        self.scheduler.counts()
    }

    pub(crate) fn explain(&self, now: Timestamp, agent: &AgentId, operation: OperationId) -> Vec<Why> {
        self.scheduler.explain(now, agent, operation)
    }

    /// Every operation that waits can say why, what it says is so, and nothing that is so is left out.
    pub(crate) fn check_explanations(&self, now: Timestamp) -> Result<(), String> {
        let Some(model) = &self.model else { return Ok(()) };
        for ticket in model.waiting() {
            let why = self.explain(now, &ticket.agent, ticket.operation);
            let wrong = |what: String| Err(format!("explain {}: {what}, it says {why:?}", ticket.operation));
            for link in &why {
                if !model.is_true(now, ticket, link) {
                    return wrong(format!("{link:?} is not so"));
                }
            }
            for link in model.reasons(now, ticket) {
                if !why.contains(&link) {
                    return wrong(format!("{link:?} is left out"));
                }
            }
            if why.is_empty() {
                return wrong("there is a reason".to_owned());
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), String> {
        let Some(model) = &self.model else { return Ok(()) };
        let counts = self.scheduler.counts();
        let (interactive, background) = model.slots_in_use();
        if counts.in_use != interactive + background {
            return Err(format!("{} slots in use, should be {interactive} + {background}", counts.in_use));
        }
        let waiting: u64 = counts.waiting.values().sum();
        if waiting != model.waiting().count() as u64 {
            return Err(format!("{waiting} wait, should be {}", model.waiting().count()));
        }
        if counts.starting.len() + counts.running.len() != model.taken().count() {
            return Err(format!("agents are taken otherwise than they should be: {counts:?}"));
        }
        Ok(())
    }

    fn check_timeout(&self, now: Timestamp) -> Result<(), String> {
        let timeout = self.scheduler.poll_timeout();
        if timeout.is_some_and(|at| at <= now) {
            return Err(format!("the alarm at {timeout:?} is over and would ring for ever"));
        }
        let needed = self.model.as_ref().and_then(|model| model.next_alarm(now));
        if needed.is_some_and(|needed| timeout.is_none_or(|at| at > needed)) {
            return Err(format!("the alarm is at {timeout:?}, needed at {needed:?}"));
        }
        Ok(())
    }
}

pub(crate) fn slot_of(class: Class, step: Step) -> Option<Class> {
    (step != Step::Commit).then_some(class)
}
