use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::event::Progress;
use archibald_core::lease::Lease;
use archibald_core::port::{EventBus, Guard, LeaseLost};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
                () = tokio::time::sleep_until(deadline) => {
                    if *self.deadline() <= Instant::now() {
                        self.lost.cancel();
                        return;
                    }
                }
            }
        }
    }

    fn deadline(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.deadline.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        self.bus.publish_progress(Progress {
            agent: self.lease.lease.agent.clone(),
            operation: self.lease.lease.operation,
            step: "type".to_owned(),
            done: line as u64,
            total: of as u64,
            text: format!("filling in line {line} of {of}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_core::id::{AgentId, FencingToken, OperationId, WorkerId};
    use archibald_core::time::Timestamp;

    fn guard() -> LeaseGuard {
        let lease = Lease {
            agent: AgentId::new("nancy").unwrap(),
            operation: "00000000-0000-0000-0000-000000000001".parse::<OperationId>().unwrap(),
            token: FencingToken(1),
            worker: WorkerId::new("w1").unwrap(),
            expires_at: Timestamp::EPOCH,
            ttl: Duration::from_secs(10),
        };
        LeaseGuard::new(lease, Instant::now(), Duration::from_secs(2))
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_a_margin_before_the_lease_unless_renewed() {
        let guard = guard();
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(guard.check(), Ok(Duration::from_secs(1)));
        guard.extend(Instant::now());
        assert_eq!(guard.check(), Ok(Duration::from_secs(8)));
        let before = Instant::now();
        guard.lost().await;
        assert_eq!(before.elapsed().as_secs(), 8);
        assert_eq!(guard.check(), Err(LeaseLost));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_to_an_early_renewal_never_shortens_it() {
        let guard = guard();
        let early = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        guard.extend(Instant::now());
        guard.extend(early);
        assert_eq!(guard.check(), Ok(Duration::from_secs(8)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_lease_cannot_be_extended() {
        let guard = guard();
        guard.lose();
        guard.extend(Instant::now());
        assert_eq!(guard.check(), Err(LeaseLost));
        guard.lost().await;
    }
}
