//! What if: the numbers are those of the workload and the policy, and nothing breaks a rule.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "simulate/program.rs"]
mod program;
#[path = "simulate/theory.rs"]
mod theory;

use std::collections::BTreeMap;

use archibald_core::operation::Class;
use archibald_core::scheduler::SchedulerConfig;
use archibald_examples::simulate::{Asked, Outcome, Policy, Shape, Workload, simulate};
use archibald_testing::data::DataSet;

/// 60 agents who are busy, on the default of 15 contexts.
fn shape(seed: u64) -> Shape {
    Shape {
        seed,
        agents: 60,
        days: 1,
        writes: 60.0,
        batch: 1.5,
        rounds: 3,
        spread: true,
        request_ms: 5_000..=15_000,
        hot: 0,
    }
}

fn policy(slots: usize, reserved_interactive: usize) -> Policy {
    Policy::new(SchedulerConfig { slots, reserved_interactive, ..SchedulerConfig::default() }, 15, 1)
}

#[test]
fn one_at_a_time_for_an_agent_no_more_than_there_are_slots_and_everything_ends() {
    let together = Shape { spread: false, ..shape(3) };
    for (shape, slots, reserved) in
        [(shape(1), 10, 2), (shape(2), 15, 0), (together, 3, 1), (Shape { hot: 500, ..shape(4) }, 10, 2)]
    {
        let workload = shape.generate();
        let outcome = simulate(&workload, &policy(slots, reserved)).unwrap();
        assert_eq!(outcome.violations, [""; 0]);
        for (job, told) in workload.jobs.iter().zip(&outcome.told) {
            let least: u64 = job.requests_ms.iter().sum();
            assert!(told.ended_ms.unwrap() - told.worked_ms.unwrap() >= least);
            assert!(told.worked_ms.unwrap() >= job.at_ms);
        }
        assert!(!overlap_for_an_agent(&workload, &outcome));
        assert!(most_together(&workload, &outcome, |_| true) <= slots);
        assert!(most_together(&workload, &outcome, |class| class == Class::Background) <= slots - reserved);
    }
}

#[test]
fn an_interactive_operation_starts_at_once_or_after_a_release_beside_ten_thousand_syncs_of_another() {
    let workload = Shape { hot: 10_000, ..shape(1) }.generate();
    let outcome = simulate(&workload, &policy(10, 2)).unwrap();
    let told = |asked| outcome.told.iter().filter(move |told| told.asked == Some(asked));
    assert!(told(Asked::SlotFree).count() > 100);
    assert!(told(Asked::SlotFree).all(|told| told.slot_ms == 0));
    assert!(told(Asked::NoSlot).count() > 100);
    assert!(told(Asked::NoSlot).all(|told| told.releases > 0));
    // As many as agents may stand before it, and no more.
    assert!(told(Asked::NoSlot).all(|told| told.releases <= 60));
}

#[test]
fn a_sync_gives_way_after_its_request_and_after_the_last_time_no_more() {
    // One agent: nothing but its own syncs can hold it up.
    let workload = Shape { agents: 1, writes: 200.0, rounds: 40, ..shape(1) }.generate();
    let young = SchedulerConfig { protect_after_age: std::time::Duration::MAX, ..SchedulerConfig::default() };
    let outcome = simulate(&workload, &Policy::new(young, 15, 1)).unwrap();
    let most = outcome.told.iter().map(|told| told.preemptions).max();
    assert_eq!(most, Some(3));
    for asked in [Asked::SyncGaveWay, Asked::SyncProtected] {
        assert!(outcome.told.iter().any(|told| told.asked == Some(asked)), "{asked:?}");
    }
    assert!(outcome.told.iter().all(|told| told.slot_ms == 0));
}

#[test]
fn the_backlog_of_one_agent_is_one_slot_to_the_others() {
    let slot_waits = |hot| {
        let workload = Shape { hot, ..shape(1) }.generate();
        let outcome = simulate(&workload, &policy(10, 2)).unwrap();
        let others = workload.jobs.iter().zip(&outcome.told).filter(|(job, _)| job.agent != 0);
        let mut waits: Vec<_> = others.filter_map(|(_, told)| told.asked.map(|_| told.slot_ms)).collect();
        waits.sort_unstable();
        waits[waits.len() * 9 / 10]
    };
    let (alone, beside) = (slot_waits(0), slot_waits(10_000));
    assert!(beside <= slot_waits(2_000) + 1, "a longer backlog must not cost more");
    assert!(beside < alone + 30_000, "{alone} and {beside}");
}

#[test]
fn recorded_orders_are_submitted_on_their_days_each_by_its_agent() {
    let data = DataSet::generate(1, 9, 200);
    let shape = Shape { rounds: 0, ..shape(1) };
    let own = shape.record(&data, None).unwrap();
    let span = data.orders.iter().map(|order| order.date).max().unwrap()
        - data.orders.iter().map(|order| order.date).min().unwrap();
    assert_eq!(own.days(), u64::try_from(span.get_days()).unwrap() + 1);
    let laid = shape.record(&data, Some(2)).unwrap();
    assert_eq!((own.jobs.len(), laid.jobs.len(), laid.days()), (200, 200, 2));
    let count = |workload: &Workload| {
        let mut of = BTreeMap::new();
        workload.jobs.iter().for_each(|job| *of.entry(job.agent).or_insert(0) += 1);
        of
    };
    assert_eq!(count(&own), count(&laid));
}

fn overlap_for_an_agent(workload: &Workload, outcome: &Outcome) -> bool {
    let mut of: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for attempt in &outcome.attempts {
        of.entry(workload.jobs[attempt.job].agent).or_default().push((attempt.from_ms, attempt.to_ms));
    }
    of.values_mut().any(|spans| {
        spans.sort_unstable();
        spans.windows(2).any(|two| two[1].0 < two[0].1)
    })
}

fn most_together(workload: &Workload, outcome: &Outcome, which: fn(Class) -> bool) -> usize {
    let attempts = outcome.attempts.iter().filter(|attempt| which(workload.jobs[attempt.job].class));
    // Where one ends as another begins, the end counts first.
    let mut changes: Vec<(u64, i64)> =
        attempts.flat_map(|attempt| [(attempt.from_ms, 1), (attempt.to_ms, -1)]).collect();
    changes.sort_unstable();
    let mut now = 0;
    let counts = changes.into_iter().map(|(_, change)| {
        now += change;
        now
    });
    usize::try_from(counts.max().unwrap()).unwrap()
}
