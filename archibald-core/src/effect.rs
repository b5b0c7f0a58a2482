//! The effect protocol: how a change of the ERP happens once.
//!
//! An effect is *intended* (committed before the click), *released* (committed in the commit gate before
//! the first byte leaves) and *recorded* (its receipt committed). A journal that says intended and not
//! released proves that nothing was sent; one that says released and not recorded makes the next attempt
//! begin with a probe; one that says recorded is reused and the ERP is not touched again.

mod mark;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::mark::{MARK_LENGTH, Mark, OWN_TEXT_LIMIT, REFERENCE_LIMIT, ReferenceTooLong};

use crate::id::{EffectName, FencingToken};
use crate::lease::{Lease, millis};
use crate::time::Timestamp;

/// What the ERP called the effect, such as `{"order": "O-1042"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Receipt(pub Value);

/// How far an effect has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// Allowed and not sent: the journal proves that the ERP does not know of it.
    Intended,
    /// It may have reached the ERP.
    Released,
    /// The ERP has it, under this receipt.
    Recorded,
    /// It was released, and is known not to be there: the ERP itself refused it, or a settled probe found it
    /// absent and nothing more was tried.
    Void,
}

/// The journal of one effect of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectRecord {
    /// Its name within the operation.
    pub name: EffectName,
    /// How far it has got.
    pub state: EffectState,
    /// What its bearer carries at the ERP, where marks can be stored.
    pub mark: Option<Mark>,
    /// What already existed that looks like it, before the first act.
    pub baseline: Value,
    /// The lease under which it got there.
    pub token: FencingToken,
    /// How often it was intended; a repair also begins anew with every redrive.
    pub acts: u32,
    /// When it was last intended.
    pub intended_at: Timestamp,
    /// When it was last released.
    pub released_at: Option<Timestamp>,
    /// Until when the released request may still be sent or under way from our side.
    pub act_until: Option<Timestamp>,
    /// When the released request was answered whole, if it was: then only the lag of lists is waited for.
    pub answered_at: Option<Timestamp>,
    /// Field by field, what that answer read back otherwise than wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// What the ERP called it.
    pub receipt: Option<Receipt>,
    /// A person decided a doubt: what looked like it there is not it.
    #[serde(default)]
    pub denied: bool,
}

/// Why an effect may be intended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentBasis {
    /// Nothing was ever released, as far as the caller knows; the journal has the last word.
    NothingReleased,
    /// A healthy probe, made after the settle time, found it absent.
    ProbedAbsent,
    /// A healthy probe, made after the settle time, found it otherwise than wanted: an edit brings what is
    /// missing, once. The intent is for the repair (see [`EffectRecord::repair_of`]), which has a journal
    /// entry of its own beside the effect's; its baseline is what was found. While a later probe finds that
    /// unchanged, the repair did nothing and may be sent again.
    ProbedDifferent,
}

impl EffectRecord {
    /// The name under which the repair of an effect is journaled.
    #[must_use]
    pub fn repair_of(effect: &EffectName) -> EffectName {
        let cut: String = effect.as_str().chars().take(64 - REPAIR.len()).collect();
        EffectName::new(format!("{cut}{REPAIR}")).expect("a name stays one with this ending")
    }

    /// Whether a name is that of a repair.
    #[must_use]
    pub fn is_repair(effect: &EffectName) -> bool {
        effect.as_str().ends_with(REPAIR)
    }
}

/// How the names of repairs end.
const REPAIR: &str = "-repair";

/// Asks a store for an [`Intent`].
#[derive(Debug, Clone, PartialEq)]
pub struct IntentRequest {
    /// Which effect.
    pub effect: EffectName,
    /// Why it may be.
    pub basis: IntentBasis,
    /// What its bearer will carry.
    pub mark: Option<Mark>,
    /// What already exists that looks like it.
    pub baseline: Value,
    /// The hard budget of the request: from the opened gate to its answer.
    pub budget: Duration,
    /// What the lease must outlive on top of the budget.
    pub margin: Duration,
}

/// The right to act once, committed in the journal. Not `Clone`: whoever acts consumes it.
///
/// Only [`OperationRecord::intend`](crate::record::OperationRecord::intend) makes one, for the store that
/// commits it, and client methods that change the ERP take it by value,
/// so a click without an intent does not compile:
///
/// ```compile_fail
/// # use archibald_core::effect::Intent;
/// fn twice(intent: Intent) -> (Intent, Intent) {
///     (intent.clone(), intent)
/// }
/// ```
#[derive(Debug, PartialEq)]
pub struct Intent {
    lease: Lease,
    effect: EffectName,
    mark: Option<Mark>,
    budget: Duration,
}

impl Intent {
    pub(crate) fn issue(lease: Lease, request: &IntentRequest) -> Self {
        Self { lease, effect: request.effect.clone(), mark: request.mark.clone(), budget: request.budget }
    }

    /// The lease that it was given under.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Which effect.
    #[must_use]
    pub fn effect(&self) -> &EffectName {
        &self.effect
    }

    /// What its bearer is to carry at the ERP.
    #[must_use]
    pub fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    /// The hard budget of the request, from the opened gate on.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.budget
    }

    /// What a store is asked to commit before the request leaves.
    #[must_use]
    pub fn release(&self) -> ReleaseRequest {
        ReleaseRequest { lease: self.lease.clone(), effect: self.effect.clone(), budget: self.budget }
    }
}

