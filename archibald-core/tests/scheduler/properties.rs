//! Any sequence of inputs, sensible or not: no panic, no second lease of a taken agent, and every rule of
//! the model.

use std::time::Duration;

use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::{Class, Step};
use archibald_core::pause::PauseScope;
use archibald_core::scheduler::{Command, Input, Refusal, Scheduler, SchedulerConfig, Ticket};
use archibald_core::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use crate::checked::Checked;

/// An input that may be about anything, or the right answer to what was commanded.
#[derive(Debug, Clone)]
enum Act {
    Any(Input),
    Answer { lease: usize, refusal: Option<Refusal> },
    Settle { run: usize, again_after: Option<u64> },
}

fn at(millis: u64) -> Timestamp {
    Timestamp::EPOCH + Duration::from_millis(millis)
}

fn agents() -> impl Strategy<Value = AgentId> {
    prop::sample::select(vec!["andrew", "janet", "nancy"]).prop_map(|name| AgentId::new(name).unwrap())
}

fn operations() -> impl Strategy<Value = OperationId> {
    // Some say when they were made.
    (1u128..9).prop_map(|n| match n % 3 {
        0 => OperationId(Uuid::from_u128((n * 1000) << 80 | 0x7 << 76 | 0x2 << 62 | n)),
        _ => OperationId(Uuid::from_u128(n)),
    })
}

fn kinds() -> impl Strategy<Value = OperationKind> {
    prop::sample::select(vec!["submit-order", "sync-customers"])
        .prop_map(|name| OperationKind::new(name).unwrap())
}

fn scopes() -> impl Strategy<Value = PauseScope> {
    prop_oneof![
        2 => agents().prop_map(PauseScope::from),
        2 => kinds().prop_map(PauseScope::from),
        1 => Just(PauseScope::Everything),
    ]
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![0u64..2_000, Just(0), 0u64..90_000].prop_map(at)
}

fn tickets() -> impl Strategy<Value = Ticket> {
    let classes = prop::sample::select(vec![Class::Interactive, Class::Background]);
    let steps = prop::sample::select(vec![Step::Act, Step::Act, Step::Probe, Step::Commit]);
    let targets = prop::option::of(prop::sample::select(vec!["order:1", "customer:1"]));
    (operations(), agents(), kinds(), classes, 0u64..9, times(), steps, targets, 0u32..4).prop_map(
        |(operation, agent, kind, class, position, at, step, target, preemptions)| {
            let target = target.map(|text| Target::new(text).unwrap());
            Ticket { operation, agent, kind, class, position, at, step, target, preemptions }
        },
    )
}

fn refusals() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Gone),
        times().prop_map(|at| Refusal::NotDue { at }),
        times().prop_map(|until| Refusal::AgentHeld { until }),
        operations().prop_map(|by| Refusal::TargetBusy { by }),
        scopes().prop_map(|scope| Refusal::Paused { scope, why: "locked".into() }),
        times().prop_map(|until| Refusal::Unavailable { until }),
    ]
}

fn inputs() -> impl Strategy<Value = Input> {
    let who = || (agents(), operations());
    prop_oneof![
        12 => tickets().prop_map(Input::Waiting),
        2 => who().prop_map(|(agent, operation)| Input::Leased { agent, operation }),
        2 => (who(), refusals())
            .prop_map(|((agent, operation), reason)| Input::LeaseRefused { agent, operation, reason }),
        2 => who().prop_map(|(agent, operation)| Input::EffectOpen { agent, operation }),
        2 => (who(), prop::option::of(tickets()))
            .prop_map(|((agent, operation), next)| Input::Settled { agent, operation, next }),
        2 => who().prop_map(|(agent, operation)| Input::Withdrawn { agent, operation }),
        2 => who().prop_map(|(agent, operation)| Input::TargetFreed { agent, operation }),
        2 => (scopes(), any::<bool>())
            .prop_map(|(scope, drains)| Input::Pause { scope, why: "by hand".into(), drains }),
        6 => scopes().prop_map(|scope| Input::Resume { scope }),
        3 => Just(Input::Tick),
    ]
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => inputs().prop_map(Act::Any),
        5 => (0usize..9, prop::option::weighted(0.4, refusals()))
            .prop_map(|(lease, refusal)| Act::Answer { lease, refusal }),
        3 => (0usize..9, prop::option::weighted(0.3, 0u64..5_000))
            .prop_map(|(run, again_after)| Act::Settle { run, again_after }),
    ]
}

