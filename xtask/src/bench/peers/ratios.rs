//! Ours to theirs, in one line.

use serde_json::{Map, Value, json};

use super::Results;
use crate::bench::Outcome;

/// A number of a result, or one that is made of several.
type Measure = fn(&Map<String, Value>) -> Option<f64>;

/// What is compared of each workload, and how the line calls it.
const COMPARED: &[(&str, &[(&str, Measure)])] = &[
    ("W1", &[("ops_per_s", ops_per_s), ("cpu_per_op", cpu_per_op)]),
    ("W2", &[("ops_per_s", ops_per_s), ("cpu_per_op", cpu_per_op)]),
    (
        "W3",
        &[
            ("makespan", |result| number(result, "makespan_s")),
            ("wait_others_p99", |result| number(result, "wait_others_p99_ms")),
        ],
    ),
    ("W4", &[("statements", |result| number(result, "statements_per_minute"))]),
    (
        "W5",
        &[
            ("start_p50", |result| number(result, "start_p50_ms")),
            ("start_p99", |result| number(result, "start_p99_ms")),
        ],
    ),
];

/// Each is the ratio of two medians; `null` where one of them is not known.
pub(super) fn ratios(results: &Results, runs: u32) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("ratios".to_owned(), json!("archibald / graphile_worker"));
    line.insert("runs".to_owned(), json!(runs));
    for (workload, measures) in COMPARED {
        for concurrency in concurrencies(&results.ours, workload) {
            for (name, measure) in *measures {
                let median = |outcomes| median(of(outcomes, workload, concurrency.as_ref(), *measure));
                let key = key(workload, concurrency.as_ref(), name);
                line.insert(key, quotient(median(&results.ours), median(&results.theirs)));
            }
            if *workload == "W2" && !results.limit.is_empty() {
                let ours = median(of(&results.ours, workload, concurrency.as_ref(), ops_per_s));
                for (name, keeps) in [("to_limit", false), ("to_kept_limit", true)] {
                    let limit = fastest(&results.limit, keeps);
                    line.insert(key(workload, concurrency.as_ref(), name), quotient(ours, limit));
                }
            }
        }
    }
    let everything = [&results.ours, &results.theirs, &results.limit].into_iter().flatten();
    let load = everything.filter_map(|(_, result)| number(result, "load")).reduce(f64::max);
    line.insert("load_at_most".to_owned(), json!(load));
    line
}

/// Of the runs that write the rows of the store here, or of the others.
fn fastest(limit: &[Outcome], keeps: bool) -> Option<f64> {
    let is_asked_for =
        |result: &Map<String, Value>| (result.get("complete") == Some(&json!("keep"))) == keeps;
    limit
        .iter()
        .filter(|(_, result)| is_asked_for(result))
        .filter_map(|(_, result)| ops_per_s(result))
        .reduce(f64::max)
}

fn key(workload: &str, concurrency: Option<&Value>, name: &str) -> String {
    let concurrency = concurrency.map(|number| format!("_{number}")).unwrap_or_default();
    format!("{}{concurrency}_{name}", workload.to_lowercase())
}

/// In the order in which they were measured; `None` for a workload that has none.
fn concurrencies(outcomes: &[Outcome], workload: &str) -> Vec<Option<Value>> {
    let mut found = vec![];
    for (_, result) in outcomes.iter().filter(|(_, result)| is_of(result, workload)) {
        let concurrency = result.get("concurrency").cloned();
        if !found.contains(&concurrency) {
            found.push(concurrency);
        }
    }
    found
}

fn of(outcomes: &[Outcome], workload: &str, concurrency: Option<&Value>, measure: Measure) -> Vec<f64> {
    let alike = outcomes
        .iter()
        .filter(|(_, result)| is_of(result, workload) && result.get("concurrency") == concurrency);
    alike.filter_map(|(_, result)| measure(result)).collect()
}

