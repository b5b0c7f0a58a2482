//! The ERP: it does what it is told as often as it is told, and keeps the ledger that decides.

use std::collections::BTreeMap;

use archibald_core::effect::Receipt;
use archibald_core::id::OperationId;
use archibald_core::time::Timestamp;
use serde_json::json;

#[derive(Default)]
pub(crate) struct Erp {
    ledger: BTreeMap<OperationId, Vec<Entry>>,
}

struct Entry {
    applied: Timestamp,
    listed: Timestamp,
}

impl Erp {
    /// Applies the effect once more; lists show it from `listed` on.
    pub(crate) fn apply(&mut self, operation: OperationId, applied: Timestamp, listed: Timestamp) {
        self.ledger.entry(operation).or_default().push(Entry { applied, listed });
    }

    pub(crate) fn times_applied(&self, operation: OperationId) -> usize {
        self.ledger.get(&operation).map_or(0, Vec::len)
    }

    /// What a look at the lists finds.
    pub(crate) fn find(&self, operation: OperationId, now: Timestamp) -> Option<Receipt> {
        let listed = |entry: &Entry| entry.applied <= now && entry.listed <= now;
        let found = self.ledger.get(&operation).is_some_and(|entries| entries.iter().any(listed));
        found.then(|| receipt(operation))
    }
}

pub(crate) fn receipt(operation: OperationId) -> Receipt {
    Receipt(json!({ "order": operation.to_string() }))
}
