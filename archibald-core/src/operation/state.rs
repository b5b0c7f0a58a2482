use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{FencingToken, WorkerId};
use crate::time::Timestamp;

/// What the next attempt begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Prepare, intend and act: the journal proves that nothing was sent.
    Act,
    /// Ask the ERP first: something was released and may have happened.
    Probe,
    /// A receipt is recorded: only the local transaction is missing. Needs neither slot nor browser.
    Commit,
}

/// Where an operation stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OperationState {
    /// Waits for its turn. Leaves by being leased (`Running`) or cancelled.
    Available {
        /// Due when this has come; delays and backoff are the same thing.
        at: Timestamp,
        /// What the next attempt begins with.
        step: Step,
    },
    /// One attempt under one lease. Leaves by its disposition, or by the end of the lease.
    Running {
        /// The lease's token.
        token: FencingToken,
        /// Who runs it.
        worker: WorkerId,
        /// What the attempt began with.
        step: Step,
    },
    /// What was asked for is so, and the local transaction committed. Final.
    Completed {
        /// What the kind reports, such as the order's number.
        result: Value,
    },
    /// The ERP or the checks said no: trying again cannot help. Leaves by a person's redrive.
    Rejected {
        /// In the words of who said no.
        why: String,
    },
    /// Attempts spent or given up. Leaves by a person's redrive.
    Failed {
        /// The last error.
        why: String,
        /// Whether the ERP may have been changed.
        effect: EffectAtEnd,
    },
    /// An effect may or may not exist and a healthy prober cannot tell. Leaves by a person, never a timer.
    InDoubt {
        /// What was seen.
        evidence: String,
    },
    /// Withdrawn before any effect. Final.
    Cancelled {
        /// Who withdrew it.
        by: String,
    },
}

/// What is known of the effect of a failed operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectAtEnd {
    /// Nothing was done at the ERP.
    None,
    /// A person gave up a doubt: it may or may not exist.
    Unknown,
}

/// What can happen to an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A worker got it.
    Lease {
        /// The new token.
        token: FencingToken,
        /// The worker.
        worker: WorkerId,
    },
    /// An attempt ended so.
    Settle {
        /// How.
        outcome: Outcome,
    },
    /// The lease ended without a word of its holder.
    Expire {
        /// When to go on.
        at: Timestamp,
        /// What the journal gives.
        step: Step,
    },
    /// Somebody withdraws it.
    Cancel {
        /// Who.
        by: String,
        /// Whether any effect was released or recorded.
        effects: bool,
    },
    /// A person starts it again.
    Redrive {
        /// When.
        at: Timestamp,
        /// `Probe` if any effect was ever released, `Commit` if one is recorded.
        step: Step,
    },
    /// A person decided a doubt: what to go on with, or `None` to give up.
    Resolve {
        /// When.
        at: Timestamp,
        /// `Commit` (it was applied), `Probe` (it was not), or nothing (abandon).
        step: Option<Step>,
    },
}

/// How an attempt ended, as far as the state is concerned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Complete {
        /// What the kind reports.
        result: Value,
    },
    /// Refused for good.
    Reject {
        /// Why.
        why: String,
    },
    /// Again later: after an error, or because it gave way.
    Again {
        /// When.
        at: Timestamp,
        /// With which step.
        step: Step,
    },
    /// Given up.
    Fail {
        /// Why.
        why: String,
        /// What is known of the effect.
        effect: EffectAtEnd,
    },
    /// A healthy prober could not tell.
    Doubt {
        /// What was seen.
        evidence: String,
    },
}

/// A change that the state does not allow; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an operation that is {state} cannot be {change}")]
pub struct IllegalChange {
    /// The state's name.
    pub state: &'static str,
    /// The change's name, as a participle.
    pub change: &'static str,
}