/// Of our runs of W3 that in which all wait at the beginning is what others run too.
fn is_of(result: &Map<String, Value>, workload: &str) -> bool {
    let is_before = result.get("arrival").is_none_or(|arrival| arrival == "before");
    is_before && result.get("workload").is_some_and(|name| name == workload)
}

pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let upper = *numbers.get(numbers.len() / 2)?;
    let lower = *numbers.get(numbers.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(lower, upper))
}

pub(super) fn quotient(ours: Option<f64>, theirs: Option<f64>) -> Value {
    let quotient = ours.zip(theirs).filter(|(_, theirs)| *theirs > 0.0).map(|(ours, theirs)| ours / theirs);
    json!(quotient.map(|quotient| (quotient * 1e3).round() / 1e3))
}

pub(super) fn number(result: &Map<String, Value>, name: &str) -> Option<f64> {
    result.get(name)?.as_f64()
}

fn ops_per_s(result: &Map<String, Value>) -> Option<f64> {
    number(result, "ops_per_s")
}

/// Of worker and store together: what one of them saves the other may spend.
fn cpu_per_op(result: &Map<String, Value>) -> Option<f64> {
    let cpu = number(result, "worker_cpu_s")? + number(result, "store_cpu_s")?;
    Some(cpu / number(result, "ops")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(results: &[Value]) -> Vec<Outcome> {
        results.iter().map(|result| (result.to_string(), result.as_object().unwrap().clone())).collect()
    }

    fn throughput(ops_per_s: f64, store: Option<f64>) -> Value {
        json!({ "workload": "W2", "concurrency": 50, "ops": 100, "ops_per_s": ops_per_s,
                "worker_cpu_s": 1.0, "store_cpu_s": store, "load": ops_per_s / 1e4 })
    }

    #[test]
    fn medians_of_the_same_workload_and_concurrency_are_compared() {
        let results = Results {
            ours: outcomes(&[throughput(3000.0, Some(1.0)), throughput(5000.0, Some(2.0))]),
            theirs: outcomes(&[throughput(1000.0, Some(4.0)), throughput(1000.0, Some(4.0))]),
            limit: outcomes(&[
                json!({ "ops_per_s": 8000.0, "complete": "delete" }),
                json!({ "ops_per_s": 2000.0, "complete": "update" }),
                json!({ "ops_per_s": 5000.0, "complete": "keep" }),
            ]),
        };
        let line = Value::Object(ratios(&results, 2));
        assert_eq!(
            line,
            json!({ "ratios": "archibald / graphile_worker", "runs": 2, "w2_50_ops_per_s": 4.0,
                    "w2_50_cpu_per_op": 0.5, "w2_50_to_limit": 0.5, "w2_50_to_kept_limit": 0.8, "load_at_most": 0.5 })
        );
    }

    #[test]
    fn what_one_of_them_does_not_know_is_null() {
        let (ours, theirs) = (throughput(1.0, None), throughput(1.0, Some(1.0)));
        let results = Results { ours: outcomes(&[ours]), theirs: outcomes(&[theirs]), limit: vec![] };
        let line = ratios(&results, 1);
        assert_eq!(line["w2_50_cpu_per_op"], Value::Null);
        assert!(!line.contains_key("w2_50_to_limit"));
    }

    #[test]
    fn only_the_arrival_that_others_run_too_is_compared() {
        let of = |arrival: &str, makespan: f64| {
            json!({ "workload": "W3", "concurrency": 10, "arrival": arrival,
                "makespan_s": makespan, "wait_others_p99_ms": 5.0 })
        };
        let ours = outcomes(&[of("before", 20.0), of("while", 90.0)]);
        let results = Results { ours, theirs: outcomes(&[of("before", 25.0)]), limit: vec![] };
        let line = ratios(&results, 1);
        assert_eq!((&line["w3_10_makespan"], &line["w3_10_wait_others_p99"]), (&json!(0.8), &json!(1.0)));
    }
}
