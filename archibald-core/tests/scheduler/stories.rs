//! Each rule as a story. Every step says all that comes of it, at once: nothing waits for a timer that
//! need not.

use std::time::Duration;

use archibald_core::id::OperationId;
use archibald_core::operation::Step;
use archibald_core::pause::PauseScope;
use archibald_core::port::{NotPreempted, Why};
use archibald_core::scheduler::{Input, Refusal, SchedulerConfig, Ticket};
use uuid::Uuid;

use crate::story::{Story, Tweak, at, kind, lease, order, preempt, slots, story, sync};

// One agent, one at a time, in order.

#[test]
fn order_1_waits_while_order_0_runs_and_starts_at_once_when_it_settles() {
    let mut story = slots(2);
    let (first, second) = (order("nancy", 0), order("nancy", 1));
    story.comes(&first).starts(&first);
    story.comes(&second).nothing();
    assert_eq!(story.why(&second), [busy(&first), not_preempted(NotPreempted::NotForThisOne)]);
    story.settles(&first).starts(&second);
    story.settles(&second).nothing();
    assert_eq!(story.counts().in_use, 0);
    story.no_alarm();
}

#[test]
fn an_agent_is_taken_from_the_moment_that_its_lease_is_asked_for() {
    let mut story = slots(2);
    let (first, second) = (order("nancy", 0), order("nancy", 1));
    story.comes(&first).asks_for(&first);
    story.comes(&second).nothing();
    assert_eq!(story.why(&first), [Why::Starting]);
    story.leased(&first).nothing();
    assert_eq!(story.why(&first), []);
}

#[test]
fn interactive_goes_before_background_and_then_whoever_came_first() {
    let mut story = slots(1);
    let running = order("nancy", 0);
    let (old_sync, late, early) = (sync("nancy", 1), order("nancy", 3), order("nancy", 2));
    story.comes(&running).starts(&running);
    for ticket in [&late, &old_sync, &early] {
        story.comes(ticket).nothing();
    }
    assert_eq!(
        story.why(&old_sync),
        [busy(&running), not_preempted(NotPreempted::NotForThisOne), Why::Behind { operations: 2 }]
    );
    story.settles(&running).starts(&early);
    story.settles(&early).starts(&late);
    story.settles(&late).starts(&old_sync);
}

// An agent that can be handed on.

#[test]
fn an_agent_goes_on_with_what_would_start_at_its_end() {
    let mut story = slots(1);
    let (running, second, third) = (order("nancy", 0), order("nancy", 1), order("nancy", 2));
    assert_eq!(story.goes_on_with(&running), None, "it is not known");
    story.comes(&running).starts(&running);
    assert_eq!(story.goes_on_with(&running), None, "nothing waits");
    story.comes(&third).nothing();
    story.comes(&second.clone().due(9)).nothing();
    assert_eq!(story.goes_on_with(&running), Some(third.operation), "the other is not due");
    assert_eq!(story.goes_on_with(&third), None, "it does not run");
    story.comes(&second).nothing();
    assert_eq!(story.goes_on_with(&running), Some(second.operation));
    story.pause("nancy", "locked").nothing();
    assert_eq!(story.goes_on_with(&running), None, "paused");
    story.resume("nancy").nothing();
    story.withdrawn(&second).nothing();
    assert_eq!(story.goes_on_with(&running), Some(third.operation));
    story.settles(&running).starts(&third);
}

/// Its store may lease it while it accepts it.
#[test]
fn what_comes_alone_would_start_where_its_agent_and_a_slot_are_free() {
    let mut story = slots(2);
    let (first, second) = (order("nancy", 0), order("nancy", 1));
    let other = order("andrew", 2);
    assert!(story.would_start(&first, 1) && !story.would_start(&first, 2), "two slots");
    story.comes(&first).starts(&first);
    assert!(!story.would_start(&second, 0), "its agent is taken");
    assert!(story.would_start(&other, 0) && !story.would_start(&other, 1), "a slot is left");
    story.comes(&second.clone().due(9)).nothing();
    story.settles(&first).nothing();
    assert!(!story.would_start(&second, 0), "something of its agent waits");
    story.pause("andrew", "locked").nothing();
    assert!(!story.would_start(&other, 0), "paused");
    story.resume("andrew").nothing();
    assert!(story.would_start(&other, 0));
    story.says(Input::Drain).nothing();
    assert!(!story.would_start(&other, 0), "nothing starts any more");
}

