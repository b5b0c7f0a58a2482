use std::sync::Arc;

use archibald_core::effect::{ActOutcome, Intent, Permit};
use archibald_core::erp::{
    Customer, CustomerPage, Order, OrderPage, OrderQuery, OrderSummary, PricePage, ProductPage,
    WantedCustomer, WantedOrder,
};
use archibald_core::id::{AgentId, EffectName};
use archibald_core::port::{ArchibaldClient, ClientError, CommitGate, Finish, GateRefused, SessionLease};
use archibald_core::record::Evidence;
use async_trait::async_trait;

use super::pool::PointedGuard;
use super::{Failpoint, named};

/// A session and its client, since the one only lends the other.
pub(super) struct PointedSession {
    pub(super) inner: Box<dyn SessionLease>,
    pub(super) guard: Arc<PointedGuard>,
    pub(super) point: Arc<Failpoint>,
    pub(super) agent: AgentId,
}

struct PointedGate {
    inner: Arc<dyn CommitGate>,
    point: Arc<Failpoint>,
    agent: AgentId,
}

#[async_trait]
impl SessionLease for PointedSession {
    fn client(&self) -> &dyn ArchibaldClient {
        self
    }

    async fn finish(self: Box<Self>, how: Finish) {
        let Self { inner, point, agent, .. } = *self;
        point.beside("session.finish", &agent, inner.finish(how)).await;
    }
}

#[async_trait]
impl CommitGate for PointedGate {
    async fn open(&self, intent: Intent) -> Result<Permit, GateRefused> {
        let name = named(intent.effect(), "gate.open", "repair.gate");
        self.point.beside(name, &self.agent, self.inner.open(intent)).await
    }
}

impl PointedSession {
    fn erp(&self) -> &dyn ArchibaldClient {
        self.inner.client()
    }

    /// An act, every verb alike.
    async fn act<R>(
        &self,
        effect: EffectName,
        act: impl Future<Output = ActOutcome<R>> + Send,
    ) -> ActOutcome<R> {
        let act = async {
            self.guard.act(named(&effect, "page.type", "repair.type"));
            act.await
        };
        let name = named(&effect, "client.act", "repair.act");
        self.point.beside(name, &self.agent, act).await
    }

    async fn read<T>(&self, name: &str, read: impl Future<Output = T> + Send) -> T {
        self.point.beside(name, &self.agent, read).await
    }

    fn gate(&self, inner: Arc<dyn CommitGate>) -> Arc<dyn CommitGate> {
        Arc::new(PointedGate { inner, point: self.point.clone(), agent: self.agent.clone() })
    }
}

#[async_trait]
impl ArchibaldClient for PointedSession {
    async fn create_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        self.act(intent.effect().clone(), self.erp().create_order(wanted, reference, intent, self.gate(gate)))
            .await
    }

    async fn edit_order(
        &self,
        number: &str,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        self.act(
            intent.effect().clone(),
            self.erp().edit_order(number, wanted, reference, intent, self.gate(gate)),
        )
        .await
    }

    async fn delete_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<()> {
        self.act(intent.effect().clone(), self.erp().delete_order(number, intent, self.gate(gate))).await
    }

    async fn send_order(&self, number: &str, intent: Intent, gate: Arc<dyn CommitGate>) -> ActOutcome<Order> {
        self.act(intent.effect().clone(), self.erp().send_order(number, intent, self.gate(gate))).await
    }

    async fn create_customer(
        &self,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        self.act(intent.effect().clone(), self.erp().create_customer(wanted, intent, self.gate(gate))).await
    }

    async fn update_customer(
        &self,
        code: &str,
        wanted: &WantedCustomer,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Customer> {
        self.act(intent.effect().clone(), self.erp().update_customer(code, wanted, intent, self.gate(gate)))
            .await
    }

    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
        self.read("client.find_orders", self.erp().find_orders(query)).await
    }

    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError> {
        self.read("client.read_order", self.erp().read_order(number)).await
    }

    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError> {
        self.read("client.read_page", self.erp().read_customers(page)).await
    }

    async fn find_customers(&self, text: &str) -> Result<Vec<Customer>, ClientError> {
        self.read("client.find_customers", self.erp().find_customers(text)).await
    }

    async fn read_customer(&self, code: &str) -> Result<Option<Customer>, ClientError> {
        self.read("client.read_customer", self.erp().read_customer(code)).await
    }

    async fn read_products(&self, page: u32) -> Result<ProductPage, ClientError> {
        self.read("client.read_page", self.erp().read_products(page)).await
    }

    async fn read_prices(&self, page: u32) -> Result<PricePage, ClientError> {
        self.read("client.read_page", self.erp().read_prices(page)).await
    }

    async fn read_orders(&self, page: u32) -> Result<OrderPage, ClientError> {
        self.read("client.read_page", self.erp().read_orders(page)).await
    }

    async fn check_health(&self) -> Result<(), ClientError> {
        self.read("client.check_health", self.erp().check_health()).await
    }

    async fn capture(&self) -> Vec<Evidence> {
        self.erp().capture().await
    }

    async fn trace(&self) -> Option<Evidence> {
        self.erp().trace().await
    }
}
