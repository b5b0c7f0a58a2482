use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::{AgentId, OperationKind};
use archibald_core::schedule::{Due, Missed, PUNCTUAL, Planner, Schedule, Times, Whose};
use archibald_core::time::Timestamp;

use crate::{agents, ask, at, at_once, cron, every, minutes};

const WITHIN_A_DAY: Missed = Missed::Once { within: Duration::from_secs(24 * 3600) };

fn planner(schedule: &Arc<Schedule>) -> Planner {
    Planner::new([schedule.clone()])
}

/// The nominal times that are due now, with a star where it was missed.
fn poll(planner: &mut Planner, now: &str, names: &[&str]) -> Vec<String> {
    said(ask(planner, at(now), agents(names)))
}

fn said(due: Vec<Due>) -> Vec<String> {
    let star = |due: &Due| if due.is_missed { "*" } else { "" };
    due.iter().map(|due| format!("{} {}{}", due.agent, &due.nominal.to_string()[11..16], star(due))).collect()
}

#[test]
fn each_occurrence_comes_once_and_says_when_to_look_again() {
    let mut planner = planner(&at_once(every(15), Missed::Skip));
    assert_eq!(planner.wakes_at(), None, "nobody is there");
    assert_eq!(poll(&mut planner, "2026-11-22T08:20:00Z", &["nancy"]), [""; 0]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-22T08:30:00Z")));
    assert_eq!(poll(&mut planner, "2026-11-22T08:30:00Z", &["nancy"]), ["nancy 08:30"]);
    assert_eq!(poll(&mut planner, "2026-11-22T08:30:00Z", &["nancy"]), [""; 0]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-22T08:45:00Z")));
    assert_eq!(poll(&mut planner, "2026-11-22T08:45:59Z", &["nancy"]), ["nancy 08:45"]);
}

#[test]
fn of_what_was_missed_the_latest_is_made_up_for() {
    for (missed, made_up) in [(WITHIN_A_DAY, vec!["nancy 06:00*"]), (Missed::Skip, vec![])] {
        let mut planner = planner(&at_once(cron("0 4,5,6,12 * * *", "UTC"), missed));
        assert_eq!(poll(&mut planner, "2026-11-22T08:30:00Z", &["nancy"]), made_up);
        assert_eq!(planner.wakes_at(), Some(at("2026-11-22T12:00:00Z")));
        assert_eq!(poll(&mut planner, "2026-11-22T12:00:00Z", &["nancy"]), ["nancy 12:00"]);
    }
}

#[test]
fn what_was_missed_too_long_ago_is_not_made_up_for() {
    let missed = Missed::Once { within: minutes(60) };
    for (now, made_up) in [("2026-11-22T07:00:00Z", 1), ("2026-11-22T07:00:01Z", 0)] {
        let mut planner = planner(&at_once(cron("0 6 * * *", "UTC"), missed));
        assert_eq!(poll(&mut planner, now, &["nancy"]).len(), made_up, "{now}");
    }
}

/// A start is no moment at which all agents may have what they missed.
#[test]
fn what_is_made_up_for_is_spread_too() {
    let kind = OperationKind::new("sync-orders").unwrap();
    let schedule = Arc::new(Schedule::of(kind, cron("0 6 * * *", "UTC")));
    let nancy = AgentId::new("nancy").unwrap();
    let offset = schedule.offset(&nancy);
    assert!(offset > PUNCTUAL && offset < minutes(10), "{offset:?}");
    let mut planner = planner(&schedule);
    let start = at("2026-11-22T08:30:00Z");
    let hers = BTreeSet::from([nancy]);
    assert_eq!(ask(&mut planner, start, hers.clone()), []);
    assert_eq!(planner.wakes_at(), Some(start + offset));
    assert_eq!(said(ask(&mut planner, start + offset, hers)), ["nancy 06:00*"]);
}

#[test]
fn what_comes_next_makes_up_for_what_was_missed() {
    let kind = OperationKind::new("sync-orders").unwrap();
    let schedule = Arc::new(Schedule::of(kind, every(10)));
    let nancy = AgentId::new("nancy").unwrap();
    let offset = schedule.offset(&nancy);
    let mut planner = planner(&schedule);
    let nominal = at("2026-11-22T08:30:00Z");
    // So late that there is no time left for another offset.
    let start = nominal + minutes(10) + offset - Duration::from_secs(1);
    assert_eq!(ask(&mut planner, start, BTreeSet::from([nancy.clone()])), []);
    assert_eq!(planner.wakes_at(), Some(nominal + minutes(10) + offset));
    let due = ask(&mut planner, nominal + minutes(10) + offset, BTreeSet::from([nancy]));
    assert_eq!(said(due), ["nancy 08:40"]);
}

#[test]
fn a_clock_that_goes_back_repeats_nothing_but_keys() {
    let schedule = at_once(every(15), WITHIN_A_DAY);
    let mut planner = planner(&schedule);
    poll(&mut planner, "2026-11-22T08:20:00Z", &["nancy"]);
    let first = ask(&mut planner, at("2026-11-22T08:30:00Z"), agents(&["nancy"]));
    assert_eq!(poll(&mut planner, "2026-11-22T08:29:30Z", &["nancy"]), [""; 0]);
    assert_eq!(poll(&mut planner, "2026-11-22T08:30:00Z", &["nancy"]), [""; 0], "a moment is nothing");
    assert_eq!(poll(&mut planner, "2026-11-22T07:20:00Z", &["nancy"]), [""; 0], "nothing was missed");
    let again: Vec<_> = (0..=70)
        .flat_map(|minute| {
            ask(&mut planner, at("2026-11-22T07:20:00Z") + minutes(minute), agents(&["nancy"]))
        })
        .collect();
    assert_eq!(
        said(again.clone()),
        ["nancy 07:30", "nancy 07:45", "nancy 08:00", "nancy 08:15", "nancy 08:30"]
    );
    assert_eq!(again[4].key(), first[0].key());
}

/// Nobody has it yet, and no other time of the day brings it.
#[test]
fn a_clock_that_goes_back_loses_nothing_that_is_tried_again() {
    let mut planner = planner(&at_once(cron("0 6 * * *", "UTC"), WITHIN_A_DAY));
    let due = ask(&mut planner, at("2026-11-22T08:30:00Z"), agents(&["nancy"])).remove(0);
    planner.try_again(&due, at("2026-11-22T08:30:30Z"));
    assert_eq!(poll(&mut planner, "2026-11-22T08:10:00Z", &["nancy"]), [""; 0]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-22T08:10:30Z")), "in half a minute, as before");
    assert_eq!(poll(&mut planner, "2026-11-22T08:10:30Z", &["nancy"]), ["nancy 06:00*"]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-23T06:00:00Z")));
}

#[test]
fn what_is_tried_again_comes_by_itself_on_a_clock_that_goes_back_before_it() {
    let mut planner = planner(&at_once(cron("0 6 * * *", "UTC"), WITHIN_A_DAY));
    poll(&mut planner, "2026-11-22T05:50:00Z", &["nancy"]);
    let due = ask(&mut planner, at("2026-11-22T06:00:00Z"), agents(&["nancy"])).remove(0);
    planner.try_again(&due, at("2026-11-22T06:00:30Z"));
    assert_eq!(poll(&mut planner, "2026-11-22T05:40:00Z", &["nancy"]), [""; 0]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-22T06:00:00Z")));
    assert_eq!(poll(&mut planner, "2026-11-22T06:00:00Z", &["nancy"]), ["nancy 06:00"]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-23T06:00:00Z")), "once");
}

/// Whoever can enqueue one at a time takes one at a time; the others' age is looked at when it is their turn.
#[test]
fn what_is_left_grows_old_by_the_rule() {
    let there = agents(&["andrew", "janet", "nancy"]);
    for (missed, made_up) in [(WITHIN_A_DAY, vec!["janet 08:30*"]), (Missed::Skip, vec![])] {
        let mut planner = planner(&at_once(cron("30 * * * *", "UTC"), missed));
        ask(&mut planner, at("2026-11-22T08:29:00Z"), there.clone());
        let mut take = |now: &str| said(planner.poll(at(now), 1));
        assert_eq!(take("2026-11-22T08:30:00Z"), ["andrew 08:30"]);
        assert_eq!(take("2026-11-22T09:20:00Z"), made_up);
    }
}

#[test]
fn who_can_take_none_gets_none_and_loses_none() {
    let mut planner = planner(&at_once(every(15), Missed::Skip));
    poll(&mut planner, "2026-11-22T08:20:00Z", &["nancy"]);
    assert_eq!(planner.poll(at("2026-11-22T08:30:00Z"), 0), []);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-22T08:30:00Z")));
    assert_eq!(poll(&mut planner, "2026-11-22T08:30:59Z", &["nancy"]), ["nancy 08:30"]);
}

#[test]
fn a_clock_that_was_wrong_is_not_waited_for() {
    let mut planner = planner(&at_once(every(15), Missed::Skip));
    poll(&mut planner, "2026-11-29T08:20:00Z", &["nancy"]);
    poll(&mut planner, "2026-11-22T08:20:00Z", &["nancy"]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-22T08:30:00Z")));
}

#[test]
fn a_jump_ahead_is_time_that_was_missed() {
    let mut planner = planner(&at_once(every(15), WITHIN_A_DAY));
    poll(&mut planner, "2026-11-22T08:20:00Z", &["nancy"]);
    assert_eq!(poll(&mut planner, "2026-11-22T11:50:00Z", &["nancy"]), ["nancy 11:45*"]);
    assert_eq!(planner.wakes_at(), Some(at("2026-11-22T12:00:00Z")));
}

#[test]
fn agents_come_and_go() {
    let mut planner = planner(&at_once(every(15), WITHIN_A_DAY));
    assert_eq!(poll(&mut planner, "2026-11-22T08:20:00Z", &["nancy"]), ["nancy 08:15*"]);
    assert_eq!(poll(&mut planner, "2026-11-22T08:21:00Z", &["andrew", "nancy"]), ["andrew 08:15*"]);
    assert_eq!(poll(&mut planner, "2026-11-22T08:30:00Z", &["andrew"]), ["andrew 08:30"]);
    assert_eq!(poll(&mut planner, "2026-11-22T08:45:00Z", &[]), [""; 0]);
    assert_eq!(planner.wakes_at(), None);
}

#[test]
fn a_schedule_is_for_whom_it_says() {
    for (whose, has) in [
        (Whose::Only(agents(&["nancy", "nobody"])), "nancy 08:30"),
        (Whose::AllBut(agents(&["nancy"])), "andrew 08:30"),
    ] {
        let schedule = at_once(every(30), Missed::Skip);
        let mut planner = planner(&Arc::new(Schedule { whose, ..(*schedule).clone() }));
        assert_eq!(poll(&mut planner, "2026-11-22T08:30:00Z", &["andrew", "nancy"]), [has]);
    }
}

#[test]
fn what_could_not_be_enqueued_is_tried_again_until_the_next_comes() {
    let mut planner = planner(&at_once(every(15), WITHIN_A_DAY));
    let now = at("2026-11-22T08:30:00Z");
    let due = ask(&mut planner, now, agents(&["nancy"])).remove(0);
    planner.try_again(&due, now + minutes(1));
    assert_eq!(poll(&mut planner, "2026-11-22T08:31:00Z", &["nancy"]), ["nancy 08:30"]);
    planner.try_again(&due, now + minutes(14));
    planner.try_again(&due, now + minutes(15));
    assert_eq!(poll(&mut planner, "2026-11-22T08:45:00Z", &["nancy"]), ["nancy 08:45"], "instead of both");
    ask(&mut planner, at("2026-11-22T08:46:00Z"), agents(&[]));
    planner.try_again(&due, at("2026-11-22T08:47:00Z"));
    assert_eq!(planner.wakes_at(), None, "she is not there any more");
}

/// Rome, 29 March 2026: the hour from 2 to 3 is left out. 25 October: it comes twice.
#[test]
fn a_nightly_sync_comes_once_in_every_night() {
    let times: Times = cron("30 2 * * *", "Europe/Rome");
    for (from, to) in
        [("2026-03-27T12:00:00Z", "2026-03-31T12:00:00Z"), ("2026-10-23T12:00:00Z", "2026-10-27T12:00:00Z")]
    {
        let mut planner = planner(&at_once(times.clone(), WITHIN_A_DAY));
        let (from, to) = (at(from), at(to));
        ask(&mut planner, from, BTreeSet::new());
        let mut nights = vec![];
        let mut now = from;
        while now < to {
            nights.extend(ask(&mut planner, now, agents(&["nancy"])));
            now = now + Duration::from_secs(60);
        }
        let nominal: Vec<Timestamp> =
            nights.iter().filter(|due| !due.is_missed).map(|due| due.nominal).collect();
        assert_eq!(nominal.len(), 4, "{nominal:?}");
    }
}
