//! `sync-customers`: the agent's customers as local rows.

use archibald_core::port::{ArchibaldClient, ClientError};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::sync::{List, Merged, Page};

/// Reads the agent's customers. Payload: `{}`; result: `{"read", "created", "updated", "removed"}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncCustomers;

/// See [`CustomerPage::customers`](archibald_core::erp::CustomerPage::customers).
const LISTED: [&str; 5] = ["code", "name", "vat", "city", "country"];

#[async_trait]
impl List for SyncCustomers {
    fn name(&self) -> &'static str {
        "customers"
    }

    fn event(&self) -> &'static str {
        "customer.updated"
    }

    async fn read(&self, client: &dyn ArchibaldClient, page: u32) -> Result<Page, ClientError> {
        let page = client.read_customers(page).await?;
        let rows = page.customers.into_iter().map(|customer| (customer.code.clone(), json!(customer)));
        Ok(Page { rows: rows.collect(), pages: page.pages })
    }

    /// What is known of the fields that the list does not show stays.
    fn merge(&self, shown: &Value, known: Option<&Value>) -> Merged {
        let mut merged = shown.clone();
        if let (Some(fields), Some(known)) = (merged.as_object_mut(), known) {
            for (field, text) in fields.iter_mut().filter(|(field, _)| !LISTED.contains(&field.as_str())) {
                if let Some(before) = known.get(field) {
                    text.clone_from(before);
                }
            }
        }
        Merged::Row(merged)
    }

    async fn exists(&self, client: &dyn ArchibaldClient, id: &str) -> Result<Option<bool>, ClientError> {
        Ok(Some(client.read_customer(id).await?.is_some()))
    }
}
