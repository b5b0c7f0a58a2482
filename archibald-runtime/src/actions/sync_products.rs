//! `sync-products`: the catalogue as local rows.

use archibald_core::port::{ArchibaldClient, ClientError};
use async_trait::async_trait;
use serde_json::json;

use super::sync::{List, Page};

/// Reads the products. Payload: `{}`; result: `{"read", "created", "updated", "removed"}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncProducts;

#[async_trait]
impl List for SyncProducts {
    fn name(&self) -> &'static str {
        "products"
    }

    fn event(&self) -> &'static str {
        "product.updated"
    }

    async fn read(&self, client: &dyn ArchibaldClient, page: u32) -> Result<Page, ClientError> {
        let page = client.read_products(page).await?;
        let rows = page.products.into_iter().map(|product| (product.code.clone(), json!(product)));
        Ok(Page { rows: rows.collect(), pages: page.pages })
    }
}