/// Whether it would have a slot, or its agent is paused, is another question.
#[test]
fn what_goes_next_of_an_agent_is_the_first_that_is_due() {
    let mut story = slots(1);
    let (running, second, third) =
        (order("nancy", 0).on("order:7"), order("nancy", 1).on("order:7"), order("nancy", 3));
    let sync = sync("nancy", 2);
    assert_eq!(story.goes_next("nancy"), None, "nobody is known");
    story.comes(&running).starts(&running);
    assert_eq!(story.goes_next("nancy"), None, "it runs");
    story.comes(&sync).nothing();
    assert_eq!(story.goes_next("nancy"), Some(sync.place()));
    story.comes(&third).nothing();
    assert_eq!(story.goes_next("nancy"), Some(third.place()), "the class comes first");
    story.comes(&second.clone().due(9)).nothing();
    assert_eq!(story.goes_next("nancy"), Some(third.place()), "the other is not due");
    story.comes(&second).nothing();
    assert_eq!(story.goes_next("nancy"), Some(second.place()), "it waits for the one that runs alone");
    story.pause("nancy", "locked").nothing();
    assert_eq!(story.goes_next("nancy"), Some(second.place()));
}

/// What follows on the same target waits behind the one that runs, and for nothing else.
#[test]
fn an_agent_goes_on_with_what_follows_on_the_same_target() {
    let mut story = slots(1);
    let on = |n| order("nancy", n).on("order:7");
    let (submit, send, other) = (on(0), on(1), order("nancy", 2));
    story.comes(&submit).starts(&submit);
    story.comes(&other).nothing();
    assert_eq!(story.goes_on_with(&submit), Some(other.operation));
    story.comes(&send.clone().due(9)).nothing();
    assert_eq!(story.goes_on_with(&submit), Some(other.operation), "the follower is not due");
    story.comes(&send).nothing();
    assert_eq!(story.goes_on_with(&submit), Some(send.operation), "it came before the other");
    story.settles(&submit).starts(&send);
}

#[test]
fn an_agent_does_not_go_on_when_others_wait_for_its_slot() {
    let mut story = slots(1);
    let (running, second, other) = (order("nancy", 0), order("nancy", 1), sync("andrew", 0));
    story.comes(&running).starts(&running);
    story.comes(&second).nothing();
    story.comes(&other).nothing();
    assert_eq!(story.goes_on_with(&running), Some(second.operation), "an order goes before a sync");
    story.settles(&running).starts(&second);
    let third = sync("nancy", 3);
    story.comes(&third).nothing();
    assert_eq!(story.goes_on_with(&second), None);
    story.settles(&second).starts(&other);
}

#[test]
fn background_work_does_not_go_on_in_a_reserved_slot() {
    let config = SchedulerConfig { slots: 2, reserved_interactive: 1, ..SchedulerConfig::default() };
    let mut story = story(config);
    let (order, next, sync_of_another) = (order("nancy", 0), sync("nancy", 1), sync("andrew", 0));
    story.comes(&order).starts(&order);
    story.comes(&next).nothing();
    assert_eq!(story.goes_on_with(&order), Some(next.operation));
    story.comes(&sync_of_another).starts(&sync_of_another);
    assert_eq!(story.goes_on_with(&order), None);
}

#[test]
fn agents_run_side_by_side() {
    let mut story = slots(2);
    let (nancy, andrew) = (order("nancy", 0), order("andrew", 0));
    story.comes(&nancy).starts(&nancy);
    story.comes(&andrew).starts(&andrew);
}

#[test]
fn an_operation_starts_when_its_time_comes_and_not_before() {
    let mut story = slots(1);
    let later = order("nancy", 0).due(60);
    story.comes(&later).nothing();
    assert_eq!(story.why(&later), [Why::NotDue { at: at(60) }]);
    story.alarm_at(60).starts(&later);
    story.no_alarm();
}

#[test]
fn a_retry_lets_the_next_one_go_first_and_keeps_its_place() {
    let mut story = slots(1);
    let (first, second, third) = (order("nancy", 0), order("nancy", 1), order("nancy", 2));
    story.comes(&first).starts(&first);
    story.comes(&second).nothing();
    story.comes(&third).nothing();
    story.settles_and_waits(&first.clone().due(5)).starts(&second);
    story.alarm_at(5).nothing();
    story.settles(&second).starts(&first);
}

#[test]
fn a_newer_ticket_replaces_the_older_one() {
    let mut story = slots(1);
    let later = order("nancy", 0).due(60);
    story.comes(&later).nothing();
    story.comes(&later).nothing();
    let redriven = later.clone().due(0).with(Step::Probe);
    story.comes(&redriven).starts(&redriven);
    story.no_alarm();
}

// The same target, one after another.