impl OperationState {
    /// The state's name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Available { .. } => "available",
            Self::Running { .. } => "running",
            Self::Completed { .. } => "completed",
            Self::Rejected { .. } => "rejected",
            Self::Failed { .. } => "failed",
            Self::InDoubt { .. } => "in_doubt",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether nothing will happen any more unless a person redrives it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Available { .. } | Self::Running { .. } | Self::InDoubt { .. } => false,
            Self::Completed { .. } | Self::Rejected { .. } | Self::Failed { .. } | Self::Cancelled { .. } => {
                true
            }
        }
    }

    /// Whether a target that may have one such operation only is taken by it: everything but an end without
    /// what was asked for.
    #[must_use]
    pub fn holds_target(&self) -> bool {
        match self {
            Self::Available { .. } | Self::Running { .. } | Self::InDoubt { .. } | Self::Completed { .. } => {
                true
            }
            Self::Rejected { .. } | Self::Failed { .. } | Self::Cancelled { .. } => false,
        }
    }

    /// The whole machine: the state after a change.
    ///
    /// # Errors
    /// [`IllegalChange`] where the table has no arrow.
    pub fn after(&self, change: Change) -> Result<Self, IllegalChange> {
        use OperationState as S;
        match (self, change) {
            (S::Available { step, .. }, Change::Lease { token, worker }) => {
                Ok(S::Running { token, worker, step: *step })
            }
            (S::Available { .. }, Change::Cancel { by, effects: false }) => Ok(S::Cancelled { by }),
            (S::Running { .. }, Change::Settle { outcome }) => Ok(outcome.into()),
            (S::Running { .. }, Change::Expire { at, step }) => Ok(S::Available { at, step }),
            (S::Rejected { .. } | S::Failed { .. }, Change::Redrive { at, step }) => {
                Ok(S::Available { at, step })
            }
            (S::InDoubt { .. }, Change::Resolve { at, step: Some(step) }) => Ok(S::Available { at, step }),
            (S::InDoubt { evidence }, Change::Resolve { step: None, .. }) => {
                Ok(S::Failed { why: evidence.clone(), effect: EffectAtEnd::Unknown })
            }
            (state, change) => Err(IllegalChange { state: state.name(), change: change.name() }),
        }
    }
}

impl From<Outcome> for OperationState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete { result } => Self::Completed { result },
            Outcome::Reject { why } => Self::Rejected { why },
            Outcome::Again { at, step } => Self::Available { at, step },
            Outcome::Fail { why, effect } => Self::Failed { why, effect },
            Outcome::Doubt { evidence } => Self::InDoubt { evidence },
        }
    }
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Self::Lease { .. } => "leased",
            Self::Settle { .. } => "settled",
            Self::Expire { .. } => "expired",
            Self::Cancel { effects: true, .. } => "cancelled, because it has an effect",
            Self::Cancel { .. } => "cancelled",
            Self::Redrive { .. } => "redriven",
            Self::Resolve { .. } => "resolved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn states() -> Vec<OperationState> {
        let at = Timestamp::EPOCH;
        vec![
            OperationState::Available { at, step: Step::Probe },
            OperationState::Running {
                token: FencingToken(1),
                worker: WorkerId::new("w1").unwrap(),
                step: Step::Act,
            },
            OperationState::Completed { result: json!({}) },
            OperationState::Rejected { why: "no".into() },
            OperationState::Failed { why: "spent".into(), effect: EffectAtEnd::None },
            OperationState::InDoubt { evidence: "?".into() },
            OperationState::Cancelled { by: "nancy".into() },
        ]
    }

    fn changes() -> Vec<(&'static str, Change)> {
        let at = Timestamp::EPOCH;
        let settle = |outcome| Change::Settle { outcome };
        vec![
            ("lease", Change::Lease { token: FencingToken(2), worker: WorkerId::new("w2").unwrap() }),
            ("complete", settle(Outcome::Complete { result: json!({}) })),
            ("reject", settle(Outcome::Reject { why: "no".into() })),
            ("again", settle(Outcome::Again { at, step: Step::Probe })),
            ("fail", settle(Outcome::Fail { why: "spent".into(), effect: EffectAtEnd::None })),
            ("doubt", settle(Outcome::Doubt { evidence: "?".into() })),
            ("expire", Change::Expire { at, step: Step::Commit }),
            ("cancel", Change::Cancel { by: "nancy".into(), effects: false }),
            ("cancel with effect", Change::Cancel { by: "nancy".into(), effects: true }),
            ("redrive", Change::Redrive { at, step: Step::Probe }),
            ("applied", Change::Resolve { at, step: Some(Step::Commit) }),
            ("not applied", Change::Resolve { at, step: Some(Step::Probe) }),
            ("abandon", Change::Resolve { at, step: None }),
        ]
    }

    #[test]
    fn the_whole_machine() {
        let mut table = String::new();
        for state in states() {
            for (name, change) in changes() {
                let cell = match state.after(change) {
                    Ok(OperationState::Available { step, .. }) => format!("available/{step:?}"),
                    Ok(OperationState::Running { step, .. }) => format!("running/{step:?}"),
                    Ok(OperationState::Failed { effect, .. }) => format!("failed/{effect:?}"),
                    Ok(next) => next.name().to_owned(),
                    Err(_) => continue,
                };
                table.push_str(&format!("{:<10} {name:<19} -> {cell}\n", state.name()));
            }
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_refused_change_says_why() {
        let error = states()[2].after(changes()[7].1.clone()).unwrap_err();
        assert_eq!(error.to_string(), "an operation that is completed cannot be cancelled");
    }
}
