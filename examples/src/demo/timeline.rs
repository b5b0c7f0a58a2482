//! What the devices saw, put together: who ran when, who waited how long, who ran twice at once.

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_core::event::Event;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::record::YieldReason;
use archibald_core::time::Timestamp;

/// Takes every event of every agent, in order within an agent.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    running: BTreeMap<AgentId, (OperationId, Timestamp)>,
    spans: Vec<(Timestamp, Timestamp)>,
    seen: BTreeMap<OperationId, Seen>,
    overlaps: Vec<String>,
    probes: u64,
    preemptions: u64,
    events: u64,
}

/// What is known of one operation.
#[derive(Debug, Clone, Default)]
struct Seen {
    kind: String,
    queued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    end: Option<End>,
}

/// How an operation stands once nothing more happens to it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is final.
    Final,
    /// It waits for a person.
    InDoubt,
}

/// How many agents had an operation running at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Parallelism {
    /// The most.
    pub(super) max: usize,
    /// From the first start to the last end.
    pub(super) mean: f64,
}

impl Timeline {
    /// Takes an event that one device of the agent saw.
    pub(super) fn take(&mut self, agent: &AgentId, event: &Event) {
        self.events += 1;
        let (Some(operation), at) = (event.event.operation, event.at) else { return };
        let field = |name: &str| event.event.data.get(name).and_then(|value| value.as_str());
        let Some(change) = event.event.kind.strip_prefix("operation.") else { return };
        match change {
            "queued" => {
                let seen = self.seen.entry(operation).or_default();
                seen.kind = field("kind").unwrap_or_default().to_owned();
                seen.queued_at.get_or_insert(at);
                seen.end = None;
            }
            "started" => {
                self.probes += u64::from(field("step") == Some("probe"));
                self.start(agent, operation, at);
            }
            "yielded" => {
                self.preemptions +=
                    u64::from(field("why") == Some(YieldReason::Preempted.in_words().as_str()));
                self.stop(agent, operation, at);
            }
            "retrying" => self.stop(agent, operation, at),
            "completed" | "rejected" | "failed" | "cancelled" => self.end(agent, operation, at, End::Final),
            "in_doubt" => self.end(agent, operation, at, End::InDoubt),
            _ => {}
        }
    }

    fn start(&mut self, agent: &AgentId, operation: OperationId, at: Timestamp) {
        let seen = self.seen.entry(operation).or_default();
        seen.started_at.get_or_insert(at);
        if let Some((other, since)) = self.running.insert(agent.clone(), (operation, at)) {
            self.overlaps.push(format!(
                "{agent}: {operation} started at {at}, while {other} was running since {since}"
            ));
            self.spans.push((since, at));
        }
    }

    fn stop(&mut self, agent: &AgentId, operation: OperationId, at: Timestamp) {
        if let Some(&(running, since)) = self.running.get(agent)
            && running == operation
        {
            self.running.remove(agent);
            self.spans.push((since, at));
        }
    }

    fn end(&mut self, agent: &AgentId, operation: OperationId, at: Timestamp, end: End) {
        self.stop(agent, operation, at);
        self.seen.entry(operation).or_default().end = Some(end);
    }

    /// How an operation ended; `None` while it has not, as far as the devices know.
    pub(super) fn end_of(&self, operation: OperationId) -> Option<End> {
        self.seen.get(&operation).and_then(|seen| seen.end)
    }

    /// Whether an operation was ever started.
    pub(super) fn has_started(&self, operation: OperationId) -> bool {
        self.seen.get(&operation).is_some_and(|seen| seen.started_at.is_some())
    }

    /// Each time that an agent had two operations running, in words.
    pub(super) fn overlaps(&self) -> &[String] {
        &self.overlaps
    }

    /// Attempts that began with a probe.
    pub(super) fn probes(&self) -> u64 {
        self.probes
    }

    /// Background operations that gave way.
    pub(super) fn preemptions(&self) -> u64 {
        self.preemptions
    }

