use std::sync::Arc;

use async_trait::async_trait;

use crate::effect::{ActOutcome, Intent, NotSent, Permit};
use crate::erp::{
    Customer, CustomerPage, Order, OrderPage, OrderQuery, OrderSummary, PricePage, ProductPage,
    WantedCustomer, WantedOrder,
};
use crate::error::FenceError;
use crate::record::Evidence;

use super::LeaseLost;

/// The gate did not open; nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("the commit gate did not open: {0}")]
pub struct GateRefused(#[from] pub FenceError);

/// The one place through which a request that changes the ERP leaves.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait CommitGate: Send + Sync {
    /// Checks the fence and commits `released`. Called when the request is held and before its first byte;
    /// on `Ok` it must be sent exactly once, by a task that nothing cancels, and not at all once the permit
    /// is over.
    ///
    /// # Errors
    /// [`GateRefused`]: nothing may be sent.
    ///
    /// # Cancel safety
    /// Not cancel safe: run it to its end.
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused>;
}

/// Why the ERP could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The ERP wants a login again.
    #[error("the session expired")]
    SessionExpired,
    /// The session is another user's: never go on with it.
    #[error("the page belongs to user {found:?}, not to {expected:?}")]
    WrongUser {
        /// Whose it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// The ERP answers with an error or a maintenance page.
    #[error("the ERP is unavailable: {0}")]
    Unavailable(String),
    /// It took too long.
    #[error("{what} took longer than {limit_ms} ms")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long, in milliseconds.
        limit_ms: u64,
    },
    /// Page, context or browser are gone.
    #[error("the page is lost: {0}")]
    PageLost(String),
    /// The page is not what the page map says.
    #[error("page {page}: {key} ({selector}) does not match: {detail}")]
    Unrecognised {
        /// Which page.
        page: String,
        /// The key in the page map.
        key: String,
        /// What it says.
        selector: String,
        /// What was found instead.
        detail: String,
    },
    /// The lease ended.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// It was asked to give way between two pages, by [`Guard::should_yield`](super::Guard::should_yield). The
    /// page is at rest.
    #[error("gave way")]
    GaveWay,
}

/// What the product knows of the ERP: the verbs, in one agent's session. A client for an ERP without some of
/// them leaves these out: acting says that nothing was sent, reading that it cannot be read.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait ArchibaldClient: Send + Sync {
    /// Types a new order, saves it through the gate and reads the answer back. `reference` is what goes
    /// into the reference field, mark included.
    ///
    /// Preemption is not looked at from here on; the intent's budget bounds the request.
    ///
    /// # Cancel safety
    /// Not cancel safe: run it to its end. Dropped, it counts as ambiguous once the gate was opened.
    async fn create_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order>;

    /// Changes what differs of an order that exists, saves it through the gate and reads the answer back.
    /// `reference` is what goes into the reference field, mark included. An order that is missing or sent
    /// is refused before the gate.
    ///
    /// # Cancel safety
    /// As [`create_order`](ArchibaldClient::create_order).
    async fn edit_order(
        &self,
        number: &str,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        let _ = (number, wanted, reference, gate);
        cannot("edit orders", &intent)
    }

    /// Deletes an order through the gate; done when the ERP says that it is gone. An order that is missing
    /// or sent is refused before the gate.
    ///
    /// # Cancel safety
    /// As [`create_order`](ArchibaldClient::create_order).
    async fn delete_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<()> {
        let _ = (number, gate);
        cannot("delete orders", &intent)
    }

    /// Sends an order to Verona through the gate and reads the answer back: done when it shows as sent. An
    /// order that is missing or sent is refused before the gate.
    ///
    /// # Cancel safety
    /// As [`create_order`](ArchibaldClient::create_order).
    async fn send_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<Order> {
        let _ = (number, gate);
        cannot("send orders", &intent)
    }

    /// Types a new customer, saves it through the gate and reads the answer back.
    ///
    /// # Cancel safety
    /// As [`create_order`](ArchibaldClient::create_order).
    async fn create_customer(
        &self,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        let _ = (wanted, gate);
        cannot("create customers", &intent)
    }

    /// Changes what differs of a customer that exists, saves it through the gate and reads the answer back.
    /// A customer that is missing is refused before the gate.
    ///
    /// # Cancel safety
    /// As [`create_order`](ArchibaldClient::create_order).
    async fn update_customer(
        &self,
        code: &str,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        let _ = (code, wanted, gate);
        cannot("update customers", &intent)
    }

    /// All rows of the list of orders that match, over all its pages.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// The page is in an unknown state afterwards: finish the session as dirty.
    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError>;

    /// An order's detail page; `None` when there is no such order.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError>;

    /// One page of the list of customers, from 1.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError>;

    /// All customers that the ERP's search finds for a text, over all its pages. The list shows some of the
    /// fields only; the rest are empty.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn find_customers(&self, text: &str) -> Result<Vec<Customer>, ClientError> {
        Err(unreadable("search customers", text))
    }

    /// A customer's detail page; `None` when there is no such customer.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn read_customer(&self, code: &str) -> Result<Option<Customer>, ClientError> {
        Err(unreadable("read customer", code))
    }

    /// One page of the list of products, from 1.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn read_products(&self, page: u32) -> Result<ProductPage, ClientError> {
        Err(unreadable("read products, page", page))
    }

    /// One page of the list of prices, from 1.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn read_prices(&self, page: u32) -> Result<PricePage, ClientError> {
        Err(unreadable("read prices, page", page))
    }

    /// One page of the list of the agent's orders without a filter, from 1.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn read_orders(&self, page: u32) -> Result<OrderPage, ClientError> {
        Err(unreadable("read orders, page", page))
    }

    /// Whether this session reads what is known to exist: the ERP's start page with the agent's name.
    ///
    /// # Errors
    /// [`ClientError`] says what is wrong with it.
    ///
    /// # Cancel safety
    /// As [`find_orders`](ArchibaldClient::find_orders).
    async fn check_health(&self) -> Result<(), ClientError>;

    /// What the page looks like now and what was asked of the ERP last, without secrets: no passwords, no
    /// cookies, no form values beside what the page shows. Best effort: what cannot be had is left out.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn capture(&self) -> Vec<Evidence>;

    /// What was done in this session since it was taken, step by step, as a page to read: without secrets, but with what
    /// was typed into the ERP. With pictures where [`AcquireRequest::trace`](super::AcquireRequest::trace) asked for
    /// them. `None` from a client that does not remember it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn trace(&self) -> Option<Evidence> {
        None
    }
}

fn cannot<R>(what: &str, intent: &Intent) -> ActOutcome<R> {
    ActOutcome::NotSent(NotSent::Other(format!("{}: this client cannot {what}", intent.effect())))
}

fn unreadable(what: &str, which: impl std::fmt::Display) -> ClientError {
    ClientError::Unavailable(format!("this client cannot {what} {which}"))
}
