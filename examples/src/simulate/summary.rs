//! What a run came to, in numbers: one JSON line, or a table.

use std::collections::BTreeMap;
use std::fmt::Write;

use archibald_core::operation::Class;
use serde::Serialize;

use super::DAY_MS;
use super::outcome::{Asked, Outcome, Told};
use super::policy::Policy;
use super::pool::Logins;
use super::workload::Workload;

/// Office hours, of which the use of slots and contexts is told besides that of the whole day.
pub(super) const OFFICE: std::ops::Range<usize> = 8..19;

/// Some times, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Half of them are not longer.
    pub p50: f64,
    /// 95 of 100 are not longer.
    pub p95: f64,
    /// 99 of 100 are not longer.
    pub p99: f64,
    /// None is longer.
    pub max: f64,
}

/// The waits of one class, from the wish to the first request, and what they are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Waits {
    /// All of it.
    pub wait: Times,
    /// What its own agent's other operations took of it.
    pub own: Times,
    /// What passed with the agent free and no slot to be had.
    pub slot: Times,
    /// What the session took: a look at it, or a login.
    pub session: Times,
    /// What the other agents took of it: the slot, and a login where the context had been given away.
    pub others: Times,
    /// From the wish to the end.
    pub done: Times,
}

/// Interactive operations that were asked for in one situation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Start {
    /// From the wish to the lease.
    pub to_start: Times,
    /// Slots that were given back meanwhile while its agent was free: 50th and 99th percentile, and most.
    pub releases: [u64; 3],
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Sales agents.
    pub agents: u64,
    /// Days.
    pub days: u64,
    /// Decides what was drawn.
    pub seed: u64,
    /// Attempts that may run together.
    pub slots: u64,
    /// Slots that syncs may not take.
    pub reserved: u64,
    /// Browsers times contexts.
    pub contexts: u64,
    /// What somebody waited for.
    pub interactive: Waits,
    /// Syncs.
    pub background: Waits,
    /// Interactive operations, by what was going on when they were asked for.
    pub asked_while: BTreeMap<&'static str, Start>,
    /// How often a sync was asked to give way.
    pub preemptions: u64,
    /// Most often that one gave way.
    pub preemptions_max: u64,
    /// Sessions.
    pub logins: Logins,
    /// Share of slots in use in office hours, and over the day.
    pub slots_used: [f64; 2],
    /// Share of contexts in use in office hours, and over the day.
    pub contexts_used: [f64; 2],
    /// Jain's index of how much longer the agents' interactive operations took, on average, for waiting for a slot:
    /// 1 where all fared alike.
    pub jain: f64,
    /// The mean wait for a slot, in seconds, of the agent who fared worst.
    pub worst_agent_s: f64,
    /// How long after the last day the last operation ended, in seconds.
    pub overrun_s: f64,
    /// Rules that were broken.
    pub violations: u64,
}

impl Summary {
    pub(super) fn of(workload: &Workload, policy: &Policy, outcome: &Outcome) -> Self {
        let [office, day] = [outcome.busy.mean(OFFICE), outcome.busy.mean(0..24)];
        let slots = |mean: [f64; 4]| rounded((mean[0] + mean[1]) / policy.config.slots as f64);
        let contexts = |mean: [f64; 4]| rounded(mean[2] / policy.contexts as f64);
        let (jain, worst_agent_s) = fairness(workload, outcome);
        Self {
            agents: workload.agents.len() as u64,
            days: workload.days(),
            seed: policy.seed,
            slots: policy.config.slots as u64,
            reserved: policy.config.reserved_interactive as u64,
            contexts: policy.contexts as u64,
            interactive: waits(workload, outcome, Class::Interactive),
            background: waits(workload, outcome, Class::Background),
            asked_while: asked_while(workload, outcome),
            preemptions: outcome.preemptions,
            preemptions_max: outcome.told.iter().map(|told| u64::from(told.preemptions)).max().unwrap_or(0),
            logins: outcome.logins,
            slots_used: [slots(office), slots(day)],
            contexts_used: [contexts(office), contexts(day)],
            jain,
            worst_agent_s,
            overrun_s: seconds(outcome.ended_ms.saturating_sub(workload.days() * DAY_MS)),
            violations: outcome.violations.len() as u64,
        }
    }

    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let Self { agents, days, seed, slots, reserved, contexts, .. } = self;
        let _ = writeln!(
            text,
            "{agents} agents, {days} days, seed {seed}; {slots} slots, {reserved} of them reserved, {contexts} contexts\n"
        );
        let _ = writeln!(text, "{}", heading("seconds"));
        for (class, waits) in [("interactive", &self.interactive), ("background", &self.background)] {
            let Waits { wait, own, slot, session, others, done } = waits;
            for (what, times) in [
                ("wait", wait),
                ("  behind its agent's own", own),
                ("  for a slot", slot),
                ("  for the session", session),
                ("  because of others", others),
                ("from wish to end", done),
            ] {
                let _ = writeln!(text, "{}", row(&format!("{class}: {what}"), times));
            }
        }
        let _ = writeln!(text, "\n{}", heading("interactive, from wish to start, asked for while"));
        for (asked, start) in &self.asked_while {
            let [p50, p99, max] = start.releases;
            let _ = writeln!(text, "{}   slots given back {p50} {p99} {max}", row(asked, &start.to_start));
        }
        self.rest(&mut text);
        text
    }

    fn rest(&self, text: &mut String) {
        let Logins { first, expired, evicted, warm } = self.logins;
        let [slots, contexts] =
            [self.slots_used, self.contexts_used].map(|used| used.map(|used| used * 100.0));
        let _ = writeln!(
            text,
            "\npreemptions: {}, of one sync {} at most\n\
             sessions: {warm} warm; logins: {first} first, {expired} expired, {evicted} evicted\n\
             in use from {} to {} h, and over the day: slots {:.0} and {:.0} %, contexts {:.0} and {:.0} %\n\
             fairness: Jain's index {:.4}; worst agent's mean wait for a slot {:.1} s\n\
             after the last day: {:.0} s; rules broken: {}",
            self.preemptions,
            self.preemptions_max,
            OFFICE.start,
            OFFICE.end,
            slots[0],
            slots[1],
            contexts[0],
            contexts[1],
            self.jain,
            self.worst_agent_s,
            self.overrun_s,
            self.violations,
        );
    }
}

