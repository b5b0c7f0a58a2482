//! From everything that was seen, told and written down to what the run came to.

use std::time::Duration;

use archibald_testing::erp::{ErpStats, LedgerEntry};

use super::api::OperationState;
use super::data::Workload;
use super::kills::{AIMED_AT_LEAST, Kills};
use super::ledger::{Asked, Judgement, judge};
use super::report::{Numbers, Outcome};
use super::sightings::Report;
use super::submit::Acceptance;
use super::timeline::{End, percentile};

/// All that a verdict needs besides what the devices reported.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Every acknowledged operation, and what the server says of it.
    pub(super) operations: Vec<(Acceptance, Option<OperationState>)>,
    pub(super) ledger: Vec<LedgerEntry>,
    pub(super) erp: ErpStats,
    pub(super) kills: Kills,
    /// How often a refused order was sent again.
    pub(super) redriven: u64,
    /// Whether kills were asked for.
    pub(super) must_kill: bool,
    /// The same of browsers.
    pub(super) must_kill_browsers: bool,
    pub(super) makespan: Duration,
    pub(super) peak_rss_mb: u64,
    pub(super) rss_quarters_mb: Vec<u64>,
    pub(super) driver: &'static str,
    pub(super) store: &'static str,
    /// What was left undone when the time was over.
    pub(super) left: Option<String>,
    /// What was wrong with how servers ended.
    pub(super) drained: Vec<String>,
    /// What was still there when they had.
    pub(super) left_behind: Vec<String>,
}

/// The verdict.
pub(super) fn outcome(workload: &Workload, evidence: Evidence, report: &Report) -> Outcome {
    let asked: Vec<Asked> = evidence.operations.iter().filter_map(|told| asked(workload, told)).collect();
    let judgement = judge(&asked, &evidence.ledger);
    let not_final = not_final(workload, &evidence, &asked);
    let holes = holes(&evidence, report);
    let numbers = Numbers {
        not_final: count(&not_final),
        event_holes: count(&holes),
        ..numbers(workload, &evidence, &asked, &judgement, report)
    };
    let notes = notes(&evidence);
    let wrong = vec![
        ("done twice", judgement.duplicates),
        ("lost", judgement.lost),
        ("at the ERP without an operation", judgement.phantoms),
        ("not final", not_final),
        ("not rejected", judgement.not_rejected),
        ("not completed", not_completed(&asked)),
        ("an agent had two operations running", report.timeline.overlaps().to_vec()),
        ("holes in the events", holes),
        ("how servers ended", evidence.drained),
        ("left behind", evidence.left_behind),
        ("kills", missing_kills(evidence.must_kill, evidence.must_kill_browsers, evidence.kills)),
        ("out of time", evidence.left.into_iter().collect()),
    ];
    Outcome { numbers, wrong, notes }
}

fn asked(workload: &Workload, (accepted, state): &(Acceptance, Option<OperationState>)) -> Option<Asked> {
    let order = accepted.order.clone()?;
    Some(Asked {
        operation: accepted.operation,
        agent: accepted.agent.clone(),
        refusable: workload.is_refusable(&order),
        order,
        state: state.as_ref().map(|state| state.state.clone()),
    })
}

fn numbers(
    workload: &Workload,
    evidence: &Evidence,
    asked: &[Asked],
    judgement: &Judgement,
    report: &Report,
) -> Numbers {
    let timeline = &report.timeline;
    let waits = timeline.waits("submit-order");
    let parallelism = timeline.parallelism();
    let in_state = |name: &str| count(asked.iter().filter(|asked| asked.state.as_deref() == Some(name)));
    Numbers {
        orders_wanted: count(&workload.orders),
        effects_applied: judgement.effects_applied,
        duplicates: count(&judgement.duplicates),
        lost: count(&judgement.lost),
        phantoms: count(&judgement.phantoms),
        in_doubt: in_state("in_doubt"),
        failed: in_state("failed"),
        rejected: in_state("rejected"),
        completed: in_state("completed"),
        probes: timeline.probes(),
        preemptions: timeline.preemptions(),
        kills: evidence.kills.aimed + evidence.kills.random,
        faults: evidence.erp.faults.values().sum(),
        logins: evidence.erp.logins,
        makespan_s: rounded(evidence.makespan.as_secs_f64()),
        wait_p50_ms: millis(percentile(&waits, 50)),
        wait_p99_ms: millis(percentile(&waits, 99)),
        events_delivered: timeline.events(),
        peak_rss_mb: evidence.peak_rss_mb,
        rss_quarters_mb: evidence.rss_quarters_mb.clone(),
        driver: evidence.driver.to_owned(),
        store: evidence.store.to_owned(),
        agents: count(&workload.agents),
        not_rejected: count(&judgement.not_rejected),
        overlaps: count(timeline.overlaps()),
        aimed_kills: evidence.kills.aimed,
        random_kills: evidence.kills.random,
        browser_kills: evidence.kills.browsers,
        parallelism_max: parallelism.max as u64,
        parallelism_mean: rounded(parallelism.mean),
        edits: judgement.edits,
        connections: report.connections,
        redriven: evidence.redriven,
        ..Numbers::default()
    }
}

