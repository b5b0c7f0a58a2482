use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationKind, ScheduleName};
use archibald_core::schedule::{Due, Missed, PUNCTUAL, Planner, Schedule, Times};
use archibald_core::time::Timestamp;
use proptest::prelude::*;

use crate::{ask, at, cron, every, minutes};

/// Around both changes of clocks, and a week like any other.
const STARTS: [&str; 3] = ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z", "2026-11-22T08:29:00Z"];

fn times() -> impl Strategy<Value = Times> {
    let zone = prop::sample::select(vec!["UTC", "Europe/Rome", "America/New_York", "Australia/Lord_Howe"]);
    let field = |choices: &[&'static str]| prop::sample::select(choices.to_vec());
    let minute = field(&["0", "30", "*", "*/15", "1,2,59", "5-50/9"]);
    let hour = field(&["*", "*/2", "2", "0-3", "1,2,3", "6-20"]);
    let day = field(&["* * *", "* * 1-5", "* * 0", "29 * *"]);
    prop_oneof![
        (1_u64..200).prop_map(every),
        (minute, hour, day, zone).prop_map(|(m, h, day, zone)| cron(&format!("{m} {h} {day}"), zone)),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let missed = prop_oneof![
        Just(Missed::Skip),
        (0_u64..2_000).prop_map(|count| Missed::Once { within: minutes(count) })
    ];
    let spread = prop_oneof![Just(None), (0_u64..5_000).prop_map(|secs| Some(Duration::from_secs(secs)))];
    (times(), missed, spread).prop_map(|(times, missed, spread)| {
        let schedule = Schedule::of(OperationKind::new("sync-orders").unwrap(), times);
        Schedule { missed, spread: spread.unwrap_or(schedule.spread), ..schedule }
    })
}

fn named(schedules: Vec<Schedule>) -> Vec<Arc<Schedule>> {
    let named = schedules.into_iter().zip(1..).map(|(schedule, n): (_, u32)| {
        let name = ScheduleName::new(format!("schedule-{n}")).unwrap();
        Arc::new(Schedule { name, ..schedule })
    });
    named.collect()
}

fn agents(bits: u8) -> BTreeSet<AgentId> {
    let there = (0..4).filter(|n| bits & 1 << n != 0);
    there.map(|n| AgentId::new(format!("agent-{n}")).unwrap()).collect()
}

/// How long until it is asked again, who is there then, and whether what is due cannot be enqueued.
fn asked() -> impl Strategy<Value = Vec<(u64, u8, bool)>> {
    let pause = prop_oneof![8 => 0_u64..120, 2 => 0_u64..4_000, 1 => 0_u64..200_000];
    prop::collection::vec(
        (pause, prop_oneof![4 => Just(15_u8), 1 => 0_u8..16], prop::bool::weighted(0.1)),
        1..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// However it is asked: no occurrence twice, none early, none that is too old, all of an agent in order.
    #[test]
    fn no_occurrence_comes_twice(
        schedules in prop::collection::vec(schedule(), 1..4),
        start in 0..STARTS.len(),
        asked in asked(),
    ) {
        let mut planner = Planner::new(named(schedules));
        let mut now = at(STARTS[start]);
        let mut last: BTreeMap<(ScheduleName, AgentId), Timestamp> = BTreeMap::new();
        let mut open: BTreeSet<(ScheduleName, AgentId, Timestamp)> = BTreeSet::new();
        let mut met = BTreeSet::new();
        for (pause, bits, fails) in asked {
            now = now + Duration::from_secs(pause);
            let there = agents(bits);
            // Whoever comes back is new: it is the keys that keep him from having a thing twice.
            let came_back = there.difference(&met).cloned().collect::<BTreeSet<_>>();
            last.retain(|(_, agent), _| !came_back.contains(agent));
            met = there.clone();
            for due in ask(&mut planner, now, there.clone()) {
                check(&due, now, &there)?;
                let whose = (due.schedule.name.clone(), due.agent.clone());
                let again = open.remove(&(whose.0.clone(), whose.1.clone(), due.nominal));
                if let Some(before) = last.insert(whose.clone(), due.nominal) {
                    prop_assert!(before < due.nominal || again && before == due.nominal, "{due:?}");
                }
                if fails {
                    planner.try_again(&due, now + Duration::from_secs(30));
                    open.insert((whose.0, whose.1, due.nominal));
                }
            }
            prop_assert!(planner.wakes_at().is_none_or(|at| at > now));
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Asked whenever it says: every occurrence of everybody, each at its time.
    #[test]
    fn none_is_lost_while_somebody_is_there(schedule in schedule(), start in 0..STARTS.len()) {
        let schedule = Arc::new(schedule);
        let mut planner = Planner::new([schedule.clone()]);
        let (start, all) = (at(STARTS[start]), agents(15));
        let end = start + minutes(12 * 60);
        let mut seen: BTreeSet<(AgentId, Timestamp)> = BTreeSet::new();
        let mut now = start;
        while now <= end {
            for due in ask(&mut planner, now, all.clone()) {
                prop_assert!(due.is_missed || now.since(due.at) <= PUNCTUAL);
                seen.insert((due.agent, due.nominal));
            }
            let Some(next) = planner.wakes_at() else { break };
            now = next;
        }
        for agent in &all {
            let offset = schedule.offset(agent);
            let mut nominal = schedule.times.next_after(start);
            while let Some(time) = nominal.filter(|time| *time + offset <= end) {
                prop_assert!(seen.contains(&(agent.clone(), time)), "{agent} {time}");
                nominal = schedule.times.next_after(time);
            }
        }
    }

    /// After a time in which nobody was there: the latest missed one at most, and just where the rule says so.
    #[test]
    fn what_was_missed_is_made_up_for_by_its_rule(
        schedule in schedule(),
        start in 0..STARTS.len(),
        away in 200_u64..200_000,
    ) {
        let schedule = Arc::new(schedule);
        let mut planner = Planner::new([schedule.clone()]);
        let (mut left, all) = (at(STARTS[start]), agents(15));
        ask(&mut planner, left, all.clone());
        // What was missed before is made up for.
        while let Some(next) = planner.wakes_at().filter(|next| *next <= at(STARTS[start]) + schedule.spread) {
            left = next;
            ask(&mut planner, left, all.clone());
        }
        let back = left + Duration::from_secs(away);
        let mut found: Vec<Due> = vec![];
        let mut now = back;
        while now <= back + schedule.spread {
            found.extend(ask(&mut planner, now, all.clone()));
            let Some(next) = planner.wakes_at() else { break };
            now = next;
        }
        for agent in &all {
            let offset = schedule.offset(agent);
            let mine = found.iter().filter(|due| due.agent == *agent && due.nominal <= back - offset);
            let nominal: Vec<_> = mine.map(|due| due.nominal).collect();
            let wanted = latest(&schedule, left - offset, back - offset).filter(|last| {
                let late = back.since(*last + offset);
                let is_punctual = late <= PUNCTUAL;
                let comes_first = schedule.times.next_after(*last).is_none_or(|next| back < next);
                let is_young = late + offset <= schedule.patience();
                is_punctual || schedule.missed != Missed::Skip && comes_first && is_young
            });
            prop_assert_eq!(nominal, wanted.into_iter().collect::<Vec<_>>(), "{}", agent);
        }
    }

    /// What is known of cron agrees with itself, whichever way it is asked.
    #[test]
    fn times_go_on(times in times(), start in 0..STARTS.len(), secs in 0_u64..200_000) {
        let from = at(STARTS[start]) + Duration::from_secs(secs);
        let Some(next) = times.next_after(from) else { return Ok(()) };
        prop_assert!(next > from);
        prop_assert_eq!(times.next_after(next - Duration::from_micros(1)), Some(next));
        let far = minutes(3 * 366 * 24 * 60);
        prop_assert_eq!(times.last_until(next, far), Some(next));
        let before = times.last_until(next - Duration::from_micros(1), far);
        prop_assert!(before.is_none_or(|before| before <= from && times.next_after(before) == Some(next)));
    }
}

fn check(due: &Due, now: Timestamp, there: &BTreeSet<AgentId>) -> Result<(), TestCaseError> {
    let schedule = &due.schedule;
    prop_assert!(there.contains(&due.agent));
    prop_assert!(due.at <= now, "not before its time: {due:?}");
    prop_assert!(now.since(due.at) <= schedule.patience(), "too old at {now}: {due:?}");
    prop_assert!(due.at.since(due.nominal) == schedule.offset(&due.agent));
    prop_assert!(due.at.since(due.nominal) < schedule.spread.max(Duration::from_micros(1)));
    prop_assert_eq!(schedule.times.last_until(due.nominal, minutes(1)), Some(due.nominal));
    prop_assert_eq!(due.is_missed, now.since(due.at) > PUNCTUAL);
    Ok(())
}

/// The last nominal time of a span, found by walking through it.
fn latest(schedule: &Schedule, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
    let next = |from: &Timestamp| schedule.times.next_after(*from).filter(|next| *next <= to);
    std::iter::successors(next(&from), next).last()
}
