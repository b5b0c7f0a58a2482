//! Orders in the making, which several devices of an agent edit together and which become operations.
//!
//! As with [`record`](crate::record), a store loads a pending order, calls one method here, and writes what comes
//! of it with its event in one transaction. What an operation does to the pending order that it submits is written
//! in the operation's own transaction: accepted with [`PendingOrder::taken_by`], and from then on whatever changes
//! its state with [`PendingOrder::follow`].

mod content;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::content::{LINES_LIMIT, OrderContent, OrderContentLine, TEXT_LIMIT};

use crate::error::{EnqueueError, FieldError, StoreError, list};
use crate::event::{NewEvent, Origin};
use crate::id::{AgentId, OperationId, OperationKey, PendingOrderId};
use crate::operation::{NewOperation, Operation, OperationState};
use crate::time::Timestamp;

/// How many pending orders an agent may have that are not submitted.
pub const OPEN_LIMIT: u64 = 500;

/// An order in the making.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingOrder {
    /// Its id.
    pub id: PendingOrderId,
    /// Whose.
    pub agent: AgentId,
    /// The caller's name for its creation.
    pub key: OperationKey,
    /// What it was created with, in short: by that a repeated creation is recognised.
    pub created_as: String,
    /// Grows by one with every change, also of its state, from 1.
    pub version: u64,
    /// What it says so far.
    pub content: OrderContent,
    /// Where it stands.
    #[serde(flatten)]
    pub state: PendingOrderState,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Who caused the last change.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
}

/// Where a pending order stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PendingOrderState {
    /// Devices change it. Leaves by being submitted or deleted.
    Editing {
        /// What became of its last submission, if it had one.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        problem: Option<SubmitProblem>,
    },
    /// An operation has it, runs or not, or is in doubt; nobody changes it. Leaves by that operation's end.
    Submitting {
        /// That one.
        operation: OperationId,
    },
    /// It is an order at the ERP. It goes with its operation.
    Submitted {
        /// The operation that submitted it.
        operation: OperationId,
        /// The order's number.
        order: Option<String>,
    },
}

/// Why a submission did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitProblem {
    /// The operation that was to submit it.
    pub operation: OperationId,
    /// The state that it ended in: `rejected`, `failed` or `cancelled`.
    pub outcome: String,
    /// In the words of who said so.
    pub detail: String,
    /// The version in which the problem was noted: what has another one was changed since.
    pub version: u64,
}

/// What a device asks to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPendingOrder {
    /// A fresh UUIDv7. Ignored when the key names one that exists.
    pub id: PendingOrderId,
    /// Whose.
    pub agent: AgentId,
    /// The same key twice is one pending order, as long as that is there.
    pub key: OperationKey,
    /// What it says so far.
    pub content: OrderContent,
    /// Who asks.
    pub origin: Option<Origin>,
}

/// A change of a pending order.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingOrderEdit {
    /// The version that the change was made of.
    pub expected: u64,
    /// All that it says from now on.
    pub content: OrderContent,
    /// Who asks.
    pub origin: Option<Origin>,
}

