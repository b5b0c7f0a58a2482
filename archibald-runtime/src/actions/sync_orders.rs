//! `sync-orders`: the agent's orders as local rows, lines included.
//!
//! The list shows the head of an order and its total. An order is opened only where these are not what is
//! known, so a sync of old orders costs the list's pages and nothing more.

use archibald_core::erp::OrderSummary;
use archibald_core::port::{ArchibaldClient, ClientError};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::sync::{List, Merged, Page};

/// Reads the agent's orders. Payload: `{}`; result: `{"read", "created", "updated", "removed"}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncOrders;

#[async_trait]
impl List for SyncOrders {
    fn name(&self) -> &'static str {
        "orders"
    }

    fn event(&self) -> &'static str {
        "order.updated"
    }

    async fn read(&self, client: &dyn ArchibaldClient, page: u32) -> Result<Page, ClientError> {
        let page = client.read_orders(page).await?;
        let rows = page.orders.iter().map(|order| (order.number.clone(), summary(order)));
        Ok(Page { rows: rows.collect(), pages: page.pages })
    }

    fn merge(&self, shown: &Value, known: Option<&Value>) -> Merged {
        let fields = shown.as_object();
        let is_known = |known: &&Value| {
            fields.is_some_and(|fields| fields.iter().all(|(field, value)| known.get(field) == Some(value)))
        };
        known.filter(is_known).map_or(Merged::Open, |known| Merged::Row(known.clone()))
    }

    async fn open(
        &self,
        client: &dyn ArchibaldClient,
        id: &str,
        shown: &Value,
    ) -> Result<Option<Value>, ClientError> {
        let Some(order) = client.read_order(id).await? else { return Ok(None) };
        let mut whole = json!(order);
        whole["total"] = shown["total"].clone();
        Ok(Some(whole))
    }

    async fn exists(&self, client: &dyn ArchibaldClient, id: &str) -> Result<Option<bool>, ClientError> {
        Ok(Some(client.read_order(id).await?.is_some()))
    }
}

fn summary(order: &OrderSummary) -> Value {
    json!({
        "number": order.number,
        "customer": order.customer,
        "date": order.date,
        "reference": order.reference,
        "sent": order.sent,
        "total": order.total.normalize().to_string(),
    })
}
