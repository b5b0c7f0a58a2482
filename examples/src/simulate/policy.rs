use std::ops::RangeInclusive;

use archibald_core::scheduler::SchedulerConfig;

use super::kinds;

/// What decides who gets what when.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The scheduler's own.
    pub config: SchedulerConfig,
    /// Browsers times contexts.
    pub contexts: usize,
    /// The pool uses an idle session without a look at it for so long.
    pub trust_ms: u64,
    /// The ERP ends a session that is idle for longer.
    pub idle_ms: u64,
    /// How long a request of a login takes.
    pub request_ms: RangeInclusive<u64>,
    /// Requests of a login; 0 for none at all.
    pub login_requests: u64,
    /// Decides how long they take.
    pub seed: u64,
}

impl Policy {
    /// With the pool's and the ERP's usual times.
    #[must_use]
    pub fn new(config: SchedulerConfig, contexts: usize, seed: u64) -> Self {
        Self {
            config,
            contexts,
            trust_ms: 30_000,
            idle_ms: 20 * 60_000,
            request_ms: 5_000..=15_000,
            login_requests: kinds::LOGIN,
            seed,
        }
    }
}
