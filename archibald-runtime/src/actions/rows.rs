//! Looking up local rows.

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, Collection};
use archibald_core::port::{OperationStore, RowQuery};
use archibald_core::time::Timestamp;
use serde_json::Value;

/// Rows of an agent, over all their pages: those in which a search finds a text, or all of them. Id, content,
/// and when it was last written.
pub(super) async fn all(
    store: &dyn OperationStore,
    agent: &AgentId,
    collection: Collection,
    search: Option<&str>,
) -> Result<Vec<(String, Value, Timestamp)>, StoreError> {
    let mut rows = vec![];
    let mut query = RowQuery { collection, search: search.map(str::to_owned), after: None, limit: 500 };
    loop {
        let page = store.rows(agent, &query).await?;
        rows.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
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
    let rows = all(store, agent, collection, Some(id)).await?;
    Ok(rows.into_iter().find_map(|(found, doc, _)| (found == id).then_some(doc)))
}
