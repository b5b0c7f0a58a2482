//! A leased session: the verbs of the ERP, and the way back into the pool.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, Intent};
use archibald_core::erp::{CustomerPage, Order, OrderQuery, OrderSummary, WantedOrder};
use archibald_core::port::{ArchibaldClient, ClientError, CommitGate, Finish, SessionLease};
use archibald_core::record::Evidence;
use async_trait::async_trait;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::pool::Warm;
use super::tab::Tab;
use super::{lists, order, save};

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
        save::create(&self.tab, wanted, reference, intent, gate).await
    }

    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
        lists::orders(&self.tab, query).await
    }

    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError> {
        let page = self.tab.open("/Order.aspx", &[("number", number)]).await?;
        if page.has("NotFound") {
            return Ok(None);
        }
        if page.expect_text("Number")? != number {
            let detail = format!("order {number:?} was asked for");
            return Err(page.unrecognised("Number", "#ctl00_Main_Number", detail));
        }
        order::read(&self.tab, page).await.map(Some)
    }

    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError> {
        lists::customers(&self.tab, page).await
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
