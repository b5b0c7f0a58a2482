//! The judge of one cell: what was asked for against ledger and store.

use archibald_core::id::AgentId;
use archibald_core::time::Timestamp;
use archibald_testing::erp::{EffectKind, LedgerEntry};
use serde::Deserialize;
use serde_json::Value;

use super::actions::Case;

/// How a promise can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Acknowledged and forgotten, or completed without the effect, or with another content.
    Lost,
    /// Done at the ERP more than once.
    Duplicated,
    /// At the ERP, and nobody asked for it.
    Unexpected,
    /// Two attempts at the same time.
    Overlap,
    /// Left to a person, although a prober could tell.
    InDoubt,
    /// Given up, or refused.
    Failed,
    /// Not over when the time was, or the server did not end as it must.
    Unfinished,
    /// It was over, and had never come by the point.
    NotReached,
    /// The matrix itself could not go on.
    Broken,
}

/// What was found, in a sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding(pub(super) Fault, pub(super) String);

/// An operation as the server tells it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OperationDoc {
    pub(super) state: String,
    #[serde(default)]
    pub(super) result: Value,
    #[serde(default)]
    problem: Value,
    #[serde(default)]
    pub(super) attempts: Vec<AttemptDoc>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AttemptDoc {
    token: u64,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl Fault {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Unexpected => "unexpected",
            Self::Overlap => "overlap",
            Self::InDoubt => "in doubt",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
            Self::NotReached => "not reached",
            Self::Broken => "broken",
        }
    }
}

impl OperationDoc {
    /// Whether nothing happens to it any more by itself.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "rejected" | "failed" | "cancelled" | "in_doubt")
    }
}

/// The operation's own end, and what the ERP did for the agent since the cell began. `rows` is what a sync has
/// to have read, where that is known.
pub(super) fn judge(
    case: &Case,
    agent: &AgentId,
    told: &OperationDoc,
    ledger: &[LedgerEntry],
    rows: Option<u64>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    match told.state.as_str() {
        "completed" => {}
        "in_doubt" => found.push(Finding(Fault::InDoubt, told.problem.to_string())),
        state => found.push(Finding(Fault::Failed, format!("{state}: {}", told.problem))),
    }
    found.extend(effects(case, agent, told, ledger));
    found.extend(overlaps(&told.attempts));
    let read = told.result["read"].as_u64();
    if rows.is_some() && told.state == "completed" && read != rows {
        found.push(Finding(Fault::Lost, format!("the sync read {read:?} rows of {rows:?}")));
    }
    found
}

fn effects(case: &Case, agent: &AgentId, told: &OperationDoc, ledger: &[LedgerEntry]) -> Vec<Finding> {
    let done = ledger.iter().filter(|entry| !entry.by_hand && entry.user == agent.as_str());
    let (ours, others): (Vec<_>, Vec<_>) = done.partition(|entry| case.is_ours(entry));
    let mut found: Vec<Finding> = others
        .into_iter()
        .map(|entry| Finding(Fault::Unexpected, format!("{} of {}", entry.kind, entry.number)))
        .collect();
    let numbers: Vec<&str> = ours.iter().map(|entry| entry.number.as_str()).collect();
    let completed = told.state == "completed";
    match (&case.wanted, ours.as_slice()) {
        (Some(wanted), []) if completed => {
            found.push(Finding(Fault::Lost, format!("completed, and the ERP has no {}", wanted.kind)));
        }
        (Some(wanted), [.., last]) => {
            if case.is_exceeded(&ours) {
                found.push(Finding(Fault::Duplicated, format!("{} of {}", wanted.kind, numbers.join(", "))));
            }
            if completed && !case.is_exceeded(&ours) && !case.is_whole(&ours) {
                let what = format!("{} without its repair, or the other way round", wanted.kind);
                found.push(Finding(Fault::Lost, what));
            }
            if !wanted.fits(last) {
                found.push(Finding(Fault::Lost, format!("{} reads otherwise at the ERP", last.number)));
            }
            if !completed && told.state != "in_doubt" {
                found.push(Finding(Fault::Unexpected, format!("{} and yet {}", told.state, wanted.kind)));
            }
        }
        _ => {}
    }
    found
}