/// Waits of a class in milliseconds, in order of length.
pub(super) fn sorted_waits(workload: &Workload, outcome: &Outcome, class: Class) -> Vec<u64> {
    let mut waits: Vec<_> =
        of_class(workload, outcome, class).map(|(at_ms, told)| wait(at_ms, told)).collect();
    waits.sort_unstable();
    waits
}

fn waits(workload: &Workload, outcome: &Outcome, class: Class) -> Waits {
    let times = |of: fn(u64, &Told) -> u64| {
        times(of_class(workload, outcome, class).map(|(at_ms, told)| of(at_ms, told)).collect())
    };
    Waits {
        wait: times(wait),
        own: times(|at_ms, told| wait(at_ms, told).saturating_sub(told.slot_ms + told.session_ms)),
        slot: times(|_, told| told.slot_ms),
        session: times(|_, told| told.session_ms),
        others: times(|_, told| told.slot_ms + if told.evicted { told.session_ms } else { 0 }),
        done: times(|at_ms, told| told.ended_ms.unwrap_or(at_ms) - at_ms),
    }
}

fn wait(at_ms: u64, told: &Told) -> u64 {
    told.worked_ms.unwrap_or(at_ms) - at_ms
}

fn of_class<'a>(
    workload: &'a Workload,
    outcome: &'a Outcome,
    class: Class,
) -> impl Iterator<Item = (u64, &'a Told)> {
    let both = workload.jobs.iter().zip(&outcome.told);
    both.filter(move |(job, _)| job.class == class).map(|(job, told)| (job.at_ms, told))
}

fn asked_while(workload: &Workload, outcome: &Outcome) -> BTreeMap<&'static str, Start> {
    let mut by: BTreeMap<Asked, (Vec<u64>, Vec<u64>)> = BTreeMap::new();
    for (job, told) in workload.jobs.iter().zip(&outcome.told) {
        let Some(asked) = told.asked else { continue };
        let (starts, releases) = by.entry(asked).or_default();
        starts.push(wait(job.at_ms, told).saturating_sub(told.session_ms));
        releases.push(told.releases);
    }
    let start = |(starts, mut releases): (Vec<u64>, Vec<u64>)| {
        releases.sort_unstable();
        let releases = [0.5, 0.99, 1.0].map(|share| percentile(&releases, share));
        Start { to_start: times(starts), releases }
    };
    by.into_iter().map(|(asked, both)| (name(asked), start(both))).collect()
}

fn name(asked: Asked) -> &'static str {
    match asked {
        Asked::SlotFree => "a slot was free",
        Asked::NoSlot => "no slot was free",
        Asked::SyncGaveWay => "its own sync gave way",
        Asked::SyncProtected => "its own sync was protected",
        Asked::OwnWrites => "its own others went first",
    }
}

/// Jain's index of the agents' stretch by waiting for slots, and the worst mean wait.
fn fairness(workload: &Workload, outcome: &Outcome) -> (f64, f64) {
    let mut of: BTreeMap<u32, (u64, u64, u64)> = BTreeMap::new();
    for (job, told) in workload.jobs.iter().zip(&outcome.told) {
        if job.class == Class::Interactive {
            let (count, work, slot) = of.entry(job.agent).or_default();
            (*count, *work, *slot) =
                (*count + 1, *work + job.requests_ms.iter().sum::<u64>(), *slot + told.slot_ms);
        }
    }
    let stretch = |(_, work, slot): &(u64, u64, u64)| 1.0 + *slot as f64 / (*work).max(1) as f64;
    let (sum, squares) =
        of.values().map(stretch).fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    let jain = if of.is_empty() { 1.0 } else { sum * sum / (of.len() as f64 * squares) };
    let worst = of.values().map(|(count, _, slot)| *slot as f64 / *count as f64).fold(0.0, f64::max);
    (rounded(jain), rounded(worst / 1_000.0))
}

fn times(mut ms: Vec<u64>) -> Times {
    ms.sort_unstable();
    let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|share| seconds(percentile(&ms, share)));
    Times { count: ms.len() as u64, p50, p95, p99, max }
}

/// The nearest rank: what this share of them is not longer than.
pub(super) fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn rounded(number: f64) -> f64 {
    (number * 10_000.0).round() / 10_000.0
}

fn heading(what: &str) -> String {
    format!("{what:<48} {:>8} {:>9} {:>9} {:>9} {:>9}", "count", "p50", "p95", "p99", "max")
}

fn row(what: &str, times: &Times) -> String {
    let Times { count, p50, p95, p99, max } = times;
    format!("{what:<48} {count:>8} {p50:>9.1} {p95:>9.1} {p99:>9.1} {max:>9.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_them() {
        assert_eq!(percentile(&[1, 2, 3, 4], 0.5), 2);
        assert_eq!(percentile(&[1, 2, 3, 4], 0.99), 4);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