/// Asks a store to open the gate. Plain data that a task may own: the right to act stays with the [`Intent`].
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseRequest {
    /// The lease that the effect was intended under.
    pub lease: Lease,
    /// Which effect.
    pub effect: EffectName,
    /// The hard budget of the request.
    pub budget: Duration,
}

/// `released` is committed for one request. Not `Clone`, and only
/// [`OperationRecord::release`](crate::record::OperationRecord::release) makes one, for the store that commits
/// it: a gate without a journal behind it has no permit to give.
#[derive(Debug)]
pub struct Released(());

impl Released {
    pub(crate) fn issue() -> Self {
        Self(())
    }

    /// The permit for the one request, until a moment by this process's clock.
    #[must_use]
    pub fn permit(self, until: Instant) -> Permit {
        Permit { until }
    }
}

/// The gate is open for one request. Not `Clone`.
///
/// ```compile_fail
/// # use archibald_core::effect::Permit;
/// # use std::time::Instant;
/// fn without_a_journal(until: Instant) -> Permit {
///     Permit { until }
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    until: Instant,
}

impl Permit {
    /// The first byte must have left and the answer have come by then. Looked at right before the first byte:
    /// a process that stood still in between must not send what a successor may have taken for absent.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }
}

/// How an act ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ActOutcome<R> {
    /// The answering page read back equal to what was wanted, field by field.
    Done(R),
    /// It read back otherwise.
    Differs {
        /// What the page shows.
        observed: R,
        /// Field by field, wanted and observed.
        differences: Vec<String>,
    },
    /// The same form with its validation text and no number.
    Refused(String),
    /// The gate was never opened, or no byte left.
    NotSent(NotSent),
    /// All else: it may have happened.
    Ambiguous {
        /// What was seen.
        evidence: String,
        /// Whether the released request was answered whole: then it is over at the ERP.
        answered: bool,
    },
}

impl<R> ActOutcome<R> {
    /// The same outcome, told in other words.
    pub fn map<T>(self, tell: impl FnOnce(R) -> T) -> ActOutcome<T> {
        match self {
            Self::Done(result) => ActOutcome::Done(tell(result)),
            Self::Differs { observed, differences } => {
                ActOutcome::Differs { observed: tell(observed), differences }
            }
            Self::Refused(why) => ActOutcome::Refused(why),
            Self::NotSent(why) => ActOutcome::NotSent(why),
            Self::Ambiguous { evidence, answered } => ActOutcome::Ambiguous { evidence, answered },
        }
    }
}

/// Why nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// The ERP logged the session out before the click.
    #[error("the session expired before anything was sent")]
    SessionExpired,
    /// The lease ended before the click.
    #[error("the lease was lost before anything was sent")]
    LeaseLost,
    /// Anything else before the gate.
    #[error("nothing was sent: {0}")]
    Other(String),
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict<R> {
    /// It is there, as wanted.
    Found(R),
    /// It is there, and otherwise.
    Differs {
        /// What is there.
        observed: R,
        /// Field by field, wanted and observed.
        differences: Vec<String>,
    },
    /// It is not there. Counts only after the settle time.
    Absent,
    /// It is not there, and the ERP's state forbids to try again. Counts only after the settle time.
    Forbidden(String),
    /// A healthy prober cannot tell.
    Unclear(String),
}

/// How long a verdict that leads to another act has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle {
    /// After `act_until`, for a request that was not answered whole: longer than the ERP's own limit for
    /// a request times the requests that may queue in that session. The lag of lists comes on top, since the
    /// ERP may have carried it out at the very end.
    #[serde(with = "millis")]
    pub request: Duration,
    /// After a whole answer: how long lists may lag.
    #[serde(with = "millis")]
    pub lists: Duration,
}

impl Settle {
    /// From when on `Absent` counts for this effect. `None` where nothing was released.
    #[must_use]
    pub fn over_at(&self, effect: &EffectRecord) -> Option<Timestamp> {
        let released = effect.released_at?;
        Some(match effect.answered_at {
            Some(answered) => answered + self.lists,
            None => effect.act_until.unwrap_or(released) + self.request + self.lists,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn released(answered: Option<u64>) -> EffectRecord {
        let at = |secs: u64| Timestamp::EPOCH + Duration::from_secs(secs);
        EffectRecord {
            name: EffectName::new("save-order").unwrap(),
            state: EffectState::Released,
            mark: None,
            baseline: json!(null),
            token: FencingToken(1),
            acts: 1,
            intended_at: at(0),
            released_at: Some(at(1)),
            act_until: Some(at(31)),
            answered_at: answered.map(at),
            differences: vec![],
            receipt: None,
            denied: false,
        }
    }

    #[test]
    fn an_unanswered_request_settles_later_than_an_answered_one() {
        let settle = Settle { request: Duration::from_secs(120), lists: Duration::from_secs(5) };
        assert_eq!(settle.over_at(&released(None)), Some(Timestamp::EPOCH + Duration::from_secs(156)));
        assert_eq!(settle.over_at(&released(Some(2))), Some(Timestamp::EPOCH + Duration::from_secs(7)));
        let never = EffectRecord { released_at: None, ..released(None) };
        assert_eq!(settle.over_at(&never), None);
    }
}
