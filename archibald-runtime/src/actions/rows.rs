//! Looking up local rows.

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, Collection};
use archibald_core::port::{OperationStore, RowQuery};
use serde_json::Value;

/// Rows of an agent in which a search finds this text, with their ids.
pub(super) async fn found(
    store: &dyn OperationStore,
    agent: &AgentId,
    collection: Collection,
    text: &str,
) -> Result<Vec<(String, Value)>, StoreError> {
    let mut rows = vec![];
    let mut after = None;
    loop {
        let query =
            RowQuery { collection: collection.clone(), search: Some(text.to_owned()), after, limit: 500 };
        let page = store.rows(agent, &query).await?;
        rows.extend(page.rows.into_iter().map(|(id, doc, _)| (id, doc)));
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// The row of this id.
pub(super) async fn row(
    store: &dyn OperationStore,
    agent: &AgentId,
    collection: Collection,
    id: &str,
) -> Result<Option<Value>, StoreError> {
    let rows = found(store, agent, collection, id).await?;
    Ok(rows.into_iter().find_map(|(found, doc)| (found == id).then_some(doc)))
}
