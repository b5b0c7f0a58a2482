//! How many contexts are enough.

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::{SizeArgs, TargetOf};
use super::error::SimulateError;
use super::summary::Summary;
use super::workload::Workload;
use super::world::simulate;
use super::{json, plot, print, write};

/// The curve is drawn at these multiples of what is enough.
const MULTIPLES: [f64; 8] = [0.5, 0.7, 0.85, 0.95, 1.0, 1.2, 1.5, 2.0];

/// One number of contexts, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tried {
    pub(super) contexts: u64,
    pub(super) browsers: u64,
    slots: u64,
    reserved: u64,
    /// How long an interactive operation, first in line, waited for a slot.
    slot_p99_s: f64,
    /// The same with the login that it needed because another agent had got the context.
    pub(super) others_p99_s: f64,
    /// All of an interactive operation's wait, its agent's own operations and first logins included.
    wait_p50_s: f64,
    wait_p99_s: f64,
    /// From the wish for a sync to its end.
    sync_p99_s: f64,
    slots_used_office: f64,
    logins_evicted: u64,
    meets_target: bool,
}

/// What is enough for a number of agents.
#[derive(Debug, Serialize)]
pub(super) struct Sized {
    pub(super) agents: u64,
    operations: u64,
    target_p99_s: f64,
    target_sync_s: f64,
    #[serde(flatten)]
    pub(super) best: Tried,
    pub(super) curve: Vec<Tried>,
}

/// For each number of agents, on standard output.
pub(super) fn run(args: &SizeArgs) -> Result<(), SimulateError> {
    for (flag, target) in [("--target-p99", args.target_p99), ("--target-sync", args.target_sync)] {
        if !(target.is_finite() && target > 0.0) {
            return Err(SimulateError::flag(flag, "more than 0 seconds", target));
        }
    }
    let mut sizes = Vec::new();
    for agents in &args.agents {
        let workload = args.common.shape(*agents, 1, 0)?.generate();
        let sized = Search { args, workload, tried: BTreeMap::new() }.run(*agents)?;
        print(&if args.json { json(&sized) + "\n" } else { sized.table() });
        sizes.push(sized);
    }
    match &args.svg {
        Some(file) => write("--svg", file, &plot::of_sizes(&sizes, args)),
        None => Ok(()),
    }
}

struct Search<'a> {
    args: &'a SizeArgs,
    workload: Workload,
    tried: BTreeMap<u64, Tried>,
}

impl Search<'_> {
    fn run(mut self, agents: u64) -> Result<Sized, SimulateError> {
        let enough = self.enough(agents)?;
        for multiple in MULTIPLES {
            self.attempt(((enough as f64 * multiple).round() as u64).max(1))?;
        }
        let drawn = MULTIPLES.map(|multiple| ((enough as f64 * multiple).round() as u64).max(1));
        Ok(Sized {
            agents,
            operations: self.workload.jobs.len() as u64,
            target_p99_s: self.args.target_p99,
            target_sync_s: self.args.target_sync,
            best: self.attempt(enough)?,
            curve: self.tried.into_values().filter(|tried| drawn.contains(&tried.contexts)).collect(),
        })
    }

    /// The smallest number, as far as more is never worse: doubled until it is enough, then halved in between.
    fn enough(&mut self, agents: u64) -> Result<u64, SimulateError> {
        let most = (agents * 3).max(15);
        let (mut too_few, mut enough) = (0, 1.max(agents / 16));
        loop {
            let tried = self.attempt(enough)?;
            if tried.meets_target {
                break;
            }
            if enough == most {
                let why = tried.missed(self.args);
                return Err(SimulateError::OutOfReach { agents, contexts: most, why });
            }
            (too_few, enough) = (enough, (enough * 2).min(most));
        }
        while enough - too_few > 1 {
            let middle = too_few + (enough - too_few) / 2;
            match self.attempt(middle)?.meets_target {
                true => enough = middle,
                false => too_few = middle,
            }
        }
        Ok(enough)
    }

    fn attempt(&mut self, contexts: u64) -> Result<Tried, SimulateError> {
        if let Some(tried) = self.tried.get(&contexts) {
            return Ok(tried.clone());
        }
        let args = self.args;
        let slots = (contexts * args.slots_percent / 100).max(1);
        let reserved = (slots * args.reserved_percent).div_ceil(100).min(slots - 1);
        let policy = args.common.policy(contexts, slots, reserved);
        let summary = Summary::of(&self.workload, &policy, &simulate(&self.workload, &policy)?);
        let mut tried = Tried {
            contexts,
            browsers: contexts.div_ceil(args.contexts),
            slots,
            reserved,
            slot_p99_s: summary.interactive.slot.p99,
            others_p99_s: summary.interactive.others.p99,
            wait_p50_s: summary.interactive.wait.p50,
            wait_p99_s: summary.interactive.wait.p99,
            sync_p99_s: summary.background.done.p99,
            slots_used_office: summary.slots_used[0],
            logins_evicted: summary.logins.evicted,
            meets_target: false,
        };
        tried.meets_target = args.is_met_by(&tried);
        self.tried.insert(contexts, tried.clone());
        Ok(tried)
    }
}

impl SizeArgs {
    /// What the target is about.
    pub(super) fn judged(&self, tried: &Tried) -> f64 {
        match self.target_of {
            TargetOf::Slot => tried.slot_p99_s,
            TargetOf::Others => tried.others_p99_s,
        }
    }

    fn is_met_by(&self, tried: &Tried) -> bool {
        self.judged(tried) <= self.target_p99 && tried.sync_p99_s <= self.target_sync
    }
}

impl Tried {
    fn missed(&self, args: &SizeArgs) -> String {
        let (judged, sync) = (args.judged(self), self.sync_p99_s);
        match judged > args.target_p99 {
            true => format!("--target-p99 is {} s and came to {judged:.1} s", args.target_p99),
            false => format!("--target-sync is {} s and came to {sync:.1} s", args.target_sync),
        }
    }

    fn row(&self) -> String {
        let Self { contexts, browsers, slots, reserved, slot_p99_s, others_p99_s, wait_p50_s, .. } = self;
        let Self { wait_p99_s, sync_p99_s, slots_used_office, logins_evicted, meets_target, .. } = self;
        let used = slots_used_office * 100.0;
        let met = if *meets_target { "yes" } else { "no" };
        format!(
            "{contexts:>8} {browsers:>8} {slots:>6} {reserved:>8} {slot_p99_s:>9.1} {others_p99_s:>11.1} {wait_p50_s:>9.1} \
             {wait_p99_s:>9.1} {sync_p99_s:>9.0} {used:>9.0} {logins_evicted:>8} {met:>6}\n"
        )
    }
}

impl Sized {
    fn table(&self) -> String {
        let Self { agents, operations, target_p99_s, target_sync_s, best, .. } = self;
        let mut text = format!(
            "{agents} agents, {operations} operations: {} contexts ({} browsers) for {target_p99_s} s and syncs within {target_sync_s} s\n",
            best.contexts, best.browsers
        );
        text.push_str(
            "contexts browsers  slots reserved  slot p99  others p99  wait p50       p99  sync p99  % in use  evicted target\n",
        );
        self.curve.iter().for_each(|tried| text.push_str(&tried.row()));
        text.push('\n');
        text
    }
}
