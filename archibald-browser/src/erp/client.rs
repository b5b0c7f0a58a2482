use std::sync::{Arc, Mutex, PoisonError};

use archibald_core::effect::{ActOutcome, Intent, NotSent};
use archibald_core::erp::{
    Customer, CustomerPage, Order, OrderPage, OrderQuery, OrderSummary, PricePage, ProductPage,
    WantedCustomer, WantedOrder,
};
use archibald_core::port::{ArchibaldClient, ClientError, CommitGate, Guard};
use archibald_core::record::Evidence;
use async_trait::async_trait;

use super::write::{Ended, fence};
use super::{At, Site};
use crate::driver::{Context, Limit, Page};
use crate::gate::Gate;

/// The ERP in one agent's session, under one lease.
pub struct ErpClient {
    site: Arc<Site>,
    context: Arc<Context>,
    page: Page,
    guard: Arc<dyn Guard>,
    user: String,
    /// Never to be shown to anybody.
    secrets: Vec<String>,
    /// The page of a list that the browser shows, if it shows one: the next is one click away.
    shown: Mutex<Option<(ListName, u32)>>,
}

/// The lists that are read page by page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListName {
    Customers,
    Products,
    Prices,
    Orders,
}

impl std::fmt::Debug for ErpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ErpClient")
            .field("user", &self.user)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

impl ErpClient {
    /// A client over a page of a context that is logged in as `user`.
    pub fn new(
        site: Arc<Site>,
        context: Arc<Context>,
        page: Page,
        guard: Arc<dyn Guard>,
        user: String,
    ) -> Self {
        page.remember_steps(false);
        let secrets = Vec::new();
        Self { site, context, page, guard, user, secrets, shown: Mutex::default() }
    }

    /// The same, whose evidence never shows this text, which is the agent's password.
    #[must_use]
    pub fn hiding(self, secret: String) -> Self {
        Self { secrets: vec![secret], ..self }
    }

    /// The same, whose trace has a picture of each step; each takes longer for it.
    #[must_use]
    pub fn with_pictures(self) -> Self {
        self.page.remember_steps(true);
        self
    }

    /// The page, for its next user.
    #[must_use]
    pub fn into_page(self) -> Page {
        self.page.forget_steps();
        self.page
    }

    /// The page.
    #[must_use]
    pub fn page(&self) -> &Page {
        &self.page
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn secrets(&self) -> &[String] {
        &self.secrets
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn gate(&self) -> Result<&Gate, NotSent> {
        self.context.gate().ok_or_else(|| NotSent::Other("the context has no commit gate".to_owned()))
    }

    /// Begins a flow, which leaves whatever list was shown. Bounded by the lease alone; every step that
    /// loads a page is bounded by the site's step besides.
    pub(super) fn begin(&self) -> Limit {
        self.show(None);
        self.limit()
    }

    pub(super) fn at<'a>(&'a self, limit: &'a Limit) -> At<'a> {
        At { page: &self.page, limit, user: &self.user }
    }

    fn limit(&self) -> Limit {
        Limit::leased(self.guard.clone(), self.site.step() * 60)
    }

    /// Begins to read a page of a list: the page wanted and the one of it that is shown, 0 for none.
    fn turn_to(&self, list: ListName, page: u32) -> (u32, u32) {
        let shown = self.show(None).filter(|(name, _)| *name == list);
        (page, shown.map_or(0, |(_, page)| page))
    }

    /// Remembers what is shown; returns what was.
    fn show(&self, list: Option<(ListName, u32)>) -> Option<(ListName, u32)> {
        std::mem::replace(&mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner), list)
    }

    fn told<T>(&self, outcome: Result<T, ClientError>) -> Result<T, ClientError> {
        outcome.map_err(|error| self.explained(error))
    }
}

#[async_trait]
impl ArchibaldClient for ErpClient {
    async fn create_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        self.save_new_order(wanted, reference, fence(intent, gate)).await.unwrap_or_else(Ended::outcome)
    }

    async fn edit_order(
        &self,
        number: &str,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        self.save_changed_order(number, wanted, reference, fence(intent, gate))
            .await
            .unwrap_or_else(Ended::outcome)
    }

    async fn delete_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<()> {
        self.delete_known_order(number, fence(intent, gate)).await.unwrap_or_else(Ended::outcome)
    }

    async fn send_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<Order> {
        self.send_known_order(number, fence(intent, gate)).await.unwrap_or_else(Ended::outcome)
    }

    async fn create_customer(
        &self,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        self.save_new_customer(wanted, fence(intent, gate)).await.unwrap_or_else(Ended::outcome)
    }

    async fn update_customer(
        &self,
        code: &str,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        self.save_changed_customer(code, wanted, fence(intent, gate)).await.unwrap_or_else(Ended::outcome)
    }

    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
        let limit = self.begin();
        self.told(self.site.find_orders(self.at(&limit), query).await)
    }

    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError> {
        let limit = self.begin();
        self.told(self.site.read_order(self.at(&limit), number).await)
    }

    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError> {
        let (limit, places) = (self.limit(), self.turn_to(ListName::Customers, page));
        let read = self.told(self.site.read_customers(self.at(&limit), places).await)?;
        self.show(Some((ListName::Customers, page.min(read.pages))));
        Ok(read)
    }

    async fn find_customers(&self, text: &str) -> Result<Vec<Customer>, ClientError> {
        let limit = self.begin();
        self.told(self.site.find_customers(self.at(&limit), text).await)
    }

    async fn read_customer(&self, code: &str) -> Result<Option<Customer>, ClientError> {
        let limit = self.begin();
        self.told(self.site.read_customer(self.at(&limit), code).await)
    }

    async fn read_products(&self, page: u32) -> Result<ProductPage, ClientError> {
        let (limit, places) = (self.limit(), self.turn_to(ListName::Products, page));
        let read = self.told(self.site.read_products(self.at(&limit), places).await)?;
        self.show(Some((ListName::Products, page.min(read.pages))));
        Ok(read)
    }

    async fn read_prices(&self, page: u32) -> Result<PricePage, ClientError> {
        let (limit, places) = (self.limit(), self.turn_to(ListName::Prices, page));
        let read = self.told(self.site.read_prices(self.at(&limit), places).await)?;
        self.show(Some((ListName::Prices, page.min(read.pages))));
        Ok(read)
    }

    async fn read_orders(&self, page: u32) -> Result<OrderPage, ClientError> {
        let (limit, places) = (self.limit(), self.turn_to(ListName::Orders, page));
        let read = self.told(self.site.read_orders(self.at(&limit), places).await)?;
        self.show(Some((ListName::Orders, page.min(read.pages))));
        Ok(read)
    }

    async fn check_health(&self) -> Result<(), ClientError> {
        let limit = self.begin();
        self.site.validate(&self.page, &limit, &self.user).await
    }

    async fn capture(&self) -> Vec<Evidence> {
        self.look_for_evidence(&self.limit()).await
    }

    async fn trace(&self) -> Option<Evidence> {
        self.tell_steps(&self.limit()).await
    }
}