#[test]
fn an_edit_waits_for_the_submit_of_the_same_order_even_while_that_is_retried_later() {
    let mut story = slots(2);
    let submit = order("nancy", 0).on("order:7").due(60);
    let edit = order("nancy", 1).on("order:7");
    let other = order("nancy", 2).on("order:8");
    story.comes(&submit).nothing();
    story.comes(&edit).nothing();
    assert_eq!(story.why(&edit), [Why::TargetBlocked { by: submit.operation }]);
    story.comes(&other).starts(&other);
    story.settles(&other).nothing();
    story.alarm_at(60).starts(&submit);
    story.settles(&submit).starts(&edit);
}

#[test]
fn targets_of_different_agents_have_nothing_to_do_with_each_other() {
    let mut story = slots(2);
    let nancy = order("nancy", 0).on("customer:1").due(60);
    let andrew = order("andrew", 1).on("customer:1");
    story.comes(&nancy).nothing();
    story.comes(&andrew).starts(&andrew);
}

#[test]
fn an_earlier_ticket_that_is_heard_of_late_still_goes_first() {
    let mut story = slots(1);
    let other = order("andrew", 0);
    let (submit, edit) = (order("nancy", 0).on("order:7").due(60), order("nancy", 1).on("order:7"));
    story.comes(&other).starts(&other);
    story.comes(&edit).nothing();
    story.comes(&submit).nothing();
    story.settles(&other).nothing();
    assert_eq!(story.why(&edit), [Why::TargetBlocked { by: submit.operation }]);
    story.withdrawn(&submit).starts(&edit);
}

#[test]
fn behind_a_doubt_that_the_store_named_it_waits_and_starts_at_once_when_a_person_decides() {
    let mut story = slots(1);
    let (doubt, edit) = (order("nancy", 0).on("order:7"), order("nancy", 1).on("order:7"));
    story.comes(&edit).asks_for(&edit);
    story.refused(&edit, Refusal::TargetBusy { by: doubt.operation }).nothing();
    assert_eq!(story.why(&edit), [Why::TargetBlocked { by: doubt.operation }]);
    let other = order("nancy", 2);
    story.comes(&other).starts(&other);
    story.settles(&other).nothing();
    story.comes(&edit).nothing();
    story.target_freed(&doubt).starts(&edit);
}

#[test]
fn should_nobody_tell_that_a_doubt_is_decided_the_store_is_asked_again_half_a_minute_later() {
    let mut story = slots(1);
    let (doubt, edit) = (order("nancy", 0), order("nancy", 1).on("order:7"));
    story.comes(&edit).asks_for(&edit);
    story.refused(&edit, Refusal::TargetBusy { by: doubt.operation }).nothing();
    story.alarm_at(30).asks_for(&edit);
    story.refused(&edit, Refusal::TargetBusy { by: doubt.operation }).nothing();
    story.alarm_at(60).starts(&edit);
}

#[test]
fn news_that_overtake_a_refusal_are_believed_over_it() {
    let mut story = slots(1);
    let (doubt, edit) = (order("nancy", 0), order("nancy", 1).on("order:7"));
    story.comes(&edit).asks_for(&edit);
    story.target_freed(&doubt).nothing();
    story.refused(&edit, Refusal::TargetBusy { by: doubt.operation }).asks_for(&edit);
    story.resume("nancy").nothing();
    story.refused(&edit, paused(&edit, "locked")).asks_for(&edit);
    story.comes(&order("nancy", 2)).nothing();
    story.refused(&edit, Refusal::AgentHeld { until: at(60) }).asks_for(&edit);
    story.refused(&edit, Refusal::AgentHeld { until: at(60) }).nothing();
}

// Between agents.

#[test]
fn an_agent_that_just_had_its_turn_goes_behind_the_others() {
    let mut story = slots(1);
    let hot: Vec<_> = (0..4).map(|n| order("nancy", n)).collect();
    let (andrew, janet) = (order("andrew", 0), order("janet", 0));
    story.comes(&hot[0]).starts(&hot[0]);
    for ticket in [&hot[1], &hot[2], &hot[3], &janet, &andrew] {
        story.comes(ticket).nothing();
    }
    assert_eq!(story.why(&janet), [Why::NoSlot]);
    assert_eq!(story.why(&andrew), [Why::NoSlot, Why::InTurn { agents: 1 }]);
    story.settles(&hot[0]).starts(&janet);
    story.settles(&janet).starts(&andrew);
    let again = order("andrew", 1);
    story.comes(&again).nothing();
    story.settles(&andrew).starts(&hot[1]);
    story.settles(&hot[1]).starts(&again);
    story.settles(&again).starts(&hot[2]);
    story.settles(&hot[2]).starts(&hot[3]);
}

