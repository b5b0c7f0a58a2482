//! The rules of the scheduler, of leases and of schedules.

use super::Mutant;
use super::list::MEMORY;

/// Stories and, since those prove promptness and not safety, seeds of the simulation.
const SCHEDULER: &[&str] = &["--test", "scheduler", "--", "stories", "no_seed_of_the_first_quarter"];
const SCHEDULE: &[&str] = &["--lib", "--test", "schedule", "--", "schedule::", "stories", "properties"];
const SCHEDULES: &[&str] = &["--test", "schedules"];

/// One for each rule of who goes first, and when.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a protected run gives way",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[("(drains || (waits && !run.protected))", "(drains || waits)")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "what waited long is not protected",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[(
            "now.since(made) >= self.config.protect_after_age)",
            "now.since(made) >= Duration::MAX)",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "an open effect gives way",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[("            && !run.effect_open\n", "")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "an order gives way",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[(
            "            && run.class == Class::Background\n            && !run.effect_open",
            "            && !run.effect_open",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "syncs take the reserved slots",
        file: "archibald-core/src/scheduler/ready.rs",
        changes: &[("room && self.background < self.total - self.reserved_interactive", "room")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a slot too many",
        file: "archibald-core/src/scheduler/ready.rs",
        changes: &[("let room = self.in_use() < self.total;", "let room = self.in_use() <= self.total;")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a slot not given back",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[("            self.slots.give_back(run.class);\n", "")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a turn that is never spent",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[("        self.left = self.left.saturating_sub(1);\n", "")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "syncs before orders",
        file: "archibald-core/src/scheduler/backlog.rs",
        changes: &[
            ("match pile.interactive.first(&self.tickets) {", "match pile.background.first(&self.tickets) {"),
            (
                "NONE => pile.background.first(&self.tickets),",
                "NONE => pile.interactive.first(&self.tickets),",
            ),
        ],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a paused agent starts",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[(
            "if self.is_parked() || self.turn(class).is_none() {",
            "if self.hold().is_some() || self.turn(class).is_none() {",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a paused kind starts",
        file: "archibald-core/src/scheduler/backlog.rs",
        changes: &[(
            "None if self.kinds.get(kind).halt.is_some() => {",
            "None if self.kinds.get(kind).halt.is_some() && at > now => {",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "everything paused starts",
        file: "archibald-core/src/scheduler.rs",
        changes: &[("if !self.draining && self.halted.is_none() {", "if !self.draining {")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a worker that drains starts",
        file: "archibald-core/src/scheduler.rs",
        changes: &[("if !self.draining && self.halted.is_none() {", "if self.halted.is_none() {")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a pause that drains asks nobody",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[(
            "into_iter().flatten().any(|halt| halt.drains)",
            "into_iter().flatten().any(|halt| halt.drains && halt.why.is_empty())",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a block by a doubt is forgotten at once",
        file: "archibald-core/src/scheduler/backlog.rs",
        changes: &[("until: now + BLOCKED_RETRY });", "until: now });")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a target that was freed is not heard of",
        file: "archibald-core/src/scheduler/backlog.rs",
        changes: &[(
            "self.blockers.range((lane, by, 0)..=(lane, by, NONE)).next()",
            "self.blockers.range((lane, by, 0)..(lane, by, 0)).next()",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "whoever comes last leads its target",
        file: "archibald-core/src/scheduler/backlog.rs",
        changes: &[(
            "if first == NONE || !passes(lead) || !passes(taken) {",
            "if first == NONE || !passes(taken) {",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "an echo of what runs is news",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[(
            "Some(run) if self.backlog.says(self.runs[run].ticket, &ticket) => {}",
            "Some(run) if self.runs[run].withdrawn && self.runs[run].leased => {}",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a refusal is believed over newer news",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[(
            "Refusal::AgentHeld { until } if !heard =>",
            "Refusal::AgentHeld { until } if !heard || until > now =>",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "what is not due starts",
        file: "archibald-core/src/scheduler/backlog.rs",
        changes: &[("None if at > now => {", "None if at > now + BLOCKED_RETRY => {")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "alarms ring late",
        file: "archibald-core/src/scheduler/timer.rs",
        changes: &[(
            "self.alarms.peek().map(|Reverse(alarm)| alarm.at)",
            "self.alarms.peek().map(|Reverse(alarm)| alarm.at + Duration::from_millis(1))",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a hold is for ever",
        file: "archibald-core/src/scheduler/lane.rs",
        changes: &[("(parked.hold, parked.alarm) = (None, 0);", "parked.alarm = 0;")],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "an agent goes on before others in turn",
        file: "archibald-core/src/scheduler/succession.rs",
        changes: &[
            (
                "            && self.would_be_first(key, class, now);",
                "            && (self.would_be_first(key, class, now) || run_class_waits(class));",
            ),
            ("impl Slots {\n", "fn run_class_waits(_: Class) -> bool {\n    true\n}\n\nimpl Slots {\n"),
        ],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "an agent goes on in a reserved slot",
        file: "archibald-core/src/scheduler/succession.rs",
        changes: &[(
            "        then.has_room(class)",
            "        then.has_room(Class::Interactive) || then.has_room(class)",
        )],
        package: "archibald-core",
        tests: SCHEDULER,
    },
    Mutant {
        name: "a held agent is leased again",
        file: "archibald-testing/src/memory/lock.rs",
        changes: &[(
            "Some(held) if held.expires_at > now => {",
            "Some(held) if held.expires_at > now && held.worker != request.worker => {",
        )],
        package: "archibald-testing",
        tests: MEMORY,
    },
    Mutant {
        name: "a lease that is over is renewed",
        file: "archibald-testing/src/memory/state.rs",
        changes: &[(
            "held.token == lease.token && held.operation == lease.operation && held.expires_at > now",
            "held.token == lease.token && held.operation == lease.operation && now > Timestamp::EPOCH",
        )],
        package: "archibald-testing",
        tests: MEMORY,
    },
    Mutant {
        name: "a sync that waits is asked for twice",
        file: "archibald-testing/src/memory/operations.rs",
        changes: &[(
            "    if new.class == Class::Background\n        && let Some(record)",
            "    if new.class == Class::Interactive\n        && let Some(record)",
        )],
        package: "archibald-testing",
        tests: MEMORY,
    },
    Mutant {
        name: "a paused kind is leased",
        file: "archibald-testing/src/memory/state.rs",
        changes: &[(
            "let scopes = [PauseScope::Everything, agent.clone().into(), kind.clone().into()];",
            "let _ = kind;\n        let scopes = [PauseScope::Everything, agent.clone().into()];",
        )],
        package: "archibald-testing",
        tests: MEMORY,
    },
    Mutant {
        name: "an hour that comes twice has two",
        file: "archibald-core/src/schedule/cron.rs",
        changes: &[(
            "AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),",
            "AmbiguousOffset::Fold { after, .. } => after.to_timestamp(wall).ok(),",
        )],
        package: "archibald-core",
        tests: SCHEDULE,
    },
    Mutant {
        name: "a time that is skipped is lost",
        file: "archibald-core/src/schedule/cron.rs",
        changes: &[(
            "self.zone.following(before_it).next().map(|change| change.timestamp())",
            "Some(before_it)",
        )],
        package: "archibald-core",
        tests: SCHEDULE,
    },
    Mutant {
        name: "all that was missed is made up for at once",
        file: "archibald-core/src/schedule/planner.rs",
        changes: &[(
            "            self.again(whose, nominal, at);\n        }\n",
            "            self.again(whose, nominal, at.min(now));\n        }\n",
        )],
        package: "archibald-core",
        tests: SCHEDULE,
    },
    Mutant {
        name: "what was missed long ago is made up for",
        file: "archibald-core/src/schedule/planner.rs",
        changes: &[(
            "at.since(nominal + whose.offset) <= self.tables[whose.table].schedule.patience()",
            "at > nominal",
        )],
        package: "archibald-core",
        tests: SCHEDULE,
    },
    Mutant {
        name: "a clock that went back is waited for",
        file: "archibald-core/src/schedule/planner.rs",
        changes: &[("if now + PUNCTUAL < self.now {", "if now + PUNCTUAL * 100_000 < self.now {")],
        package: "archibald-core",
        tests: SCHEDULE,
    },
    Mutant {
        name: "what became one that waited is made up for",
        file: "archibald-runtime/src/schedules.rs",
        changes: &[(
            "if due.is_missed && calm(",
            "if due.is_missed && due.agent.as_str().is_empty() && calm(",
        )],
        package: "archibald-runtime",
        tests: SCHEDULES,
    },
    Mutant {
        name: "a worker that drains goes on asking",
        file: "archibald-runtime/src/driver.rs",
        changes: &[("        self.recurring.end().await;\n", "        drop(self.recurring);\n")],
        package: "archibald-runtime",
        tests: SCHEDULES,
    },
];
