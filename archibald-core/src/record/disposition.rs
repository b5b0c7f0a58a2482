use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::OperationRecord;
use crate::effect::{EffectRecord, EffectState, Receipt};
use crate::error::JournalError;
use crate::event::NewEvent;
use crate::id::{Collection, EffectName};
use crate::operation::{EffectAtEnd, Operation, Outcome, Step};
use crate::time::Timestamp;

/// What becomes of the operation after an attempt. Pauses are counted from the store's clock.
#[derive(Debug, Clone, PartialEq)]
pub enum Disposition {
    /// What was asked for is so.
    Complete {
        /// What the kind reports.
        result: Value,
    },
    /// The ERP or the checks said no: trying again cannot help.
    Reject {
        /// In the words of who said no.
        why: String,
        /// The effect that was released and that is known not to be, if it got that far: the ERP refused it,
        /// or a settled probe found it absent and impossible.
        refused: Option<EffectName>,
    },
    /// Again later; counts as an attempt.
    Retry {
        /// The pause.
        after: Duration,
        /// What went wrong.
        why: String,
    },
    /// Again later, uncharged and in the same place.
    Yield {
        /// The pause.
        after: Duration,
        /// Why.
        why: YieldReason,
    },
    /// Attempts spent, and nothing of it is at the ERP.
    Fail {
        /// The last error.
        why: String,
        /// The effect that was released and that a settled, healthy probe found absent, if it got that far.
        absent: Option<EffectName>,
    },
    /// A healthy prober could not tell.
    Doubt {
        /// What was seen.
        evidence: String,
    },
}

/// Why an attempt gave way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", content = "detail", rename_all = "snake_case")]
pub enum YieldReason {
    /// An interactive operation of the same agent waits.
    Preempted,
    /// The worker drains.
    Drained,
    /// No session could be had: the pool is full, the ERP is down, the login was refused.
    NoSession(String),
    /// A released request has not settled yet: its absence does not count before then.
    Settling,
    /// The prober could not read what is known to exist.
    Unhealthy(String),
    /// This worker does not know the kind: left for one that does.
    UnknownKind,
}

/// A row of local data that an operation writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocalRow {
    /// Which set.
    pub collection: Collection,
    /// Its id there.
    pub id: String,
    /// What it holds now; `None` removes it.
    pub doc: Option<Value>,
    /// The type of the event that tells of it, written only when the row did change.
    pub event: Option<String>,
}

impl LocalRow {
    /// The event that tells of it; written only when the row did change.
    #[must_use]
    pub fn told(&self, operation: &Operation) -> Option<NewEvent> {
        let mut data = Map::new();
        data.insert("collection".into(), self.collection.as_str().into());
        data.insert("id".into(), self.id.as_str().into());
        data.insert("doc".into(), self.doc.clone().unwrap_or(Value::Null));
        Some(NewEvent {
            kind: self.event.clone()?,
            operation: Some(operation.id),
            origin: operation.origin.clone(),
            data,
        })
    }

    /// What a search looks through, in lower case: the id and every text and number of the content, one
    /// a line; the names of its fields are not part of it.
    #[must_use]
    pub fn searchable(id: &str, doc: &Value) -> String {
        let mut text = id.to_lowercase();
        add_searchable(doc, &mut text);
        text
    }
}

fn add_searchable(value: &Value, text: &mut String) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            text.push('\n');
            text.push_str(&number.to_string());
        }
        Value::String(part) => {
            text.push('\n');
            text.push_str(&part.to_lowercase());
        }
        Value::Array(parts) => parts.iter().for_each(|part| add_searchable(part, text)),
        Value::Object(fields) => fields.values().for_each(|part| add_searchable(part, text)),
    }
}

/// What a page looked like, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What it is, such as `screenshot`.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// The thing itself.
    pub bytes: Vec<u8>,
}

/// What is known of kept evidence without loading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceInfo {
    /// Its number within the operation, from 0.
    pub n: u32,
    /// What it is.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was kept.
    pub at: Timestamp,
}

/// What one transaction writes at the end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// What becomes of the operation.
    pub disposition: Disposition,
    /// Local rows, written with it or not at all.
    pub rows: Vec<LocalRow>,
    /// What is kept for a person.
    pub evidence: Vec<Evidence>,
}

impl Settlement {
    /// Makes it a retry, with the evidence that it has and without its rows.
    pub fn retry(&mut self, after: Duration, why: String) {
        self.disposition = Disposition::Retry { after, why };
        self.rows.clear();
    }
}

impl From<Disposition> for Settlement {
    fn from(disposition: Disposition) -> Self {
        Self { disposition, rows: vec![], evidence: vec![] }
    }
}

