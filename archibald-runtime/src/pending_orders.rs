//! Pending orders for those who ask from outside: checked, and made operations of.

use std::sync::Arc;

use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::event::Origin;
use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, PendingOrderId, Target};
use archibald_core::operation::NewOperation;
use archibald_core::pending_order::{
    NewPendingOrder, OrderContent, PendingOrder, PendingOrderEdit, PendingOrderError, PendingOrderState,
};
use archibald_core::port::{
    CreatedPendingOrder, EnqueueRequest, Enqueued, Operations, PendingOrderPage, PendingOrderStore,
    PendingOrders, SubmitRequest,
};
use archibald_core::record::OperationRecord;
use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use crate::handle::Archibald;
use crate::registry::Action;

/// How often a pending order is read again that somebody changes between the reading and the submission.
const READINGS: usize = 5;

#[async_trait]
impl PendingOrders for Archibald {
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
        new.content.check().map_err(PendingOrderError::Invalid)?;
        if !self.knows(&new.agent) {
            let unknown = EnqueueError::UnknownAgent(new.agent.to_string());
            return Err(PendingOrderError::Enqueue(unknown));
        }
        self.kept()?.create(new).await
    }

    async fn find(&self, agent: &AgentId, id: PendingOrderId) -> Result<Option<PendingOrder>, StoreError> {
        self.kept()?.find(agent, id).await
    }

    async fn page(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError> {
        self.kept()?.page(agent, before, limit).await
    }

    async fn edit(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        edit: &PendingOrderEdit,
    ) -> Result<PendingOrder, PendingOrderError> {
        edit.content.check().map_err(PendingOrderError::Invalid)?;
        self.kept()?.edit(agent, id, edit).await
    }

    async fn discard(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        expected: u64,
        origin: Option<Origin>,
    ) -> Result<(), PendingOrderError> {
        self.kept()?.discard(agent, id, expected, origin).await
    }

    async fn submit(&self, request: SubmitRequest) -> Result<Enqueued, PendingOrderError> {
        let mut reading = 1;
        loop {
            let found = self.kept()?.find(&request.agent, request.id).await?;
            let order = found.ok_or(PendingOrderError::NotFound(request.id))?;
            if let Some(expected) = stale(&order, request.expected) {
                return Err(PendingOrderError::Conflict { expected, current: Box::new(order) });
            }
            match self.submit_as_it_is(&order, &request).await {
                Err(EnqueueError::PendingOrderChanged(_)) if reading < READINGS => reading += 1,
                Err(EnqueueError::NoPendingOrder(id)) => return Err(PendingOrderError::NotFound(id)),
                Err(EnqueueError::Store(error)) => return Err(error.into()),
                Err(error) => return Err(PendingOrderError::Enqueue(error)),
                Ok(enqueued) => return Ok(enqueued),
            }
        }
    }
}

impl Archibald {
    /// As it was just read; who has it already is found by its target.
    async fn submit_as_it_is(
        &self,
        order: &PendingOrder,
        request: &SubmitRequest,
    ) -> Result<Enqueued, EnqueueError> {
        order.content.check_complete().map_err(EnqueueError::Invalid)?;
        let of_version = format!("pending-order:{}:{}", order.id, order.version);
        let key = request.key.clone().or_else(|| OperationKey::new(of_version).ok());
        let asked = EnqueueRequest {
            agent: request.agent.clone(),
            kind: "submit-order".to_owned(),
            payload: order.payload(),
            key: key.expect("a UUID and a number are short and have no control characters"),
            run_at: None,
            origin: request.origin.clone(),
            trace: false,
        };
        let (kind, action) = self.action(&asked)?;
        let new = self.checked(kind, action, asked).await?;
        let (kind, target) = (new.kind.clone(), new.target.clone());
        match self.kept()?.submit(new).await {
            Err(refused) if request.key.is_some() => {
                self.answered_before(&request.agent, &kind, target.as_ref(), refused).await
            }
            submitted => submitted,
        }
    }

