use async_trait::async_trait;

use super::Enqueued;
use crate::error::{EnqueueError, StoreError};
use crate::event::Origin;
use crate::id::{AgentId, OperationKey, PendingOrderId};
use crate::operation::NewOperation;
use crate::pending_order::{NewPendingOrder, PendingOrder, PendingOrderEdit, PendingOrderError};

/// A pending order that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatedPendingOrder {
    /// As stored.
    pub order: PendingOrder,
    /// Whether it existed before: the same key and content.
    pub replayed: bool,
}

/// A page of pending orders, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingOrderPage {
    /// The pending orders.
    pub orders: Vec<PendingOrder>,
    /// Where the next page begins: a value for `before`.
    pub next: Option<PendingOrderId>,
}

/// A pending order that is to become an order.
#[derive(Debug, Clone, PartialEq)]
pub struct SubmitRequest {
    /// Whose.
    pub agent: AgentId,
    /// Which.
    pub id: PendingOrderId,
    /// The version that was looked at; whichever it has when absent.
    pub expected: Option<u64>,
    /// The same key twice is one operation. When absent, one of the pending order and its version.
    pub key: Option<OperationKey>,
    /// Who asks.
    pub origin: Option<Origin>,
}

/// Where pending orders live. What operations do to them is written by the
/// [`OperationStore`](super::OperationStore) of the same store, which keeps both in one place.
///
/// Every write commits with the event that tells of it, durably, before it is answered. All times are the store's
/// own.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait PendingOrderStore: Send + Sync {
    /// Creates one, unless the key names one.
    ///
    /// # Errors
    /// [`PendingOrderError::KeyReused`], [`PendingOrderError::Full`] or [`PendingOrderError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have created it; the same key again tells.
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError>;

    /// One of an agent; `None` also when it is another agent's.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn find(&self, agent: &AgentId, id: PendingOrderId) -> Result<Option<PendingOrder>, StoreError>;

    /// At most `limit` of an agent, newest first by their ids, those before one of them where that is given.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn page(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError>;

    /// Changes what one says. The same mutation of the same device again changes nothing.
    ///
    /// # Errors
    /// See [`PendingOrder::edit`]; [`PendingOrderError::NotFound`] or [`PendingOrderError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have changed it; reading tells.
    async fn edit(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        edit: &PendingOrderEdit,
    ) -> Result<PendingOrder, PendingOrderError>;

    /// Deletes one.
    ///
    /// # Errors
    /// See [`PendingOrder::discard`]; [`PendingOrderError::NotFound`] or [`PendingOrderError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have deleted it; reading tells.
    async fn discard(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        expected: u64,
        origin: Option<Origin>,
    ) -> Result<(), PendingOrderError>;

    /// As [`OperationStore::enqueue`](super::OperationStore::enqueue) of an operation that submits a pending
    /// order, which has to be there.
    ///
    /// # Errors
    /// As there, and [`EnqueueError::NoPendingOrder`].
    ///
    /// # Cancel safety
    /// As there.
    async fn submit(&self, new: NewOperation) -> Result<Enqueued, EnqueueError>;
}

/// What the product does with pending orders for those who ask from outside.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait PendingOrders: Send + Sync {
    /// Checks and creates one.
    ///
    /// # Errors
    /// [`PendingOrderError::Invalid`], and those of [`PendingOrderStore::create`].
    ///
    /// # Cancel safety
    /// A dropped call may have created it; the same key again tells.
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError>;

    /// One of an agent.
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn find(&self, agent: &AgentId, id: PendingOrderId) -> Result<Option<PendingOrder>, StoreError>;

    /// Those of an agent, as [`PendingOrderStore::page`].
    ///
    /// # Errors
    /// [`StoreError`].
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    async fn page(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError>;

    /// Checks and makes a change.
    ///
    /// # Errors
    /// [`PendingOrderError::Invalid`], and those of [`PendingOrderStore::edit`].
    ///
    /// # Cancel safety
    /// A dropped call may have changed it; reading tells.
    async fn edit(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        edit: &PendingOrderEdit,
    ) -> Result<PendingOrder, PendingOrderError>;

    /// Deletes one.
    ///
    /// # Errors
    /// Those of [`PendingOrderStore::discard`].
    ///
    /// # Cancel safety
    /// A dropped call may have deleted it; reading tells.
    async fn discard(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        expected: u64,
        origin: Option<Origin>,
    ) -> Result<(), PendingOrderError>;

    /// Makes an operation of one that submits it as it is, or gives the one that does so already. `Ok` means: on
    /// disk.
    ///
    /// # Errors
    /// [`PendingOrderError::Enqueue`], with [`EnqueueError::Invalid`] naming the fields of the content that an
    /// order cannot have; [`PendingOrderError::NotFound`], [`PendingOrderError::Conflict`] or
    /// [`PendingOrderError::Store`].
    ///
    /// # Cancel safety
    /// A dropped call may have submitted it; asking again tells.
    async fn submit(&self, request: SubmitRequest) -> Result<Enqueued, PendingOrderError>;
}