/// What was asked of a pending order could not be done; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PendingOrderError {
    /// No such pending order of this agent.
    #[error("the agent has no pending order {0}")]
    NotFound(PendingOrderId),
    /// Somebody else changed it meanwhile: both versions are to be shown.
    #[error("pending order {} has version {} by now, not {expected}", .current.id, .current.version)]
    Conflict {
        /// The version that the change was made of.
        expected: u64,
        /// What there is.
        current: Box<PendingOrder>,
    },
    /// It is being submitted, or it is in doubt whether it was.
    #[error("pending order {id} is being submitted by operation {operation}")]
    Submitting {
        /// Which.
        id: PendingOrderId,
        /// The operation that has it.
        operation: OperationId,
    },
    /// It is an order by now.
    #[error("pending order {id} was submitted by operation {operation}")]
    Submitted {
        /// Which.
        id: PendingOrderId,
        /// The operation that submitted it.
        operation: OperationId,
    },
    /// The key names a pending order that was created with other content.
    #[error("key {key:?} was used before for something else (pending order {id})")]
    KeyReused {
        /// The key.
        key: String,
        /// The pending order that has it.
        id: PendingOrderId,
    },
    /// The agent has as many as are allowed.
    #[error("agent {agent} has {OPEN_LIMIT} pending orders already, which is the limit")]
    Full {
        /// Whose.
        agent: AgentId,
    },
    /// Fields that cannot be accepted.
    #[error("the pending order cannot be accepted: {}", list(.0))]
    Invalid(Vec<FieldError>),
    /// Its operation could not be accepted.
    #[error(transparent)]
    Enqueue(EnqueueError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An operation is to be started again whose pending order was changed since it failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pending order {0} was changed since: submit it anew")]
pub struct ChangedSince(pub PendingOrderId);

impl From<ChangedSince> for crate::port::AdminError {
    fn from(changed: ChangedSince) -> Self {
        Self::Invalid(FieldError::new("/pending_order", changed.to_string()))
    }
}

impl PendingOrder {
    /// What the store writes for a new one.
    #[must_use]
    pub fn accept(new: NewPendingOrder, now: Timestamp) -> (Self, NewEvent) {
        let order = Self {
            id: new.id,
            agent: new.agent,
            key: new.key,
            created_as: new.content.digest(),
            version: 1,
            content: new.content,
            state: PendingOrderState::Editing { problem: None },
            created_at: now,
            updated_at: now,
            origin: new.origin,
        };
        let created = order.event("pending_order.created");
        (order, created)
    }

    /// What a creation under the key that this one has comes to: this one, as it is now.
    ///
    /// # Errors
    /// [`PendingOrderError::KeyReused`].
    pub fn created_again(self, new: &NewPendingOrder) -> Result<Self, PendingOrderError> {
        if self.created_as == new.content.digest() {
            return Ok(self);
        }
        Err(PendingOrderError::KeyReused { key: self.key.to_string(), id: self.id })
    }

    /// Whether it counts against [`OPEN_LIMIT`].
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.submitted_by().is_none()
    }

    /// The operation that made an order of it: they are pruned together.
    #[must_use]
    pub fn submitted_by(&self) -> Option<OperationId> {
        match self.state {
            PendingOrderState::Submitted { operation, .. } => Some(operation),
            PendingOrderState::Editing { .. } | PendingOrderState::Submitting { .. } => None,
        }
    }

    /// Changes what it says. No event where that is what it says already: the same mutation again, or nothing new.
    ///
    /// # Errors
    /// [`PendingOrderError::Conflict`], [`PendingOrderError::Submitting`] or [`PendingOrderError::Submitted`].
    pub fn edit(
        self,
        edit: &PendingOrderEdit,
        now: Timestamp,
    ) -> Result<(Self, Option<NewEvent>), PendingOrderError> {
        let is_again = self.origin.as_ref().is_some_and(|origin| origin.mutation.is_some())
            && self.origin == edit.origin
            && self.version == edit.expected.saturating_add(1)
            && self.content == edit.content;
        if is_again {
            return Ok((self, None));
        }
        self.check_open_at(edit.expected)?;
        if self.content == edit.content {
            return Ok((self, None));
        }
        let edited = Self { content: edit.content.clone(), ..self };
        let (edited, event) = edited.changed(edit.origin.clone(), now);
        Ok((edited, Some(event)))
    }

    /// The event that tells that it is gone.
    ///
    /// # Errors
    /// [`PendingOrderError::Conflict`], [`PendingOrderError::Submitting`] or [`PendingOrderError::Submitted`].
    pub fn discard(&self, expected: u64, origin: Option<Origin>) -> Result<NewEvent, PendingOrderError> {
        self.check_open_at(expected)?;
        let mut data = Map::new();
        data.insert("pending_order".into(), self.id.to_string().into());
        data.insert("version".into(), self.version.into());
        Ok(NewEvent { kind: "pending_order.deleted".to_owned(), operation: None, origin, data })
    }

    /// What an operation carries that submits it as it is now.
    #[must_use]
    pub fn payload(&self) -> Value {
        let mut payload = self.content.to_value();
        payload["pending_order"] = json!(self.id);
        payload
    }

    /// An operation that is about to be accepted takes it.
    ///
    /// # Errors
    /// [`EnqueueError::PendingOrderChanged`] unless the operation says what this says;
    /// [`EnqueueError::TargetTaken`] where another one has it.
    pub fn taken_by(self, new: &NewOperation, now: Timestamp) -> Result<(Self, NewEvent), EnqueueError> {
        match self.state {
            PendingOrderState::Editing { .. } => {}
            PendingOrderState::Submitting { operation } | PendingOrderState::Submitted { operation, .. } => {
                return Err(EnqueueError::TargetTaken { target: self.id.target(), operation });
            }
        }
        if new.payload != self.payload() {
            return Err(EnqueueError::PendingOrderChanged(self.id));
        }
        let taken = Self { state: PendingOrderState::Submitting { operation: new.id }, ..self };
        Ok(taken.changed(new.origin.clone(), now))
    }

    /// What becomes of it now that an operation which submits it is in another state; `None` where nothing does.
    ///
    /// # Errors
    /// [`ChangedSince`] where that state wants back what devices have changed meanwhile.
    pub fn follow(
        &self,
        operation: &Operation,
        now: Timestamp,
    ) -> Result<Option<(Self, NewEvent)>, ChangedSince> {
        use OperationState as S;
        use PendingOrderState as P;
        let id = operation.id;
        let state = match (&self.state, &operation.state) {
            (P::Submitting { operation: by }, state) if *by == id => match state {
                S::Available { .. } | S::Running { .. } | S::InDoubt { .. } => return Ok(None),
                S::Completed { result } => {
                    let order = result.get("order").and_then(Value::as_str).map(str::to_owned);
                    P::Submitted { operation: id, order }
                }
                S::Rejected { why } => self.given_back(operation, why),
                S::Failed { why, .. } => self.given_back(operation, why),
                S::Cancelled { by } => self.given_back(operation, &format!("cancelled by {by}")),
            },
            (P::Editing { problem: Some(problem) }, S::Available { .. }) if problem.operation == id => {
                if problem.version != self.version {
                    return Err(ChangedSince(self.id));
                }
                P::Submitting { operation: id }
            }
            // Started again after another submission took over and ended: what is to be submitted is not known.
            (P::Editing { .. }, S::Available { .. }) => return Err(ChangedSince(self.id)),
            (P::Editing { .. } | P::Submitting { .. } | P::Submitted { .. }, _) => return Ok(None),
        };
        let followed = Self { state, ..self.clone() };
        Ok(Some(followed.changed(operation.origin.clone(), now)))
    }

    fn given_back(&self, operation: &Operation, why: &str) -> PendingOrderState {
        let problem = SubmitProblem {
            operation: operation.id,
            outcome: operation.state.name().to_owned(),
            detail: why.to_owned(),
            version: self.version + 1,
        };
        PendingOrderState::Editing { problem: Some(problem) }
    }

    fn check_open_at(&self, expected: u64) -> Result<(), PendingOrderError> {
        let id = self.id;
        match self.state {
            PendingOrderState::Submitting { operation } => {
                Err(PendingOrderError::Submitting { id, operation })
            }
            PendingOrderState::Submitted { operation, .. } => {
                Err(PendingOrderError::Submitted { id, operation })
            }
            PendingOrderState::Editing { .. } if self.version != expected => {
                Err(PendingOrderError::Conflict { expected, current: Box::new(self.clone()) })
            }
            PendingOrderState::Editing { .. } => Ok(()),
        }
    }

    fn changed(self, origin: Option<Origin>, now: Timestamp) -> (Self, NewEvent) {
        let changed =
            Self { version: self.version + 1, updated_at: now.max(self.updated_at), origin, ..self };
        let event = changed.event("pending_order.updated");
        (changed, event)
    }

    /// All that a device needs to show it.
    fn event(&self, kind: &str) -> NewEvent {
        let (state, operation) = match &self.state {
            PendingOrderState::Editing { problem: None } => (json!({ "state": "editing" }), None),
            PendingOrderState::Editing { problem: Some(problem) } => {
                (json!({ "state": "editing", "problem": problem }), Some(problem.operation))
            }
            PendingOrderState::Submitting { operation } => {
                (json!({ "state": "submitting" }), Some(*operation))
            }
            PendingOrderState::Submitted { operation, order } => {
                (json!({ "state": "submitted", "order": order }), Some(*operation))
            }
        };
        let told = json!({ "pending_order": self.id, "version": self.version, "content": self.content });
        let parts = [told, state].into_iter().filter_map(|part| match part {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        let data = parts.flatten().collect();
        NewEvent { kind: kind.to_owned(), operation, origin: self.origin.clone(), data }
    }
}

#[cfg(test)]
mod tests;