/// Each attempt has to be over before the next begins, under a greater token.
fn overlaps(attempts: &[AttemptDoc]) -> Vec<Finding> {
    let wrong = attempts.windows(2).filter(|pair| {
        let over = pair[0].ended_at.is_some_and(|ended| ended <= pair[1].started_at);
        !over || pair[0].token >= pair[1].token
    });
    wrong.map(|pair| Finding(Fault::Overlap, format!("{pair:?}"))).collect()
}

/// How many customers the agent got during the cells so far.
pub(super) fn customers_made(agent: &AgentId, ledger: &[LedgerEntry]) -> u64 {
    let made = |entry: &&LedgerEntry| entry.kind == EffectKind::CustomerSaved && entry.user == agent.as_str();
    ledger.iter().filter(made).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn attempts(spans: &[(u64, u64, Option<u64>)]) -> Vec<AttemptDoc> {
        let at = |second: u64| format!("2026-11-22T08:30:{second:02}Z");
        let attempt = |&(token, from, to): &(u64, u64, Option<u64>)| {
            let doc = json!({ "token": token, "started_at": at(from), "ended_at": to.map(at) });
            serde_json::from_value(doc).unwrap()
        };
        spans.iter().map(attempt).collect()
    }

    fn story(case: &Case, kinds: &[(EffectKind, &str)]) -> Vec<Fault> {
        let entry = |(place, &(kind, number)): (usize, &(EffectKind, &str))| {
            let doc = json!({
                "seq": place, "at_ms": 0, "user": "nancy", "kind": kind, "number": number, "order": null,
                "customer": null, "request": place, "fault": null, "by_hand": false,
            });
            serde_json::from_value(doc).unwrap()
        };
        let ledger: Vec<LedgerEntry> = kinds.iter().enumerate().map(entry).collect();
        let told = OperationDoc {
            state: "completed".to_owned(),
            result: Value::Null,
            problem: Value::Null,
            attempts: vec![],
        };
        let nancy = AgentId::new("nancy").unwrap();
        judge(case, &nancy, &told, &ledger, None).into_iter().map(|Finding(fault, _)| fault).collect()
    }

    #[test]
    fn a_repair_is_one_change_of_what_was_saved_once() {
        use EffectKind::{OrderEdited, OrderSaved};
        let mut case = Case::any(OrderSaved);
        assert_eq!(story(&case, &[(OrderSaved, "7")]), []);
        assert_eq!(story(&case, &[(OrderSaved, "7"), (OrderEdited, "7")]), [Fault::Unexpected]);
        case.repair = Some(OrderEdited);
        assert_eq!(story(&case, &[(OrderSaved, "7"), (OrderEdited, "7")]), []);
        let wrong: [&[(EffectKind, &str)]; 3] = [
            &[(OrderSaved, "7"), (OrderSaved, "8")],
            &[(OrderSaved, "7"), (OrderEdited, "8")],
            &[(OrderSaved, "7"), (OrderEdited, "7"), (OrderEdited, "7")],
        ];
        for ledger in wrong {
            assert_eq!(story(&case, ledger), [Fault::Duplicated], "{ledger:?}");
        }
        assert_eq!(story(&case, &[(OrderSaved, "7")]), [Fault::Lost], "the repair is missing");
        assert_eq!(story(&case, &[(OrderEdited, "7")]), [Fault::Lost], "the save is missing");
        let mut edit = Case::any(OrderEdited);
        edit.repair = Some(OrderEdited);
        assert_eq!(story(&edit, &[(OrderEdited, "7"), (OrderEdited, "7")]), []);
        let seven = Case { wanted: edit.wanted.map(|wanted| wanted.of_number("7")), ..edit };
        let other = [Fault::Unexpected, Fault::Unexpected, Fault::Lost];
        assert_eq!(story(&seven, &[(OrderEdited, "9"), (OrderEdited, "9")]), other, "another order");
    }

    #[test]
    fn attempts_one_after_another_do_not_overlap() {
        assert_eq!(overlaps(&attempts(&[(1, 0, Some(2)), (2, 2, Some(3)), (4, 5, None)])), []);
        assert_eq!(overlaps(&attempts(&[(1, 0, Some(3)), (2, 2, Some(4))])).len(), 1);
        assert_eq!(overlaps(&attempts(&[(1, 0, None), (2, 2, Some(4))])).len(), 1);
        assert_eq!(overlaps(&attempts(&[(2, 0, Some(1)), (2, 2, Some(4))])).len(), 1);
    }
}
