use std::sync::atomic::AtomicU64;

use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;

use crate::history::History;

/// What is counted since the start, for the overview, and what became of operations lately.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) probes: AtomicU64,
    pub(crate) history: History,
}

impl Stats {
    /// `now` is the store's time.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { probes: AtomicU64::new(0), history: History::begin(now) }
    }

    /// An operation was leased. Only its first start ends a wait: what comes again was not waiting all the time.
    pub(crate) fn started(&self, record: &OperationRecord) {
        let operation = &record.operation;
        if let ([first], 0) = (record.attempts.as_slice(), operation.attempts) {
            let due = operation.created_at.max(operation.run_at);
            self.history.waited(operation.class, first.started_at.since(due));
        }
    }

    /// An attempt was settled, or somebody decided: it counts where the operation is, for now, what it will be.
    pub(crate) fn ended(&self, record: &OperationRecord) {
        self.history.ended(&record.operation);
    }
}