fn configs() -> impl Strategy<Value = SchedulerConfig> {
    let weights = prop::collection::btree_map(agents(), 0u32..4, 0..2);
    let quanta =
        prop_oneof![Just(Duration::ZERO), Just(Duration::from_millis(50)), Just(Duration::from_secs(2))];
    (1usize..4, 0usize..3, 0u32..3, quanta, weights).prop_map(
        |(slots, reserved, protect_after_preemptions, quantum, weights)| SchedulerConfig {
            slots,
            reserved_interactive: reserved.min(slots - 1),
            protect_after_preemptions,
            protect_after_age: Duration::from_secs(3),
            quantum,
            weights,
        },
    )
}

/// Turns acts into inputs: answers need to know what was asked.
struct Caller {
    checked: Checked,
    asked: Vec<(AgentId, OperationId)>,
    runs: Vec<(AgentId, OperationId)>,
    log: Vec<(Timestamp, Input, Vec<Command>)>,
}

impl Caller {
    fn new(config: SchedulerConfig) -> Self {
        Self { checked: Checked::new(config), asked: vec![], runs: vec![], log: vec![] }
    }

    fn act(&mut self, now: Timestamp, act: &Act) -> Result<(), String> {
        let pick = |from: &mut Vec<(AgentId, OperationId)>, n: usize| {
            let len = from.len().max(1);
            (n < from.len() * 2).then(|| from.remove(n % len))
        };
        let input = match act {
            Act::Any(input) => input.clone(),
            Act::Answer { lease, refusal } => {
                let Some((agent, operation)) = pick(&mut self.asked, *lease) else { return Ok(()) };
                match refusal.clone() {
                    Some(reason) => Input::LeaseRefused { agent, operation, reason },
                    None => {
                        self.runs.push((agent.clone(), operation));
                        Input::Leased { agent, operation }
                    }
                }
            }
            Act::Settle { run, again_after } => {
                let Some((agent, operation)) = pick(&mut self.runs, *run) else { return Ok(()) };
                let next = again_after.map(|after| Ticket {
                    operation,
                    agent: agent.clone(),
                    kind: OperationKind::new("sync-customers").unwrap(),
                    class: Class::Background,
                    position: 4,
                    at: now + Duration::from_millis(after),
                    step: Step::Act,
                    target: None,
                    preemptions: 0,
                });
                Input::Settled { agent, operation, next }
            }
        };
        let commands = self.checked.handle(now, &input).map_err(|why| format!("{input:?}: {why}"))?;
        self.checked.check_explanations(now)?;
        for command in &commands {
            if let Command::Lease { agent, operation, .. } = command {
                self.asked.push((agent.clone(), *operation));
            }
        }
        self.log.push((now, input, commands));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("ARCHIBALD_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_inputs_in_any_order_break_no_rule(
        config in configs(),
        acts in prop::collection::vec((0u64..3_000, acts()), 1..120),
        drain_after in 0usize..400,
    ) {
        let mut caller = Caller::new(config.clone());
        let mut now = 0;
        for (n, (pause, act)) in acts.iter().enumerate() {
            // The clock goes on, at times to just where the alarm is, and at times back.
            now = match pause % 7 {
                0 => caller.checked.poll_timeout().map_or(now, |at| at.as_micros() as u64 / 1000),
                1 => now - now.min(40),
                _ => now + pause / 4,
            };
            if n == drain_after {
                caller.act(at(now), &Act::Any(Input::Drain)).map_err(TestCaseError::fail)?;
            }
            caller.act(at(now), act).map_err(TestCaseError::fail)?;
        }
        replays_alike(config, &caller.log)?;
    }
}

/// The same inputs, read back from their record, give the same commands.
fn replays_alike(
    config: SchedulerConfig,
    log: &[(Timestamp, Input, Vec<Command>)],
) -> Result<(), TestCaseError> {
    let mut scheduler = Scheduler::new(config).unwrap();
    for (now, input, commands) in log {
        let recorded = serde_json::to_string(input).unwrap();
        scheduler.handle(*now, serde_json::from_str(&recorded).unwrap());
        let again: Vec<_> = std::iter::from_fn(|| scheduler.poll_command()).collect();
        prop_assert_eq!(&again, commands);
    }
    Ok(())
}
