use std::sync::{Arc, PoisonError};
use std::time::Duration;

use archibald_core::event::Progress;
use archibald_core::lease::Lease;
use archibald_core::port::{EventBus, Guard, LeaseLost};
use tokio_util::sync::CancellationToken;

use crate::sync::{Instant, Mutex, MutexGuard, sleep_until};

/// A lease as its holder sees it: by its own monotonic clock, from before it asked.
pub(crate) struct LeaseGuard {
    pub(crate) lease: Lease,
    margin: Duration,
    deadline: Mutex<Instant>,
    lost: CancellationToken,
}

impl LeaseGuard {
    /// `asked` is when the request for the lease was about to be sent.
    pub(crate) fn new(lease: Lease, asked: Instant, margin: Duration) -> Self {
        let deadline = Mutex::new(asked + lease.ttl.saturating_sub(margin));
        Self { lease, margin, deadline, lost: CancellationToken::new() }
    }

    /// The store renewed it; `asked` is when that request was about to be sent.
    pub(crate) fn extend(&self, asked: Instant) {
        let renewed = asked + self.lease.ttl.saturating_sub(self.margin);
        let mut deadline = self.deadline();
        *deadline = renewed.max(*deadline);
    }

    /// The store does not have it any more.
    pub(crate) fn lose(&self) {
        self.lost.cancel();
    }

    /// Returns once the lease is lost, by the store's word or by the clock.
    pub(crate) async fn lost(&self) {
        loop {
            let deadline = *self.deadline();
            tokio::select! {
                () = self.lost.cancelled() => return,
                () = sleep_until(deadline) => {
                    if *self.deadline() <= Instant::now() {
                        self.lost.cancel();
                        return;
                    }
                }
            }
        }
    }

    fn deadline(&self) -> MutexGuard<'_, Instant> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard for LeaseGuard {
    fn check(&self) -> Result<Duration, LeaseLost> {
        let left = self.deadline().saturating_duration_since(Instant::now());
        if left.is_zero() || self.lost.is_cancelled() { Err(LeaseLost) } else { Ok(left) }
    }
}

/// A lease under which a read may be asked to give way in its midst.
pub(crate) struct ReadGuard {
    pub(crate) lease: Arc<LeaseGuard>,
    pub(crate) give_way: CancellationToken,
}

impl Guard for ReadGuard {
    fn check(&self) -> Result<Duration, LeaseLost> {
        self.lease.check()
    }

    fn should_yield(&self) -> bool {
        self.give_way.is_cancelled()
    }
}

/// A lease under which something is typed: devices are told how far it is.
pub(crate) struct WriteGuard {
    pub(crate) lease: Arc<LeaseGuard>,
    pub(crate) bus: Arc<dyn EventBus>,
}

impl Guard for WriteGuard {
    fn check(&self) -> Result<Duration, LeaseLost> {
        self.lease.check()
    }

    fn filling_line(&self, line: usize, of: usize) {
        self.tell("line", line.saturating_sub(1), of, format!("filling in line {line} of {of}"));
    }

    fn filled_in(&self, lines: usize) {
        self.tell("save", lines, lines, "saving".to_owned());
    }
}

impl WriteGuard {
    fn tell(&self, step: &str, done: usize, total: usize, text: String) {
        self.bus.publish_progress(Progress {
            agent: self.lease.lease.agent.clone(),
            operation: self.lease.lease.operation,
            step: step.to_owned(),
            done: done as u64,
            total: total as u64,
            text,
        });
    }
}