#[test]
fn a_turn_lasts_for_its_quantum() {
    let (mut story, hot, janet) = (turns_of_four_seconds(), orders_of_nancy(5), order("janet", 0));
    for ticket in hot[1..].iter().chain([&janet]) {
        story.comes(ticket).nothing();
    }
    story.settles(&hot[0]).starts(&hot[1]);
    story.time_is(1);
    story.settles(&hot[1]).starts(&hot[2]);
    assert_eq!(story.goes_on_with(&hot[2]), Some(hot[3].operation));
    story.settles(&hot[2]).starts(&hot[3]);
    story.time_is(4);
    assert_eq!(story.goes_on_with(&hot[3]), None, "it is over and janet waits");
    story.settles(&hot[3]).starts(&janet);
    story.settles(&janet).starts(&hot[4]);
}

/// What the store was told while the turn lasted counts when the store has done it.
#[test]
fn a_turn_in_which_the_agent_is_handed_on_lasts_until_it_was() {
    let (mut story, hot, janet) = (turns_of_four_seconds(), orders_of_nancy(4), order("janet", 0));
    for ticket in hot[1..].iter().chain([&janet]) {
        story.comes(ticket).nothing();
    }
    story.settles(&hot[0]).starts(&hot[1]);
    story.time_is(3);
    assert_eq!(story.goes_on_with(&hot[1]), Some(hot[2].operation));
    story.time_is(9);
    story.hands_on_to(&hot[2], 3);
    story.settles(&hot[1]).starts(&hot[2]);
    assert_eq!(story.goes_on_with(&hot[2]), None, "once");
    story.settles(&hot[2]).starts(&janet);
    story.settles(&janet).starts(&hot[3]);
}

/// What was guessed and not done, or done when the turn was over already, keeps nobody waiting.
#[test]
fn a_turn_that_was_over_when_the_store_was_asked_is_over() {
    for handed_on in [None, Some(5)] {
        let (mut story, hot, janet) = (turns_of_four_seconds(), orders_of_nancy(3), order("janet", 0));
        story.comes(&hot[1]).nothing();
        story.comes(&hot[2]).nothing();
        story.settles(&hot[0]).starts(&hot[1]);
        story.time_is(5);
        assert_eq!(story.goes_on_with(&hot[1]), Some(hot[2].operation), "nobody waits");
        story.comes(&janet).nothing();
        if let Some(asked) = handed_on {
            story.hands_on_to(&hot[2], asked);
        }
        story.settles(&hot[1]).starts(&janet);
        story.settles(&janet).starts(&hot[2]);
    }
}

/// One slot, in which the first order of nancy runs.
fn turns_of_four_seconds() -> Story {
    let mut story = story(SchedulerConfig { quantum: Duration::from_secs(4), ..one_slot() });
    let first = order("nancy", 0);
    story.comes(&first).starts(&first);
    story
}

fn orders_of_nancy(count: u64) -> Vec<Ticket> {
    (0..count).map(|n| order("nancy", n)).collect()
}

fn one_slot() -> SchedulerConfig {
    SchedulerConfig { slots: 1, reserved_interactive: 0, ..SchedulerConfig::default() }
}

#[test]
fn with_every_slot_taken_an_order_of_another_agent_goes_before_a_sync_that_waits_longer() {
    let mut story = slots(1);
    let (running, waiting, order) = (sync("nancy", 0), sync("andrew", 0), order("janet", 0));
    story.comes(&running).starts(&running);
    story.comes(&waiting).nothing();
    story.comes(&order).nothing();
    story.settles(&running).starts(&order);
    story.settles(&order).starts(&waiting);
}

#[test]
fn an_agent_with_a_weight_starts_that_often_in_its_turn() {
    let weights = [(order("nancy", 0).agent, 2)].into();
    let mut story = story(SchedulerConfig { weights, quantum: Duration::ZERO, ..one_slot() });
    let nancy: Vec<_> = (0..4).map(|n| order("nancy", n)).collect();
    let andrew: Vec<_> = (0..2).map(|n| order("andrew", n)).collect();
    story.comes(&andrew[0]).starts(&andrew[0]);
    for ticket in nancy.iter().chain(&andrew[1..]) {
        story.comes(ticket).nothing();
    }
    story.settles(&andrew[0]).starts(&nancy[0]);
    story.settles(&nancy[0]).starts(&nancy[1]);
    story.settles(&nancy[1]).starts(&andrew[1]);
    story.settles(&andrew[1]).starts(&nancy[2]);
    story.settles(&nancy[2]).starts(&nancy[3]);
}

#[test]
fn syncs_never_take_the_slots_that_are_reserved_for_orders() {
    let config = SchedulerConfig { slots: 3, reserved_interactive: 1, ..SchedulerConfig::default() };
    let mut story = story(config);
    let syncs = [sync("nancy", 0), sync("andrew", 0), sync("janet", 0)];
    story.comes(&syncs[0]).starts(&syncs[0]);
    story.comes(&syncs[1]).starts(&syncs[1]);
    story.comes(&syncs[2]).nothing();
    assert_eq!(story.why(&syncs[2]), [Why::NoSlot]);
    let order = order("laura", 0);
    story.comes(&order).starts(&order);
    story.settles(&order).nothing();
    story.settles(&syncs[0]).starts(&syncs[2]);
}

