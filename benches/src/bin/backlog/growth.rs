//! What was measured of one backlog, and what grew since a smaller one.

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_benches::plan::Looked;
use archibald_benches::wait::{Waits, rounded};
use serde::Serialize;

/// What is so many times as much has grown, by whatever noise.
const TIMES: f64 = 3.0;
/// And by at least so many milliseconds.
const MILLIS: f64 = 2.0;
/// Or by at least so many rows or pages a call: an index has some more levels.
const MORE: f64 = 20.0;

/// Times in milliseconds, by the names of calls, and what statements looked at, by their files.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Measured {
    p50_ms: BTreeMap<&'static str, f64>,
    p99_ms: BTreeMap<&'static str, f64>,
    /// In a few calls of each kind; null where it cannot be known.
    pub(crate) calls: Option<BTreeMap<String, Looked>>,
    /// In one sweep.
    pub(crate) sweep: Option<BTreeMap<String, Looked>>,
}

impl Measured {
    pub(crate) fn of(calls: BTreeMap<&'static str, Vec<Duration>>) -> Self {
        let mut measured = Self::default();
        for (name, took) in calls {
            measured.add(name, &Waits::of(took));
        }
        measured
    }

    pub(crate) fn add(&mut self, name: &'static str, waits: &Waits) {
        self.p50_ms.extend(waits.percentile(50).map(|wait| (name, wait)));
        self.p99_ms.extend(waits.percentile(99).map(|wait| (name, wait)));
    }

    /// Medians to those of a smaller one.
    pub(crate) fn ratios(&self, smaller: &Self) -> BTreeMap<&'static str, f64> {
        let ratio = |(name, now): (&&'static str, &f64)| {
            let then = smaller.p50_ms.get(name)?;
            Some((*name, rounded(now / then.max(0.001))))
        };
        self.p50_ms.iter().filter_map(ratio).collect()
    }

    /// What is not flat, in words.
    pub(crate) fn grown(&self, smaller: &Self) -> Vec<String> {
        let mut grown = vec![];
        for (name, now) in &self.p50_ms {
            let then = smaller.p50_ms.get(name).copied().unwrap_or(*now);
            if has_grown(then, *now, MILLIS) {
                grown.push(format!("{name}: {then} to {now} ms"));
            }
        }
        let parts = [("calls", &self.calls, &smaller.calls), ("a sweep", &self.sweep, &smaller.sweep)];
        for (part, now, then) in parts {
            for (name, now) in now.iter().flatten() {
                let then = then.as_ref().and_then(|then| then.get(name)).cloned().unwrap_or_default();
                let enough = MORE * now.calls.min(then.calls.max(1)) as f64;
                if has_grown(then.rows, now.rows, enough) || has_grown(then.pages, now.pages, enough) {
                    grown.push(format!(
                        "{name} in {part}: {} to {} rows, most by {}, {} to {} pages",
                        then.rows,
                        now.rows,
                        most(now),
                        then.pages,
                        now.pages
                    ));
                }
            }
        }
        grown
    }
}

/// Which index came across the most rows.
fn most(looked: &Looked) -> &str {
    let most = looked.by.iter().max_by(|(_, one), (_, other)| one.total_cmp(other));
    most.map_or("none", |(name, _)| name)
}

fn has_grown(then: f64, now: f64, enough: f64) -> bool {
    now > then * TIMES && now - then > enough
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn measured(millis: u64, rows: f64) -> Measured {
        let mut measured = Measured::of(BTreeMap::from([("enqueue", vec![Duration::from_millis(millis)])]));
        let looked = Looked { calls: 2, rows, by: BTreeMap::from([("a_pkey".to_owned(), rows)]), pages: 7.0 };
        measured.calls = Some(BTreeMap::from([("a.sql".to_owned(), looked)]));
        measured
    }

    #[test]
    fn what_grew_is_named_with_its_file() {
        let small = measured(2, 10.0);
        assert!(measured(5, 49.0).grown(&small).is_empty(), "noise, and a level of an index");
        assert_eq!(
            measured(8, 1000.0).grown(&small),
            ["enqueue: 2 to 8 ms", "a.sql in calls: 10 to 1000 rows, most by a_pkey, 7 to 7 pages"]
        );
        assert_eq!(measured(8, 10.0).ratios(&small), BTreeMap::from([("enqueue", 4.0)]));
    }
}
