//! The scheduler's inputs one by one, at a size that a worker has every day.
#![allow(missing_docs)]

use std::hint::black_box;

use archibald_core::id::{AgentId, OperationId, OperationKind, Target};
use archibald_core::operation::{Class, Step};
use archibald_core::scheduler::{Command, Input, Scheduler, SchedulerConfig, Ticket};
use archibald_core::time::Timestamp;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use uuid::Uuid;

const AGENTS: u64 = 600;

criterion_group!(benches, one_operation, a_sweep, an_alarm);
criterion_main!(benches);

/// From waiting to settled, while each of 600 agents has ten others waiting.
fn one_operation(criterion: &mut Criterion) {
    let (mut scheduler, mut number) = (filled(10, Timestamp::EPOCH), AGENTS * 10);
    let mut running = run(&mut scheduler);
    criterion.bench_function("an operation from waiting to settled", |bencher| {
        bencher.iter(|| {
            let (agent, operation) = running.remove(0);
            scheduler.handle(Timestamp::EPOCH, Input::Settled { agent, operation, next: None });
            running.extend(run(&mut scheduler));
            number += 1;
            scheduler.handle(Timestamp::EPOCH, Input::Waiting(ticket(number, Timestamp::EPOCH)));
            running.extend(run(&mut scheduler));
        });
    });
}

/// What waits is told once more: nothing changes.
fn a_sweep(criterion: &mut Criterion) {
    let mut scheduler = filled(10, Timestamp::EPOCH);
    run(&mut scheduler);
    let tickets: Vec<_> = (AGENTS * 5..AGENTS * 10).map(|n| ticket(n, Timestamp::EPOCH)).collect();
    criterion.bench_function("a sweep of 3,000 tickets that are known", |bencher| {
        bencher.iter(|| {
            for ticket in &tickets {
                scheduler.handle(Timestamp::EPOCH, Input::Waiting(ticket.clone()));
            }
            black_box(scheduler.poll_command())
        });
    });
}

/// 6,000 operations become due in one tick.
fn an_alarm(criterion: &mut Criterion) {
    let due = Timestamp::from_micros(1);
    criterion.bench_function("6,000 operations become due", |bencher| {
        bencher.iter_batched(
            || filled(10, due),
            |mut scheduler| {
                scheduler.handle(due, Input::Tick);
                scheduler
            },
            BatchSize::LargeInput,
        );
    });
}

fn filled(each: u64, due: Timestamp) -> Scheduler {
    let mut scheduler = Scheduler::new(SchedulerConfig::default()).expect("the default is sound");
    for number in 0..AGENTS * each {
        scheduler.handle(Timestamp::EPOCH, Input::Waiting(ticket(number, due)));
    }
    scheduler
}

fn run(scheduler: &mut Scheduler) -> Vec<(AgentId, OperationId)> {
    let mut running = vec![];
    while let Some(command) = scheduler.poll_command() {
        if let Command::Lease { agent, operation, .. } = command {
            scheduler.handle(Timestamp::EPOCH, Input::Leased { agent: agent.clone(), operation });
            running.push((agent, operation));
        }
    }
    running
}

fn ticket(number: u64, at: Timestamp) -> Ticket {
    Ticket {
        operation: OperationId(Uuid::from_u128(u128::from(number))),
        agent: AgentId::new(format!("agent-{}", number % AGENTS)).expect("it is a name"),
        kind: OperationKind::new("submit-order").expect("it is a name"),
        class: Class::Interactive,
        position: number,
        at,
        step: Step::Act,
        target: number
            .is_multiple_of(2)
            .then(|| Target::new(format!("order:{number}")).expect("it is a name")),
        preemptions: 0,
    }
}
