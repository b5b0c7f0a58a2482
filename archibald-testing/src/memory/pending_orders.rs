use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::event::{NewEvent, Origin};
use archibald_core::id::{AgentId, OperationId, PendingOrderId};
use archibald_core::operation::{NewOperation, Operation};
use archibald_core::pending_order::{
    ChangedSince, NewPendingOrder, OPEN_LIMIT, PendingOrder, PendingOrderEdit, PendingOrderError,
};
use archibald_core::port::{CreatedPendingOrder, Enqueued, PendingOrderPage, PendingOrderStore};
use archibald_core::time::Timestamp;
use async_trait::async_trait;

use super::operations::{cut, enqueue, page_size};
use super::{Agent, MemoryStore, State};

#[async_trait]
impl PendingOrderStore for MemoryStore {
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
        self.write(|state, now| {
            let agent = state.agent(&new.agent);
            if let Some(order) = agent.pending_orders.values().find(|order| order.key == new.key) {
                let order = order.clone().created_again(&new)?;
                return Ok(CreatedPendingOrder { order, replayed: true });
            }
            let open = agent.pending_orders.values().filter(|order| order.is_open()).count();
            if open as u64 >= OPEN_LIMIT {
                return Err(PendingOrderError::Full { agent: new.agent });
            }
            let (order, event) = PendingOrder::accept(new, now);
            state.write_pending_order(order.clone(), event, now);
            Ok(CreatedPendingOrder { order, replayed: false })
        })
    }

    async fn find(&self, agent: &AgentId, id: PendingOrderId) -> Result<Option<PendingOrder>, StoreError> {
        Ok(self.lock().agent(agent).pending_orders.get(&id).cloned())
    }

    async fn page(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError> {
        let mut state = self.lock();
        let all = state.agent(agent).pending_orders.values().rev();
        let before = all.filter(|order| before.is_none_or(|before| order.id < before));
        let mut orders: Vec<_> = before.take(page_size(limit) + 1).cloned().collect();
        let next = cut(&mut orders, page_size(limit), |order| order.id);
        Ok(PendingOrderPage { orders, next })
    }

    async fn edit(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        edit: &PendingOrderEdit,
    ) -> Result<PendingOrder, PendingOrderError> {
        self.write(|state, now| {
            let (order, event) = state.agent(agent).pending_order(id)?.edit(edit, now)?;
            if let Some(event) = event {
                state.write_pending_order(order.clone(), event, now);
            }
            Ok(order)
        })
    }

    async fn discard(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        expected: u64,
        origin: Option<Origin>,
    ) -> Result<(), PendingOrderError> {
        self.write(|state, now| {
            let deleted = state.agent(agent).pending_order(id)?.discard(expected, origin)?;
            let of = state.agent(agent);
            of.pending_orders.remove(&id);
            of.append(vec![deleted], now);
            state.wake_devices(agent);
            Ok(())
        })
    }

    async fn submit(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        self.write(|state, now| enqueue(state, new, true, now))
    }
}

impl State {
    fn write_pending_order(&mut self, order: PendingOrder, event: NewEvent, now: Timestamp) {
        let id = order.agent.clone();
        let agent = self.agent(&id);
        agent.pending_orders.insert(order.id, order);
        agent.append(vec![event], now);
        self.wake_devices(&id);
    }
}

impl Agent {
    fn pending_order(&self, id: PendingOrderId) -> Result<PendingOrder, PendingOrderError> {
        self.pending_orders.get(&id).cloned().ok_or(PendingOrderError::NotFound(id))
    }

    /// Gives a new operation the pending order that it submits; the event that tells of it.
    pub(super) fn take_pending_order(
        &mut self,
        new: &NewOperation,
        must_exist: bool,
        now: Timestamp,
    ) -> Result<Option<NewEvent>, EnqueueError> {
        let Some(id) = new.pending_order() else { return Ok(None) };
        match self.pending_orders.get(&id).cloned() {
            Some(order) => {
                let (order, event) = order.taken_by(new, now)?;
                self.pending_orders.insert(id, order);
                Ok(Some(event))
            }
            None if must_exist => Err(EnqueueError::NoPendingOrder(id)),
            None => Ok(None),
        }
    }

    /// What becomes of the pending order that an operation submits; the event that tells of it.
    pub(super) fn follow(
        &mut self,
        operation: &Operation,
        now: Timestamp,
    ) -> Result<Option<NewEvent>, ChangedSince> {
        let order = operation.pending_order().and_then(|id| self.pending_orders.get(&id));
        let Some(order) = order else { return Ok(None) };
        Ok(order.follow(operation, now)?.map(|(order, event)| {
            self.pending_orders.insert(order.id, order);
            event
        }))
    }

    /// Forgets the pending order that an operation made an order of.
    pub(super) fn forget_pending_order(&mut self, operation: OperationId) {
        self.pending_orders.retain(|_, order| order.submitted_by() != Some(operation));
    }

    /// Those that are not submitted, and the last ones that are, newest first.
    pub(super) fn pending_orders_shown(&self, submitted: usize) -> Vec<PendingOrder> {
        let (mut shown, mut done): (Vec<_>, Vec<_>) =
            self.pending_orders.values().cloned().partition(PendingOrder::is_open);
        done.sort_by_key(|order| (order.updated_at, order.id));
        shown.extend(done.into_iter().rev().take(submitted));
        shown.sort_by_key(|order| std::cmp::Reverse(order.id));
        shown
    }
}