#[test]
fn a_commit_needs_no_slot_but_its_agent() {
    let mut story = slots(1);
    let running = sync("andrew", 0);
    let (commit, act) = (order("nancy", 0).with(Step::Commit), order("nancy", 1));
    story.comes(&running).starts(&running);
    story.comes(&commit).starts(&commit);
    assert_eq!(story.counts().in_use, 1);
    story.comes(&act).nothing();
    story.settles(&commit).nothing();
    assert_eq!(story.why(&act), [Why::NoSlot]);
    story.settles(&running).starts(&act);
}

// Giving way.

#[test]
fn a_sync_gives_way_to_an_order_of_its_agent_and_goes_on_afterwards_uncharged() {
    let mut story = slots(1);
    let (sync, order) = (sync("nancy", 0), order("nancy", 1));
    story.comes(&sync).starts(&sync);
    story.comes(&order).gives_way(&sync);
    story.comes(&crate::story::order("nancy", 2)).nothing();
    story.withdrawn(&crate::story::order("nancy", 2)).nothing();
    let rest = sync.clone().gave_way(1);
    story.settles_and_waits(&rest).starts(&order);
    story.settles(&order).starts(&rest);
    assert_eq!(story.counts().preemptions, 1);
}

#[test]
fn a_sync_does_not_give_way_to_another_agent_nor_to_another_sync_nor_to_what_is_not_due() {
    let mut story = slots(1);
    let running = sync("nancy", 0);
    story.comes(&running).starts(&running);
    story.comes(&order("andrew", 0)).nothing();
    story.comes(&sync("nancy", 1)).nothing();
    story.comes(&order("nancy", 2).due(60)).nothing();
    story.alarm_at(60).gives_way(&running);
}

#[test]
fn an_order_does_not_give_way() {
    let mut story = slots(1);
    let (running, next) = (order("nancy", 1), order("nancy", 0));
    story.comes(&running).starts(&running);
    story.comes(&next).nothing();
}

#[test]
fn nothing_gives_way_once_its_effect_is_open() {
    let mut story = slots(2);
    let (writing, probing) = (sync("nancy", 0), sync("andrew", 0).with(Step::Probe));
    story.comes(&writing).starts(&writing);
    story.effect_open(&writing).nothing();
    story.comes(&order("nancy", 1)).nothing();
    story.comes(&probing).starts(&probing);
    story.comes(&order("andrew", 1)).nothing();
    story.drain().nothing();
}

#[test]
fn what_gave_way_often_enough_gets_a_protected_run() {
    let mut story = slots(1);
    let tired = sync("nancy", 0).gave_way(2);
    story.comes(&tired).starts(&tired);
    let order = order("nancy", 1);
    story.comes(&order).nothing();
    story.settles(&tired).starts(&order);
}

#[test]
fn what_waited_long_enough_gets_a_protected_run() {
    let mut story = slots(2);
    let made = |agent: &str, n, secs: u128| {
        let mut sync = sync(agent, n);
        sync.operation = OperationId(Uuid::from_u128((secs * 1000) << 80 | 0x7 << 76 | 0x2 << 62));
        sync
    };
    story.time_is(1_000);
    let (old, young) = (made("nancy", 0, 100), made("andrew", 0, 101));
    story.comes(&old).starts(&old);
    story.comes(&order("nancy", 1)).nothing();
    story.comes(&young).starts(&young);
    story.comes(&order("andrew", 1)).gives_way(&young);
}

#[test]
fn an_order_that_comes_while_the_lease_of_a_sync_is_under_way_makes_it_give_way_at_once() {
    let mut story = slots(1);
    let (sync, order) = (sync("nancy", 0), order("nancy", 1));
    story.comes(&sync).asks_for(&sync);
    story.comes(&order).nothing();
    story.leased(&sync).gives_way(&sync);
    story.leased(&sync).nothing();
}

#[test]
fn a_sync_does_not_give_way_to_an_order_that_could_not_start_in_its_place() {
    let mut story = slots(1);
    let sync = sync("nancy", 0).on("customer:1");
    story.comes(&sync).starts(&sync);
    story.comes(&order("nancy", 1).on("customer:1")).nothing();
    story.pause("nancy", "locked").nothing();
    story.comes(&order("nancy", 2)).nothing();
    story.resume("nancy").gives_way(&sync);
}

// What parks an agent.