    /// Events taken.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// How many agents had an operation running at the same time. What still runs is left out.
    pub(super) fn parallelism(&self) -> Parallelism {
        // An end goes before a start at the same moment: handed on is not together.
        let mut steps: Vec<(Timestamp, i32)> =
            self.spans.iter().flat_map(|&(start, end)| [(start, 1), (end, -1)]).collect();
        steps.sort_unstable();
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Parallelism::default() };
        let whole = last.0.since(first.0).as_secs_f64();
        let busy: f64 = self.spans.iter().map(|(start, end)| end.since(*start).as_secs_f64()).sum();
        let (mut now, mut max) = (0, 0);
        for (_, step) in &steps {
            now += step;
            max = max.max(now);
        }
        let mean = if whole > 0.0 { busy / whole } else { 0.0 };
        Parallelism { max: usize::try_from(max).unwrap_or(0), mean }
    }

    /// From queued to first started, of the operations of one kind, shortest first.
    pub(super) fn waits(&self, kind: &str) -> Vec<Duration> {
        let of_kind = self.seen.values().filter(|seen| seen.kind == kind);
        let mut waits: Vec<Duration> =
            of_kind.filter_map(|seen| Some(seen.started_at?.since(seen.queued_at?))).collect();
        waits.sort_unstable();
        waits
    }
}

/// The value that `percent` of the sorted values do not exceed; zero where there are none.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_core::event::NewEvent;
    use serde_json::json;

    fn operation(number: u128) -> OperationId {
        format!("00000000-0000-7000-8000-{number:012}").parse().unwrap()
    }

    /// A line is `second agent operation change [step]`.
    fn timeline(story: &str) -> Timeline {
        let mut timeline = Timeline::default();
        for (place, line) in story.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let agent = AgentId::new(words[1]).unwrap();
            let data = json!({ "kind": "submit-order", "step": words.get(4), "why": words.get(4) });
            let mut event = NewEvent::plain(&format!("operation.{}", words[3]), data);
            event.operation = Some(operation(words[2].parse().unwrap()));
            let at = Timestamp::from_micros(words[0].parse::<i64>().unwrap() * 1_000_000);
            timeline.take(&agent, &Event { seq: place as u64 + 1, at, event });
        }
        timeline
    }

    #[test]
    fn agents_beside_each_other_are_parallel_and_no_overlap() {
        let timeline = timeline(
            "0 nancy 1 queued
             1 nancy 1 started act
             1 anne  2 started act
             3 anne  2 completed
             5 nancy 1 completed
             5 nancy 3 started act
             5 nancy 3 completed",
        );
        assert_eq!(timeline.overlaps(), Vec::<String>::new());
        assert_eq!(timeline.parallelism(), Parallelism { max: 2, mean: 1.5 });
        assert_eq!(timeline.waits("submit-order"), [Duration::from_secs(1)]);
        assert_eq!(timeline.end_of(operation(1)), Some(End::Final));
    }

    #[test]
    fn an_agent_with_two_running_is_an_overlap_however_it_came() {
        for end in ["yielded", "retrying", "completed", "rejected", "failed", "in_doubt", "cancelled"] {
            let story = format!("1 nancy 1 started act\n2 nancy 1 {end}\n2 nancy 2 started act");
            assert_eq!(timeline(&story).overlaps(), Vec::<String>::new(), "{end}");
        }
        let cases = [
            ("two at once", "1 nancy 1 started act\n2 nancy 2 started act", 1),
            ("the same twice", "1 nancy 1 started act\n2 nancy 1 started probe", 1),
            ("a foreign end", "1 nancy 1 started act\n2 nancy 2 completed\n3 nancy 2 started act", 1),
            ("another agent's end", "1 nancy 1 started act\n2 anne 1 completed\n3 nancy 2 started act", 1),
            ("a step is no end", "1 nancy 1 started act\n2 nancy 1 step act\n3 nancy 2 started act", 1),
            ("three at once", "1 nancy 1 started act\n2 nancy 2 started act\n3 nancy 3 started act", 2),
        ];
        for (name, story, overlaps) in cases {
            assert_eq!(timeline(story).overlaps().len(), overlaps, "{name}");
        }
    }

    #[test]
    fn probes_and_doubts_are_read_from_the_events() {
        let timeline = timeline(
            "1 nancy 1 started act\n2 nancy 1 retrying\n3 nancy 1 started probe\n4 nancy 1 in_doubt",
        );
        assert_eq!((timeline.probes(), timeline.preemptions()), (1, 0));
        assert_eq!(timeline.end_of(operation(1)), Some(End::InDoubt));
        assert!(timeline.has_started(operation(1)) && !timeline.has_started(operation(2)));
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let seconds = |list: &[u64]| list.iter().map(|&s| Duration::from_secs(s)).collect::<Vec<_>>();
        let ten = seconds(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(percentile(&ten, 50), Duration::from_secs(5));
        assert_eq!(percentile(&ten, 99), Duration::from_secs(10));
        assert_eq!(percentile(&seconds(&[7]), 50), Duration::from_secs(7));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
