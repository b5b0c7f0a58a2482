use std::time::Duration;

use archibald_core::effect::Settle;
use archibald_core::id::WorkerId;
use archibald_core::scheduler::SchedulerConfig;
use uuid::Uuid;

/// How a worker works. Every field has a default that suits the simulated ERP; a real one needs longer
/// budgets.
#[derive(Debug, Clone, PartialEq)]
pub struct RuntimeConfig {
    /// This process, unique among those that share a store: two of one name count as one, whose agents all are.
    /// A fresh name by default, since numbers of processes repeat between containers.
    pub worker: WorkerId,
    /// Operations that may run together; at most what the pool can serve less [`margin`](Self::margin).
    pub concurrency: usize,
    /// Contexts of the pool that are kept free for logins and replacements.
    pub margin: usize,
    /// Slots that background operations may not take, fewer than [`concurrency`](Self::concurrency); `None` is as many
    /// as [`SchedulerConfig::with_slots`] says.
    pub reserved_interactive: Option<usize>,
    /// Preemptions after which a background operation gets one protected run.
    pub protect_after: u32,
    /// How long a lease lasts unless it is renewed; renewed every third of it.
    pub lease: Duration,
    /// What the holder's own deadline is earlier than the lease's end.
    pub lease_margin: Duration,
    /// From the opened gate to the answer of the ERP.
    pub act_budget: Duration,
    /// How long a form may take to be typed, before the gate is opened.
    pub typing: Duration,
    /// How long a verdict that leads to another act has to wait.
    pub settle: Settle,
    /// How long an attempt waits for its session, login included.
    pub session_wait: Duration,
    /// Yields of an operation for want of a session, or of a healthy ERP, after which its agent is paused.
    pub yields_before_pause: u32,
    /// Unfinished operations that an agent may have; more are refused.
    pub queue_limit: u64,
    /// How long a finished operation is kept, with its key, journal and evidence: the same key sent later
    /// than this is a new operation.
    pub keep_finished: Duration,
    /// How long an event is kept: a device that was away for longer begins with a snapshot.
    pub keep_events: Duration,
    /// Events that are kept of an agent, however young they are.
    pub keep_events_at_most: u64,
    /// How long an agent's operations are left to the worker whose agent it is, while that is alive: there its
    /// session is warm. What still waits then is taken by whoever has a slot.
    pub leave_to_owner: Duration,
    /// Whether everything that is asked for here is traced: for a look at a new site, not for every day.
    pub trace: bool,
    /// How often expired leases are ended, and a page of what waits is read again in case a wake-up was lost.
    pub sweep: Duration,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        let scheduler = SchedulerConfig::default();
        Self {
            worker: WorkerId::new(format!("worker-{}", Uuid::now_v7().simple()))
                .expect("digits are allowed, and few enough"),
            concurrency: scheduler.slots,
            margin: 0,
            reserved_interactive: None,
            protect_after: scheduler.protect_after_preemptions,
            lease: Duration::from_secs(60),
            lease_margin: Duration::from_secs(3),
            act_budget: Duration::from_secs(30),
            typing: Duration::from_secs(600),
            settle: Settle { request: Duration::from_secs(30), lists: Duration::from_secs(2) },
            session_wait: Duration::from_secs(60),
            yields_before_pause: 50,
            queue_limit: 10_000,
            keep_finished: Duration::from_secs(90 * 24 * 3600),
            keep_events: Duration::from_secs(7 * 24 * 3600),
            keep_events_at_most: 10_000,
            leave_to_owner: Duration::from_millis(100),
            trace: false,
            sweep: Duration::from_secs(30),
        }
    }
}

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// More operations than sessions.
    #[error(
        "concurrency {concurrency} is more than the pool's {capacity} contexts less a margin of {margin}"
    )]
    Concurrency {
        /// What was asked for.
        concurrency: usize,
        /// What the pool can serve.
        capacity: usize,
        /// What is kept free.
        margin: usize,
    },
    /// An act could outlive its lease.
    #[error(
        "lease {lease:?} is too short: two thirds of it must exceed act_budget {budget:?} plus twice lease_margin {margin:?}"
    )]
    Lease {
        /// The lease.
        lease: Duration,
        /// The act's budget.
        budget: Duration,
        /// The margin.
        margin: Duration,
    },
    /// The scheduler's own complaint.
    #[error(transparent)]
    Scheduler(#[from] archibald_core::scheduler::ConfigError),
}

impl RuntimeConfig {
    /// Whether these numbers can work with a pool of this capacity.
    ///
    /// # Errors
    /// [`ConfigError`] with the arithmetic.
    pub fn check(&self, capacity: usize) -> Result<(), ConfigError> {
        if self.concurrency == 0 || self.concurrency > capacity.saturating_sub(self.margin) {
            return Err(ConfigError::Concurrency {
                concurrency: self.concurrency,
                capacity,
                margin: self.margin,
            });
        }
        // A lease is renewed every third, so two thirds of it are left at the worst.
        if self.lease * 2 / 3 <= self.act_budget + self.lease_margin * 2 {
            return Err(ConfigError::Lease {
                lease: self.lease,
                budget: self.act_budget,
                margin: self.lease_margin,
            });
        }
        Ok(())
    }

    /// What the scheduler goes by.
    pub(crate) fn scheduler(&self) -> SchedulerConfig {
        let config = SchedulerConfig::with_slots(self.concurrency);
        SchedulerConfig {
            reserved_interactive: self.reserved_interactive.unwrap_or(config.reserved_interactive),
            protect_after_preemptions: self.protect_after,
            ..config
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_operations_than_contexts_is_refused_with_the_arithmetic() {
        let config = RuntimeConfig { concurrency: 15, margin: 1, ..RuntimeConfig::default() };
        let error = config.check(15).unwrap_err();
        assert_eq!(
            error.to_string(),
            "concurrency 15 is more than the pool's 15 contexts less a margin of 1"
        );
        assert_eq!(config.check(16), Ok(()));
    }

    #[test]
    fn a_worker_schedules_by_the_schedulers_own_defaults() {
        assert_eq!(RuntimeConfig::default().scheduler(), SchedulerConfig::default());
        let alone = RuntimeConfig { concurrency: 1, ..RuntimeConfig::default() };
        assert_eq!(alone.scheduler(), SchedulerConfig::with_slots(1));
        let none = RuntimeConfig { reserved_interactive: Some(0), ..RuntimeConfig::default() };
        assert_eq!(none.scheduler().reserved_interactive, 0);
    }

    #[test]
    fn an_act_never_outlives_its_lease() {
        let config = RuntimeConfig { act_budget: Duration::from_secs(40), ..RuntimeConfig::default() };
        assert!(matches!(config.check(10), Err(ConfigError::Lease { .. })));
    }
}