#[test]
fn an_agent_that_another_worker_holds_is_tried_when_something_is_heard_of_it() {
    let mut story = slots(1);
    let (first, other) = (order("nancy", 0), order("andrew", 0));
    story.comes(&first).asks_for(&first);
    story.refused(&first, Refusal::AgentHeld { until: at(40) }).nothing();
    assert_eq!(story.why(&first), [Why::LeasedElsewhere { until: at(40) }]);
    story.comes(&other).starts(&other);
    story.settles(&other).nothing();
    story.comes(&first).asks_for(&first);
    story.refused(&first, Refusal::AgentHeld { until: at(50) }).nothing();
    story.alarm_at(50).starts(&first);
}

#[test]
fn a_store_that_failed_is_left_alone_until_then_whatever_is_heard() {
    let mut story = slots(1);
    let first = order("nancy", 0);
    story.comes(&first).asks_for(&first);
    story.comes(&first).nothing();
    story.refused(&first, Refusal::Unavailable { until: at(5) }).nothing();
    story.comes(&first).nothing();
    story.resume("nancy").nothing();
    story.alarm_at(5).starts(&first);
}

#[test]
fn a_time_that_is_over_already_does_not_make_a_busy_loop() {
    let mut story = slots(1);
    let first = order("nancy", 0);
    story.time_is(100);
    story.comes(&first).asks_for(&first);
    story.refused(&first, Refusal::NotDue { at: at(100) }).nothing();
    assert_ne!(story.why(&first), []);
    story.time_is(101);
    story.says(archibald_core::scheduler::Input::Tick).asks_for(&first);
    story.refused(&first, Refusal::AgentHeld { until: at(90) }).nothing();
}

#[test]
fn a_paused_agent_starts_nothing_until_it_is_resumed_and_others_do_not_care() {
    let mut story = slots(2);
    let (running, next, other) = (order("nancy", 0), order("nancy", 1), order("andrew", 0));
    story.comes(&running).starts(&running);
    story.comes(&next).nothing();
    story.pause("nancy", "password refused").nothing();
    story.settles(&running).nothing();
    assert_eq!(story.why(&next), [is_paused("nancy", "password refused")]);
    story.comes(&other).starts(&other);
    story.resume("nancy").starts(&next);
}

#[test]
fn when_everything_is_paused_nothing_starts_and_nothing_gives_way() {
    let mut story = slots(2);
    let (running, next, other) = (sync("nancy", 0), order("nancy", 1), order("andrew", 0));
    story.comes(&running).starts(&running);
    story.pause_all("maintenance").nothing();
    story.comes(&next).nothing();
    story.comes(&other).nothing();
    assert_eq!(story.why(&other), [Why::Paused { scope: PauseScope::Everything, why: "maintenance".into() }]);
    let then = story.resume_all();
    assert_eq!(then.commands(), [preempt(&running), lease(&other)]);
}

#[test]
fn a_paused_kind_is_passed_by_what_is_of_another_kind_and_keeps_its_place() {
    let mut story = slots(2);
    let (first, next) = (order("nancy", 0), order("nancy", 1));
    let (edit, other) = (order("nancy", 2).of("edit-order"), order("andrew", 0).of("edit-order"));
    story.comes(&first).starts(&first);
    story.comes(&next).nothing();
    story.comes(&edit).nothing();
    story.pause_kind("submit-order", "maintenance").nothing();
    assert_eq!(story.goes_on_with(&first), Some(edit.operation));
    story.settles_and_waits(&first).starts(&edit);
    let why = Why::Paused { scope: kind("submit-order").into(), why: "maintenance".into() };
    assert_eq!(story.why(&next)[0], why);
    story.comes(&other).starts(&other);
    story.resume_kind("submit-order").nothing();
    story.settles(&edit).starts(&first);
    story.settles(&first).starts(&next);
}

#[test]
fn what_comes_due_while_its_kind_is_paused_starts_when_that_ends() {
    let mut story = slots(2);
    let (later, edit) =
        (order("nancy", 0).due(5).on("order:1"), order("nancy", 1).of("edit-order").on("order:1"));
    story.comes(&later).nothing();
    story.comes(&edit).nothing();
    story.pause_kind("submit-order", "maintenance").nothing();
    story.alarm_at(5).nothing();
    story.no_alarm();
    let why = |scope: PauseScope| Why::Paused { scope, why: "maintenance".into() };
    assert_eq!(story.why(&later), [why(kind("submit-order").into())]);
    assert_eq!(story.why(&edit), [Why::TargetBlocked { by: later.operation }]);
    story.pause_all("maintenance").nothing();
    story.resume_kind("submit-order").nothing();
    assert_eq!(story.why(&later), [why(PauseScope::Everything)]);
    story.resume_all().starts(&later);
}