/// Orders that no server acknowledged count too: they were wanted.
fn not_final(workload: &Workload, evidence: &Evidence, asked: &[Asked]) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    for (accepted, state) in &evidence.operations {
        let Some(state) = state.as_ref().filter(|state| !state.is_final()) else { continue };
        let why = state.problem().map(|why| format!(": {why}")).unwrap_or_default();
        open.push(format!("{} is {}{why}", named(accepted), state.state));
    }
    let missing = workload.orders.len().saturating_sub(asked.len());
    open.extend((0..missing).map(|_| "an order that was never acknowledged".to_owned()));
    open
}

/// Good orders that ended otherwise than done.
fn not_completed(asked: &[Asked]) -> Vec<String> {
    let ended = |asked: &&Asked| {
        !asked.refusable && matches!(asked.state.as_deref(), Some("rejected" | "failed" | "cancelled"))
    };
    asked.iter().filter(ended).map(|asked| format!("order {} of {}", asked.order.id, asked.agent)).collect()
}

/// The streams' broken promises, and what is final and no device was told of.
fn holes(evidence: &Evidence, report: &Report) -> Vec<String> {
    let unheard = evidence.operations.iter().filter(|(accepted, state)| {
        let is_final = state.as_ref().is_some_and(OperationState::is_final);
        is_final && report.timeline.end_of(accepted.operation) != Some(End::Final)
    });
    let unheard = unheard.map(|(accepted, _)| {
        format!("{}'s device never heard the end of {}", accepted.agent, named(accepted))
    });
    report.holes.iter().cloned().chain(unheard).collect()
}

fn missing_kills(of_servers: bool, of_browsers: bool, kills: Kills) -> Vec<String> {
    let mut missing = Vec::new();
    if of_servers && kills.aimed < AIMED_AT_LEAST {
        missing.push(format!("only {} of {AIMED_AT_LEAST} aimed kills were made", kills.aimed));
    }
    if of_browsers && kills.browsers == 0 {
        missing.push("no browser was killed: none was there when it was time".to_owned());
    }
    missing
}

/// Why orders and syncs did not complete, where that is not wrong by itself.
fn notes(evidence: &Evidence) -> Vec<String> {
    let ended = evidence.operations.iter().filter_map(|(accepted, state)| Some((accepted, state.as_ref()?)));
    let unhappy = ended.filter(|(_, state)| state.is_final() && state.state != "completed");
    let note = |(accepted, state): (&Acceptance, &OperationState)| {
        format!("{} is {}: {}", named(accepted), state.state, state.problem().unwrap_or("without a reason"))
    };
    unhappy.map(note).collect()
}

fn named(accepted: &Acceptance) -> String {
    let Acceptance { operation, agent, order } = accepted;
    match order {
        Some(order) => format!("order {} of {agent} ({operation})", order.id),
        None => format!("the sync of {agent} ({operation})"),
    }
}

fn count<I: IntoIterator>(things: I) -> u64 {
    things.into_iter().count() as u64
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_that_were_asked_for_and_not_made_are_missed() {
        let kills = |aimed, browsers| Kills { aimed, random: 7, browsers };
        assert!(missing_kills(false, false, kills(0, 0)).is_empty());
        assert!(missing_kills(true, true, kills(AIMED_AT_LEAST, 1)).is_empty());
        assert_eq!(missing_kills(true, true, kills(AIMED_AT_LEAST - 1, 0)).len(), 2);
    }
}