    /// A key that asked for the same draft's submission before answers with that, whatever the draft says by now.
    async fn answered_before(
        &self,
        agent: &AgentId,
        kind: &OperationKind,
        target: Option<&Target>,
        refused: EnqueueError,
    ) -> Result<Enqueued, EnqueueError> {
        let EnqueueError::KeyReused { operation, .. } = &refused else { return Err(refused) };
        let known = self.shared().store.get(agent, *operation).await?;
        let is_same = |record: &OperationRecord| {
            record.operation.kind == *kind && target.is_some() && record.operation.target.as_ref() == target
        };
        match known.filter(is_same) {
            Some(record) => Ok(Enqueued { record, replayed: true }),
            None => Err(refused),
        }
    }

    /// Accepts an operation; one that submits a pending order with what that says.
    pub(crate) async fn accept(&self, request: EnqueueRequest) -> Result<Enqueued, EnqueueError> {
        let (kind, action) = self.action(&request)?;
        let Some((kept, id)) = self.to_submit(action, &request.payload) else {
            let new = self.checked(kind, action, request).await?;
            return self.take_in(new).await;
        };
        let is_alone = request.payload.as_object().is_some_and(|fields| fields.len() == 1);
        let mut reading = 1;
        loop {
            let found = kept.find(&request.agent, id).await?;
            let payload = match &found {
                Some(order) if is_alone || says_the_same(order, &request.payload) => {
                    order.content.check_complete().map_err(EnqueueError::Invalid)?;
                    order.payload()
                }
                None if is_alone => return Err(EnqueueError::NoPendingOrder(id)),
                // Something else than it says: an old key may still answer, and else the store refuses it.
                Some(_) | None => request.payload.clone(),
            };
            let asked = EnqueueRequest { payload, ..request.clone() };
            let new = self.checked(kind, action, asked).await?;
            let target = new.target.clone();
            let accepted = match found {
                Some(_) => kept.submit(new).await,
                // A draft that somebody else keeps.
                None => self.take_in(new).await,
            };
            match accepted {
                Err(EnqueueError::PendingOrderChanged(_)) if is_alone && reading < READINGS => reading += 1,
                Err(refused) if is_alone => {
                    return self.answered_before(&request.agent, kind, target.as_ref(), refused).await;
                }
                accepted => return accepted,
            }
        }
    }

    fn action(&self, request: &EnqueueRequest) -> Result<(&OperationKind, &Action), EnqueueError> {
        let found = self.shared().registry.find(&request.kind)?;
        if self.knows(&request.agent) {
            Ok(found)
        } else {
            Err(EnqueueError::UnknownAgent(request.agent.to_string()))
        }
    }

    fn to_submit(
        &self,
        action: &Action,
        payload: &Value,
    ) -> Option<(&Arc<dyn PendingOrderStore>, PendingOrderId)> {
        Some((self.shared().pending_orders.as_ref()?, action.pending_order(payload)?))
    }

    /// What the store is to accept, if the kind's action has nothing against it.
    async fn checked(
        &self,
        kind: &OperationKind,
        action: &Action,
        request: EnqueueRequest,
    ) -> Result<NewOperation, EnqueueError> {
        let shared = self.shared();
        let target = match action.validate(&request.payload).map_err(EnqueueError::Invalid)? {
            Some(target) => Some(action.canonical(shared.store.as_ref(), &request.agent, target).await?),
            None => None,
        };
        Ok(NewOperation {
            id: OperationId(Uuid::now_v7()),
            agent: request.agent,
            kind: kind.clone(),
            class: action.class(),
            key: request.key,
            target,
            once_per_target: action.once_per_target(),
            payload: request.payload,
            run_at: request.run_at,
            origin: request.origin,
            queue_limit: shared.config.queue_limit,
            trace: request.trace || shared.config.trace,
        })
    }

    fn kept(&self) -> Result<&Arc<dyn PendingOrderStore>, StoreError> {
        self.shared().pending_orders.as_ref().ok_or_else(|| StoreError::Unavailable {
            what: "no store of pending orders is configured".to_owned(),
            cause: None,
        })
    }
}

/// The expected version, where it is another one that devices look at now.
fn stale(order: &PendingOrder, expected: Option<u64>) -> Option<u64> {
    let is_open = matches!(order.state, PendingOrderState::Editing { .. });
    expected.filter(|expected| is_open && *expected != order.version)
}

/// Whether a payload has the content of a pending order, in whatever way it is written.
fn says_the_same(order: &PendingOrder, payload: &Value) -> bool {
    let mut content = payload.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.remove("pending_order");
    }
    serde_json::from_value::<OrderContent>(content).is_ok_and(|content| content == order.content)
}
