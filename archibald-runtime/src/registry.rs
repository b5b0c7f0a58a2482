use std::collections::BTreeMap;
use std::sync::Arc;

use archibald_core::error::{EnqueueError, FieldError, StoreError};
use archibald_core::id::{AgentId, OperationKind, PendingOrderId, Target};
use archibald_core::operation::{Class, Policy};
use archibald_core::port::OperationStore;
use serde_json::Value;

use crate::action::{EffectAction, ReadAction};

/// A registered kind.
#[derive(Clone)]
pub enum Action {
    /// Changes the ERP.
    Effect(Arc<dyn EffectAction>),
    /// Only reads it.
    Read(Arc<dyn ReadAction>),
}

impl Action {
    /// Its name.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Effect(action) => action.kind(),
            Self::Read(action) => action.kind(),
        }
    }

    /// Who goes first within an agent.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Effect(action) => action.class(),
            Self::Read(action) => action.class(),
        }
    }

    /// How often and how soon it is tried again.
    #[must_use]
    pub fn policy(&self) -> Policy {
        match self {
            Self::Effect(action) => action.policy(),
            Self::Read(action) => action.policy(),
        }
    }

    /// Whether a target may have one such operation only.
    #[must_use]
    pub fn once_per_target(&self) -> bool {
        match self {
            Self::Effect(action) => action.once_per_target(),
            Self::Read(_) => false,
        }
    }

    /// The one name of what the operation works on.
    pub(crate) async fn canonical(
        &self,
        store: &dyn OperationStore,
        agent: &AgentId,
        target: Target,
    ) -> Result<Target, StoreError> {
        match self {
            Self::Effect(action) => action.canonical(store, agent, target).await,
            Self::Read(_) => Ok(target),
        }
    }

    /// The pending order that an operation with this payload would submit.
    #[must_use]
    pub fn pending_order(&self, payload: &Value) -> Option<PendingOrderId> {
        match self {
            Self::Effect(action) => action.pending_order(payload),
            Self::Read(_) => None,
        }
    }

    /// Checks a payload.
    ///
    /// # Errors
    /// One [`FieldError`] for each field that cannot be accepted.
    pub fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        match self {
            Self::Effect(action) => action.validate(payload),
            Self::Read(action) => action.validate(payload),
        }
    }
}

/// The kinds that a worker knows.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    actions: BTreeMap<OperationKind, Action>,
}

impl Registry {
    /// Registers a kind; gives back its name when there is one of it already.
    pub(crate) fn add(&mut self, action: Action) -> Result<(), OperationKind> {
        let kind = action.kind();
        if self.actions.contains_key(&kind) {
            return Err(kind);
        }
        self.actions.insert(kind, action);
        Ok(())
    }

    pub(crate) fn get(&self, kind: &OperationKind) -> Option<&Action> {
        self.actions.get(kind)
    }

    pub(crate) fn kinds(&self) -> Vec<OperationKind> {
        self.actions.keys().cloned().collect()
    }

    /// The names of those of a class.
    pub(crate) fn of_class(&self, class: Class) -> Vec<String> {
        let kinds = self.actions.iter().filter(|(_, action)| action.class() == class);
        kinds.map(|(kind, _)| kind.to_string()).collect()
    }

    pub(crate) fn find(&self, name: &str) -> Result<(&OperationKind, &Action), EnqueueError> {
        self.actions.iter().find(|(kind, _)| kind.as_str() == name).ok_or_else(|| EnqueueError::UnknownKind {
            kind: name.chars().take(80).collect(),
            known: self.kinds().iter().map(ToString::to_string).collect(),
        })
    }
}
