//! What a run came to: for a person, or as one JSON line.

use std::fmt::Write as _;

use serde::Serialize;

/// Lines shown of each sort of finding.
const SHOWN: usize = 20;

/// The numbers, under the names and in the order that others rely on; what is new goes behind them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Numbers {
    pub(super) orders_wanted: u64,
    pub(super) effects_applied: u64,
    pub(super) duplicates: u64,
    pub(super) lost: u64,
    pub(super) phantoms: u64,
    pub(super) in_doubt: u64,
    pub(super) failed: u64,
    pub(super) rejected: u64,
    pub(super) completed: u64,
    pub(super) probes: u64,
    pub(super) preemptions: u64,
    pub(super) kills: u64,
    pub(super) faults: u64,
    pub(super) logins: u64,
    pub(super) makespan_s: f64,
    pub(super) wait_p50_ms: u64,
    pub(super) wait_p99_ms: u64,
    pub(super) events_delivered: u64,
    pub(super) event_holes: u64,
    pub(super) peak_rss_mb: u64,
    pub(super) driver: String,
    pub(super) store: String,
    pub(super) agents: u64,
    pub(super) not_final: u64,
    pub(super) not_rejected: u64,
    pub(super) overlaps: u64,
    pub(super) aimed_kills: u64,
    pub(super) random_kills: u64,
    pub(super) parallelism_max: u64,
    pub(super) parallelism_mean: f64,
    pub(super) edits: u64,
    pub(super) connections: u64,
    pub(super) redriven: u64,
    pub(super) browser_kills: u64,
    /// What servers and browsers took in the middle of each quarter of the time.
    pub(super) rss_quarters_mb: Vec<u64>,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) numbers: Numbers,
    /// What must not be, by sort: a title and its sentences.
    pub(super) wrong: Vec<(&'static str, Vec<String>)>,
    /// What a person may want to know besides.
    pub(super) notes: Vec<String>,
}

impl Outcome {
    /// Whether everything is as it must be.
    pub(super) fn is_right(&self) -> bool {
        self.wrong.iter().all(|(_, findings)| findings.is_empty())
    }

    /// The JSON line, without its end.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(&self.numbers).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    /// The table.
    pub(super) fn table(&self) -> String {
        let n = &self.numbers;
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<18} {value}");
        };
        row("orders", format!("{} wanted by {} agents", n.orders_wanted, n.agents));
        let ends = [
            (n.completed, "completed"),
            (n.rejected, "rejected"),
            (n.failed, "failed"),
            (n.in_doubt, "in doubt"),
        ];
        row("ended", join(&ends));
        row("effects at the ERP", format!("{} saved, {} edited", n.effects_applied, n.edits));
        row("never twice", format!("{} duplicates", n.duplicates));
        row("never lost", join(&[(n.lost, "lost"), (n.phantoms, "phantoms"), (n.not_final, "not final")]));
        row("one at a time", format!("{} overlaps", n.overlaps));
        row(
            "in parallel",
            format!("{} agents at most, {:.1} on average", n.parallelism_max, n.parallelism_mean),
        );
        row("waited", format!("{} ms median, {} ms at p99", n.wait_p50_ms, n.wait_p99_ms));
        let kills = [
            (n.kills, "servers"),
            (n.aimed_kills, "of them aimed"),
            (n.random_kills, "at random"),
            (n.browser_kills, "browsers"),
        ];
        row("killed", join(&kills));
        row("ERP", join(&[(n.faults, "faults"), (n.logins, "logins"), (n.probes, "probes")]));
        row("gave way", format!("{} preemptions", n.preemptions));
        row("sent again", format!("{} after the ERP's refusal of a good order", n.redriven));
        let events =
            [(n.events_delivered, "delivered"), (n.event_holes, "holes"), (n.connections, "connections")];
        row("events", join(&events));
        let quarters: Vec<_> = n.rss_quarters_mb.iter().map(u64::to_string).collect();
        let memory = format!("{} MB at most, {} by quarters of the time", n.peak_rss_mb, quarters.join(", "));
        row("took", format!("{:.1} s, {memory}", n.makespan_s));
        row("with", format!("driver {}, store {}", n.driver, n.store));
        text
    }

    /// `passed`, or `failed` and how much of what.
    pub(super) fn last_line(&self) -> String {
        let wrong = self.wrong.iter().filter(|(_, findings)| !findings.is_empty());
        let wrong: Vec<String> =
            wrong.map(|(title, findings)| format!("{} {title}", findings.len())).collect();
        match wrong.is_empty() {
            true => "passed\n".to_owned(),
            false => format!("failed: {}\n", wrong.join(", ")),
        }
    }

    /// What is wrong, then what is worth knowing; empty when there is neither.
    pub(super) fn findings(&self) -> String {
        let mut text = String::new();
        for (title, findings) in self.wrong.iter().filter(|(_, findings)| !findings.is_empty()) {
            let _ = writeln!(text, "WRONG, {title}:");
            write_list(&mut text, findings);
        }
        write_list(&mut text, &self.notes);
        text
    }
}

/// Says on standard error what happens just now.
pub(super) fn progress(text: &str) {
    eprintln!("demo: {text}");
}

fn join(parts: &[(u64, &str)]) -> String {
    let parts: Vec<String> = parts.iter().map(|(count, name)| format!("{count} {name}")).collect();
    parts.join(", ")
}

fn write_list(text: &mut String, lines: &[String]) {
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(text, "  - {line}");
    }
    if lines.len() > SHOWN {
        let _ = writeln!(text, "  … and {} more", lines.len() - SHOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_the_fields_that_others_rely_on_in_their_order() {
        let line = Outcome::default().json();
        let wanted = [
            "orders_wanted",
            "effects_applied",
            "duplicates",
            "lost",
            "phantoms",
            "in_doubt",
            "failed",
            "rejected",
            "completed",
            "probes",
            "preemptions",
            "kills",
            "faults",
            "logins",
            "makespan_s",
            "wait_p50_ms",
            "wait_p99_ms",
            "events_delivered",
            "event_holes",
            "peak_rss_mb",
            "driver",
            "store",
        ];
        let mut rest = line.as_str().strip_prefix('{').unwrap();
        for field in wanted {
            let value = rest.strip_prefix(&format!("\"{field}\":"));
            rest =
                value.unwrap_or_else(|| panic!("{field} is not next in {rest}")).split_once(',').unwrap().1;
        }
        assert!(!line.contains('\n'));
    }

    #[test]
    fn one_finding_makes_it_wrong_and_many_are_cut() {
        let mut outcome = Outcome { wrong: vec![("lost", vec![])], ..Outcome::default() };
        assert!(outcome.is_right() && outcome.findings().is_empty());
        assert_eq!(outcome.last_line(), "passed\n");
        outcome.wrong[0].1 = (1..=25).map(|n| format!("order {n}")).collect();
        assert!(!outcome.is_right());
        assert_eq!(outcome.last_line(), "failed: 25 lost\n");
        assert!(outcome.findings().starts_with("WRONG, lost:\n  - order 1\n"));
        assert!(outcome.findings().ends_with("  … and 5 more\n"));
    }
}
