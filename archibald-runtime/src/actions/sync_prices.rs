//! `sync-prices`: what products cost groups of customers, as local rows.

use archibald_core::erp::Price;
use archibald_core::port::{ArchibaldClient, ClientError};
use async_trait::async_trait;
use serde_json::json;

use super::sync::{List, Page};

/// Reads the prices. Payload: `{}`; result: `{"read", "created", "updated", "removed"}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncPrices;

#[async_trait]
impl List for SyncPrices {
    fn name(&self) -> &'static str {
        "prices"
    }

    fn event(&self) -> &'static str {
        "price.updated"
    }

    async fn read(&self, client: &dyn ArchibaldClient, page: u32) -> Result<Page, ClientError> {
        let page = client.read_prices(page).await?;
        let rows = page.prices.into_iter().map(|price| (id(&price), json!(price)));
        Ok(Page { rows: rows.collect(), pages: page.pages })
    }
}

/// Product and group together are what a price is told apart by.
fn id(price: &Price) -> String {
    format!("{}/{}", price.product, price.group)
}