#[test]
fn a_pause_that_drains_asks_what_runs_in_the_background_to_give_way() {
    for scope in [PauseScope::Everything, kind("sync-customers").into(), sync("nancy", 0).agent.into()] {
        let mut story = slots(4);
        let (open, other) = (sync("andrew", 0), order("laura", 0));
        let running = sync("nancy", 0).gave_way(9);
        for ticket in [&running, &open, &other] {
            story.comes(ticket).starts(ticket);
        }
        story.effect_open(&open).nothing();
        let pause = |drains| Input::Pause { scope: scope.clone(), why: "by hand".into(), drains };
        story.says(pause(false)).nothing();
        story.says(pause(true)).gives_way(&running);
        story.says(pause(true)).nothing();
        story.settles_and_waits(&running).nothing();
        story.says(Input::Resume { scope: scope.clone() }).starts(&running);
    }
}

#[test]
fn a_refusal_takes_nothing_back_of_a_pause_that_drains() {
    let mut story = slots(2);
    let (granted, refused) = (sync("nancy", 0), sync("andrew", 0));
    story.comes(&granted).asks_for(&granted);
    story.comes(&refused).asks_for(&refused);
    let scope = PauseScope::Everything;
    story.says(Input::Pause { scope: scope.clone(), why: "by hand".into(), drains: true }).nothing();
    story.refused(&refused, Refusal::Paused { scope, why: "by hand".into() }).nothing();
    story.leased(&granted).gives_way(&granted);
}

#[test]
fn a_kind_that_was_resumed_while_the_store_said_otherwise_is_asked_for_again() {
    let mut story = slots(1);
    let first = order("nancy", 0);
    let refusal = Refusal::Paused { scope: first.kind.clone().into(), why: "locked".into() };
    story.comes(&first).asks_for(&first);
    story.resume_kind("submit-order").nothing();
    story.refused(&first, refusal.clone()).asks_for(&first);
    story.refused(&first, refusal).nothing();
    story.resume_kind("submit-order").starts(&first);
}

#[test]
fn a_pause_that_the_store_told_of_ends_like_any_other() {
    let mut story = slots(1);
    let first = order("nancy", 0);
    story.comes(&first).asks_for(&first);
    story.refused(&first, paused(&first, "locked")).nothing();
    story.comes(&first).nothing();
    story.resume("nancy").starts(&first);
}

#[test]
fn a_worker_that_drains_starts_nothing_and_lets_syncs_give_way() {
    let mut story = slots(3);
    let (order, sync, starting) = (order("nancy", 0), sync("andrew", 0), sync("janet", 0).gave_way(9));
    story.comes(&order).starts(&order);
    story.comes(&sync).starts(&sync);
    story.comes(&starting).asks_for(&starting);
    story.drain().gives_way(&sync);
    story.leased(&starting).gives_way(&starting);
    story.drain().nothing();
    story.settles_and_waits(&sync).nothing();
    assert_eq!(story.why(&sync), [Why::Draining]);
    story.settles(&order).nothing();
    story.settles_and_waits(&starting).nothing();
    assert_eq!((story.counts().in_use, story.counts().draining), (0, true));
}

// Late, repeated and contradictory.

#[test]
fn a_ticket_that_comes_while_its_operation_runs_is_used_if_the_attempt_was_lost() {
    let mut story = slots(1);
    let (lost, reaped) = (order("nancy", 0), order("nancy", 0).due(40).with(Step::Probe));
    story.comes(&lost).starts(&lost);
    story.time_is(40);
    story.comes(&reaped).nothing();
    story.settles(&lost).starts(&reaped);
}

#[test]
fn an_echo_of_the_ticket_that_runs_costs_nothing() {
    let mut story = slots(1);
    let first = order("nancy", 0);
    story.comes(&first).asks_for(&first);
    story.comes(&first).nothing();
    story.leased(&first).nothing();
    story.comes(&first).nothing();
    story.settles(&first).nothing();
    assert!(story.counts().waiting.is_empty());
}

#[test]
fn a_stale_ticket_costs_one_refused_lease() {
    let mut story = slots(1);
    let (done, next) = (order("nancy", 0).on("order:7"), order("nancy", 1).on("order:7"));
    story.comes(&done).asks_for(&done);
    story.comes(&next).nothing();
    story.refused(&done, Refusal::Gone).starts(&next);
    story.settles(&next).nothing();
    assert!(story.counts().waiting.is_empty());
}

#[test]
fn what_nobody_asked_for_changes_nothing() {
    let mut story = slots(2);
    let (running, next) = (order("nancy", 0), order("nancy", 1));
    story.leased(&running).nothing();
    story.settles(&running).nothing();
    story.refused(&running, Refusal::AgentHeld { until: at(60) }).nothing();
    story.comes(&running).starts(&running);
    story.comes(&next).nothing();
    story.leased(&next).nothing();
    story.settles(&next).nothing();
    story.refused(&running, Refusal::Gone).nothing();
    story.leased(&running).nothing();
    assert_eq!(story.counts().running.len(), 1);
    story.settles(&running).starts(&next);
}

