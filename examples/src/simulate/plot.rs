//! The pictures: waits by class and use over a day, and waits over the number of contexts.

mod chart;

use archibald_core::operation::Class;

use self::chart::{Axis, Line, Panel, picture};
use super::args::{SizeArgs, TargetOf};
use super::outcome::Outcome;
use super::policy::Policy;
use super::size::{Sized, Tried};
use super::summary::sorted_waits;
use super::workload::Workload;

/// Points of a curve of waits.
const POINTS: u32 = 120;

/// How long operations of each class waited, and below it what was in use over the day.
pub(super) fn of_a_day(workload: &Workload, policy: &Policy, outcome: &Outcome) -> String {
    let interactive = sorted_waits(workload, outcome, Class::Interactive);
    let background = sorted_waits(workload, outcome, Class::Background);
    let mut others: Vec<_> =
        outcome.told.iter().filter(|told| told.asked.is_some()).map(|t| t.slot_ms).collect();
    others.sort_unstable();
    let lines = vec![
        Line::new("interactive, of it for a slot", shares(&others)),
        Line::new("interactive, until its work begins", shares(&interactive)),
        Line::new("syncs", shares(&background)),
    ];
    let seconds = Axis::logarithmic("seconds", 0.1, 10_000.0);
    let share = Axis::linear("waited at most so long, of 100", 0.0, 100.0, 20.0);
    let waits = Panel { title: "Waits".into(), x: seconds, y: share, lines };
    picture(&[waits, use_over_the_day(policy, outcome)])
}

/// A curve for each number of agents.
pub(super) fn of_sizes(sizes: &[Sized], args: &SizeArgs) -> String {
    let curve = |sized: &Sized| {
        let point = |tried: &Tried| (tried.contexts as f64, args.judged(tried).max(0.1));
        let (agents, contexts) = (sized.agents, sized.best.contexts);
        Line::new(&format!("{agents} agents: {contexts} contexts"), sized.curve.iter().map(point).collect())
    };
    let mut lines: Vec<_> = sizes.iter().map(curve).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(1.0, f64::max);
    let longest = points().map(|point| point.1).fold(10.0, f64::max);
    lines.push(Line::limit("target", [(least, args.target_p99), (most, args.target_p99)]));
    let x = Axis::logarithmic("contexts", least, most);
    let y = Axis::logarithmic("seconds", 0.1, longest);
    let title = match args.target_of {
        TargetOf::Slot => "How long an interactive operation waits for a slot, 99th percentile".to_owned(),
        TargetOf::Others => "What other agents cost an interactive operation, 99th percentile".to_owned(),
    };
    picture(&[Panel { title, x, y, lines }])
}

fn use_over_the_day(policy: &Policy, outcome: &Outcome) -> Panel {
    let quarters = outcome.busy.quarters();
    let over = |of: fn(&[f64; 4]) -> f64| -> Vec<(f64, f64)> {
        quarters.iter().enumerate().map(|(at, used)| ((at as f64 + 0.5) / 4.0, of(used))).collect()
    };
    let (slots, contexts) = (policy.config.slots as f64, policy.contexts as f64);
    let lines = vec![
        Line::new("slots with interactive operations", over(|used| used[0])),
        Line::new("slots with any", over(|used| used[0] + used[1])),
        Line::new("contexts with a session", over(|used| used[3])),
        Line::limit("all slots", [(0.0, slots), (24.0, slots)]),
    ];
    let x = Axis::linear("hour of the day", 0.0, 24.0, 4.0);
    let y = Axis::linear("in use, mean of a quarter of an hour", 0.0, contexts, nice_step(contexts));
    Panel { title: "In use".into(), x, y, lines }
}

/// How many of a hundred were not longer than each of some times.
fn shares(sorted_ms: &[u64]) -> Vec<(f64, f64)> {
    let point = |nth| {
        let seconds = 0.1 * 10_f64.powf(5.0 * f64::from(nth) / f64::from(POINTS));
        let so_many = sorted_ms.partition_point(|ms| *ms as f64 <= seconds * 1_000.0);
        (seconds, 100.0 * so_many as f64 / sorted_ms.len().max(1) as f64)
    };
    (0..=POINTS).map(point).collect()
}

/// About five steps to the top: 1, 2 or 5 times a power of ten.
fn nice_step(top: f64) -> f64 {
    let raw = (top / 5.0).max(1e-9);
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= raw * 0.999);
    step.unwrap_or(10.0) * power
}