/// A person's decision of a doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// It happened.
    Applied {
        /// Under this receipt.
        receipt: Receipt,
    },
    /// It did not happen: probe once more, then act.
    NotApplied,
    /// Given up; whether it happened stays unknown.
    Abandon,
}

impl Resolution {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Applied { .. } => "applied",
            Self::NotApplied => "not_applied",
            Self::Abandon => "abandon",
        }
    }
}

impl Disposition {
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Complete { .. } => "completed".to_owned(),
            Self::Reject { why, .. } => format!("rejected: {why}"),
            Self::Retry { why, .. } => format!("to be retried: {why}"),
            Self::Yield { why, .. } => format!("gave way: {}", why.in_words()),
            Self::Fail { why, .. } => format!("failed: {why}"),
            Self::Doubt { evidence } => format!("in doubt: {evidence}"),
        }
    }
}

impl YieldReason {
    /// For a person.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Preempted => "an interactive operation of the agent goes first".to_owned(),
            Self::Drained => "the worker drains".to_owned(),
            Self::NoSession(why) => format!("no session: {why}"),
            Self::Settling => "what was sent has not settled yet".to_owned(),
            Self::Unhealthy(why) => format!("the ERP could not be read: {why}"),
            Self::UnknownKind => "this worker does not know the kind".to_owned(),
        }
    }
}

impl OperationRecord {
    pub(super) fn outcome_of(
        &mut self,
        disposition: &Disposition,
        now: Timestamp,
    ) -> Result<(Outcome, &'static str, Value), JournalError> {
        Ok(match disposition {
            Disposition::Complete { result } => {
                self.refuse_open_effects()?;
                let data = json!({ "result": result });
                (Outcome::Complete { result: result.clone() }, "operation.completed", data)
            }
            Disposition::Reject { why, refused } => {
                self.void(refused.as_ref());
                self.refuse_open_effects()?;
                (Outcome::Reject { why: why.clone() }, "operation.rejected", json!({ "why": why }))
            }
            Disposition::Retry { after, why } => {
                let (at, step) = (now + *after, self.next_step());
                let data = json!({ "why": why, "run_at": at, "step": step });
                (Outcome::Again { at, step }, "operation.retrying", data)
            }
            Disposition::Yield { after, why } => {
                let (at, step) = (now + *after, self.next_step());
                let data = json!({ "why": why.in_words(), "run_at": at, "step": step });
                (Outcome::Again { at, step }, "operation.yielded", data)
            }
            Disposition::Fail { why, absent } => {
                self.void(absent.as_ref());
                self.refuse_open_effects()?;
                let outcome = Outcome::Fail { why: why.clone(), effect: EffectAtEnd::None };
                (outcome, "operation.failed", json!({ "why": why, "effect": "none" }))
            }
            Disposition::Doubt { evidence } => {
                let outcome = Outcome::Doubt { evidence: evidence.clone() };
                (outcome, "operation.in_doubt", json!({ "evidence": evidence }))
            }
        })
    }

    /// What the next attempt begins with, by the journal alone.
    #[must_use]
    pub fn next_step(&self) -> Step {
        let has = |state| self.effects.iter().any(|effect| effect.state == state);
        if has(EffectState::Released) {
            Step::Probe
        } else if has(EffectState::Recorded) {
            Step::Commit
        } else {
            Step::Act
        }
    }

    /// Lists evidence that is kept with it, and returns the number of the first.
    pub fn list_evidence(&mut self, evidence: &[Evidence], now: Timestamp) -> u32 {
        let first = self.evidence.last().map_or(0, |last| last.n + 1);
        self.evidence.extend((first..).zip(evidence).map(|(n, evidence)| EvidenceInfo {
            n,
            name: evidence.name.clone(),
            media_type: evidence.media_type.clone(),
            size: evidence.bytes.len() as u64,
            at: now,
        }));
        first
    }

    fn refuse_open_effects(&self) -> Result<(), JournalError> {
        match self.effects.iter().find(|effect| effect.state == EffectState::Released) {
            Some(open) => Err(JournalError::Open(open.name.to_string())),
            None => Ok(()),
        }
    }

    /// The effect and its repair: what is not there is not repaired either.
    fn void(&mut self, known_not_to_be: Option<&EffectName>) {
        let Some(name) = known_not_to_be else { return };
        let repair = EffectRecord::repair_of(name);
        for effect in self.effects.iter_mut().filter(|effect| effect.name == *name || effect.name == repair) {
            if effect.state == EffectState::Released {
                effect.state = EffectState::Void;
            }
        }
    }
}