#[test]
fn an_attempt_may_be_over_before_its_lease_was_heard_of() {
    let mut story = slots(1);
    let (first, second) = (order("nancy", 0), order("nancy", 1));
    story.comes(&first).asks_for(&first);
    story.comes(&second).nothing();
    story.settles(&first).asks_for(&second);
    story.leased(&first).nothing();
    story.leased(&second).nothing();
    assert_eq!(story.counts().in_use, 1);
}

#[test]
fn what_is_withdrawn_while_its_lease_is_under_way_is_forgotten_when_it_is_refused() {
    let mut story = slots(1);
    let (first, second) = (order("nancy", 0), order("nancy", 1));
    story.comes(&first).asks_for(&first);
    story.comes(&second).nothing();
    story.withdrawn(&first).nothing();
    story.refused(&first, Refusal::AgentHeld { until: at(60) }).starts(&second);
}

// Why.

#[test]
fn what_runs_says_why_it_does_not_give_way() {
    let because = |running: &Ticket, open| {
        let mut story = slots(1);
        let waits = order("nancy", 9);
        story.comes(running).asks_for(running);
        story.comes(&waits).nothing();
        let starting = story.why(&waits);
        assert_eq!(starting[0], busy(running));
        if open {
            story.effect_open(running).nothing();
        }
        story.leased(running).whatever();
        [starting[1].clone(), story.why(&waits)[1].clone()]
    };
    use NotPreempted::{Asked, EffectOpen, NotForThisOne, Protected, Starting};
    assert_eq!(because(&sync("nancy", 0), false), [Starting, Asked].map(not_preempted));
    assert_eq!(because(&sync("nancy", 0), true), [Starting, EffectOpen].map(not_preempted));
    assert_eq!(because(&sync("nancy", 0).gave_way(2), false), [Starting, Protected].map(not_preempted));
    assert_eq!(because(&order("nancy", 0), false), [NotForThisOne; 2].map(not_preempted));
}

#[test]
fn a_store_that_failed_is_a_reason() {
    let mut story = slots(1);
    let first = order("nancy", 0);
    story.comes(&first).asks_for(&first);
    story.refused(&first, Refusal::Unavailable { until: at(5) }).nothing();
    assert_eq!(story.why(&first), [Why::StoreFailed { until: at(5) }]);
}

#[test]
fn all_reasons_are_told_the_one_that_lasts_longest_first() {
    let mut story = slots(1);
    let (running, earlier) = (sync("nancy", 0), order("nancy", 1).on("order:7"));
    let last = sync("nancy", 2).on("order:7").due(60);
    story.comes(&running).starts(&running);
    story.comes(&last).nothing();
    story.comes(&earlier).gives_way(&running);
    story.pause("nancy", "password refused").nothing();
    story.drain().nothing();
    let wanted = [
        Why::Draining,
        is_paused("nancy", "password refused"),
        Why::TargetBlocked { by: earlier.operation },
        Why::NotDue { at: at(60) },
        busy(&running),
        not_preempted(NotPreempted::Asked),
        Why::Behind { operations: 1 },
    ];
    assert_eq!(story.why(&last), wanted);
}

#[test]
fn those_who_have_their_turn_first_are_counted() {
    let config = SchedulerConfig { slots: 2, reserved_interactive: 1, ..SchedulerConfig::default() };
    let mut story = story(config);
    let running = [sync("nancy", 0), order("andrew", 0)];
    story.comes(&running[0]).starts(&running[0]);
    story.comes(&running[1]).starts(&running[1]);
    let (syncs, order) = ([sync("janet", 0), sync("laura", 0)], order("steven", 0));
    for ticket in [&syncs[0], &syncs[1], &order] {
        story.comes(ticket).nothing();
    }
    assert_eq!(story.why(&order), [Why::NoSlot]);
    assert_eq!(story.why(&syncs[0]), [Why::NoSlot, Why::InTurn { agents: 1 }]);
    assert_eq!(story.why(&syncs[1]), [Why::NoSlot, Why::InTurn { agents: 2 }]);
}

fn busy(running: &Ticket) -> Why {
    Why::AgentBusy { operation: running.operation }
}

fn not_preempted(because: NotPreempted) -> Why {
    Why::NotPreempted { because }
}

fn is_paused(agent: &str, why: &str) -> Why {
    Why::Paused { scope: order(agent, 0).agent.into(), why: why.into() }
}

fn paused(ticket: &Ticket, why: &str) -> Refusal {
    Refusal::Paused { scope: ticket.agent.clone().into(), why: why.into() }
}
