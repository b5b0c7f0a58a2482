//! The lane's whole machine as a table: what each input does to each state.

use archibald_core::operation::Step;
use archibald_core::pause::PauseScope;
use archibald_core::scheduler::{
    Command, Input, Refusal, Scheduler, SchedulerConfig, SchedulerCounts, Ticket,
};

use crate::story::{Tweak, at, order, sync};

fn states() -> Vec<(&'static str, Vec<Input>)> {
    let (act, waits) = (sync("nancy", 0), Input::Waiting(sync("nancy", 0)));
    let (probe, commit) = (act.clone().with(Step::Probe), act.clone().with(Step::Commit));
    let withdrawn = Input::Withdrawn { agent: act.agent.clone(), operation: act.operation };
    let refuse = |reason| refused(&act, reason);
    let states = [
        ("unknown", vec![]),
        ("later", vec![Input::Waiting(act.clone().due(9))]),
        ("starting", vec![waits.clone()]),
        ("running", vec![waits.clone(), leased(&act)]),
        ("effect open", vec![waits.clone(), leased(&act), effect_open(&act)]),
        ("probing", vec![Input::Waiting(probe.clone()), leased(&act)]),
        ("committing", vec![Input::Waiting(commit.clone()), leased(&act)]),
        ("starting, heard", vec![waits.clone(), Input::Resume { scope: act.agent.clone().into() }]),
        ("starting, withdrawn", vec![waits.clone(), withdrawn.clone()]),
        ("running, withdrawn", vec![waits.clone(), leased(&act), withdrawn]),
        ("asked", vec![waits.clone(), leased(&act), Input::Waiting(order("nancy", 1))]),
        ("all paused", vec![pause(PauseScope::Everything, false), waits.clone()]),
        ("draining", vec![waits.clone(), leased(&act), Input::Drain]),
        ("blocked", vec![waits.clone(), refuse(Refusal::TargetBusy { by: order("nancy", 9).operation })]),
        ("held", vec![waits.clone(), refuse(Refusal::AgentHeld { until: at(60) })]),
        ("unavailable", vec![waits.clone(), refuse(Refusal::Unavailable { until: at(60) })]),
        ("kind paused", vec![pause(act.kind.clone().into(), false), waits.clone()]),
        ("running, kind paused", vec![waits.clone(), leased(&act), pause(act.kind.clone().into(), false)]),
        (
            "paused",
            vec![waits, refuse(Refusal::Paused { scope: act.agent.clone().into(), why: "locked".into() })],
        ),
    ];
    states.into_iter().collect()
}

fn inputs() -> Vec<(&'static str, Input)> {
    let act = sync("nancy", 0);
    let (agent, operation) = (act.agent.clone(), act.operation);
    let settled = |next| Input::Settled { agent: agent.clone(), operation, next };
    vec![
        ("waiting, the same", Input::Waiting(act.clone())),
        ("waiting, newer", Input::Waiting(act.clone().with(Step::Probe))),
        ("waiting, an order", Input::Waiting(order("nancy", 1))),
        ("leased", leased(&act)),
        ("refused, gone", refused(&act, Refusal::Gone)),
        ("refused, not due", refused(&act, Refusal::NotDue { at: at(9) })),
        ("effect open", effect_open(&act)),
        ("settled", settled(None)),
        ("settled, again", settled(Some(act.clone().due(9)))),
        ("withdrawn", Input::Withdrawn { agent: agent.clone(), operation }),
        ("target freed", Input::TargetFreed { agent: agent.clone(), operation: order("nancy", 9).operation }),
        ("pause", pause(agent.clone().into(), false)),
        ("pause that drains", pause(agent.clone().into(), true)),
        ("resume", Input::Resume { scope: agent.clone().into() }),
        ("pause kind", pause(act.kind.clone().into(), false)),
        ("pause kind that drains", pause(act.kind.clone().into(), true)),
        ("resume kind", Input::Resume { scope: act.kind.clone().into() }),
        ("pause all", pause(PauseScope::Everything, false)),
        ("pause all that drains", pause(PauseScope::Everything, true)),
        ("resume all", Input::Resume { scope: PauseScope::Everything }),
        ("drain", Input::Drain),
        ("tick, a minute later", Input::Tick),
    ]
}

#[test]
fn the_whole_lane() {
    let mut table = String::new();
    for (state, way) in states() {
        for (name, input) in inputs() {
            let mut scheduler = Scheduler::new(SchedulerConfig::default()).unwrap();
            way.iter().for_each(|input| scheduler.handle(at(0), input.clone()));
            while scheduler.poll_command().is_some() {}
            let now = if matches!(input, Input::Tick) { at(60) } else { at(0) };
            scheduler.handle(now, input);
            let commands: Vec<_> = std::iter::from_fn(|| scheduler.poll_command()).map(short).collect();
            let line = format!(
                "{state:<20} {name:<22} -> {:<18} {}",
                after(&scheduler.counts()),
                commands.join(", ")
            );
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

fn short(command: Command) -> String {
    match command {
        Command::Lease { operation, step, .. } => format!("lease {} {step:?}", name(operation)),
        Command::Preempt { operation, .. } => format!("preempt {}", name(operation)),
    }
}

fn name(operation: archibald_core::id::OperationId) -> &'static str {
    if operation == order("nancy", 1).operation { "order" } else { "sync" }
}

fn after(counts: &SchedulerCounts) -> String {
    let is_paused = counts.paused.keys().any(|scope| matches!(scope, PauseScope::Agent { .. }));
    let lane = match (counts.running.len(), counts.starting.len(), is_paused) {
        (1, ..) => "running",
        (_, 1, _) => "starting",
        (.., true) => "paused",
        _ => "free",
    };
    match counts.waiting.values().sum::<u64>() {
        0 => lane.to_owned(),
        waiting => format!("{lane}, {waiting} waits"),
    }
}

fn pause(scope: PauseScope, drains: bool) -> Input {
    Input::Pause { scope, why: "by hand".into(), drains }
}

fn leased(ticket: &Ticket) -> Input {
    Input::Leased { agent: ticket.agent.clone(), operation: ticket.operation }
}

fn refused(ticket: &Ticket, reason: Refusal) -> Input {
    Input::LeaseRefused { agent: ticket.agent.clone(), operation: ticket.operation, reason }
}

fn effect_open(ticket: &Ticket) -> Input {
    Input::EffectOpen { agent: ticket.agent.clone(), operation: ticket.operation }
}
