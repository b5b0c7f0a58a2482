//! A leased session: the verbs of the ERP, and the way back into the pool.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, Intent};
use archibald_core::erp::{
    Customer, CustomerPage, Order, OrderPage, OrderQuery, OrderSummary, PricePage, ProductPage,
    WantedCustomer, WantedOrder,
};
use archibald_core::port::{ArchibaldClient, ClientError, CommitGate, Finish, SessionLease};
use archibald_core::record::Evidence;
use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::customer::SaveCustomer;
use super::order_write::{DeleteOrder, SaveOrder, SendOrder};
use super::pool::Warm;
use super::tab::Tab;
use super::write::act;
use super::{customer, lists, order};

/// A session in use. Dropped in this order: the slot is free before the session counts as idle.
pub(super) struct DirectSession {
    tab: Tab,
    _slot: OwnedSemaphorePermit,
    warm: Warm,
    _open: TaskTrackerToken,
}

impl DirectSession {
    pub(super) fn new(tab: Tab, slot: OwnedSemaphorePermit, mut warm: Warm) -> Self {
        warm.keep = false;
        let open = tab.site.open.token();
        Self { tab, _slot: slot, warm, _open: open }
    }
}

#[async_trait]
impl SessionLease for DirectSession {
    fn client(&self) -> &dyn ArchibaldClient {
        self
    }

    async fn finish(mut self: Box<Self>, how: Finish) {
        self.warm.keep = how == Finish::Clean;
    }
}

#[async_trait]
impl ArchibaldClient for DirectSession {
    async fn create_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        act(&self.tab, SaveOrder { number: None, wanted, reference }, intent, gate).await
    }

    async fn edit_order(
        &self,
        number: &str,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        act(&self.tab, SaveOrder { number: Some(number), wanted, reference }, intent, gate).await
    }

    async fn delete_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<()> {
        act(&self.tab, DeleteOrder(number), intent, gate).await
    }

    async fn send_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<Order> {
        act(&self.tab, SendOrder(number), intent, gate).await
    }

    async fn create_customer(
        &self,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        act(&self.tab, SaveCustomer::new(None, wanted), intent, gate).await
    }

    async fn update_customer(
        &self,
        code: &str,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        act(&self.tab, SaveCustomer::new(Some(code), wanted), intent, gate).await
    }

    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
        lists::find_orders(&self.tab, query).await
    }

    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError> {
        match order::open(&self.tab, number).await? {
            Some(page) => order::read(&self.tab, page).await.map(Some),
            None => Ok(None),
        }
    }

    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError> {
        lists::customers(&self.tab, page).await
    }

    async fn find_customers(&self, text: &str) -> Result<Vec<Customer>, ClientError> {
        lists::find_customers(&self.tab, text).await
    }

    async fn read_customer(&self, code: &str) -> Result<Option<Customer>, ClientError> {
        customer::open(&self.tab, code).await?.as_ref().map(customer::read).transpose()
    }

    async fn read_products(&self, page: u32) -> Result<ProductPage, ClientError> {
        lists::products(&self.tab, page).await
    }

    async fn read_prices(&self, page: u32) -> Result<PricePage, ClientError> {
        lists::prices(&self.tab, page).await
    }

    async fn read_orders(&self, page: u32) -> Result<OrderPage, ClientError> {
        lists::orders(&self.tab, page).await
    }

    async fn check_health(&self) -> Result<(), ClientError> {
        self.tab.check_user().await
    }

    async fn capture(&self) -> Vec<Evidence> {
        let page = |html: String| Evidence {
            name: "page".to_owned(),
            media_type: "text/html".to_owned(),
            bytes: html.into_bytes(),
        };
        self.tab.shown().map(page).into_iter().collect()
    }
}
