use std::sync::atomic::AtomicU64;

/// Counters since the start, for the overview.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) probes: AtomicU64,
}
