//! The guard that every command passes.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::DriverError;

/// Until when, and whether at all, a page may be used: the lease's local deadline, the budget of the step
/// at hand, and a token that calls it off. Cheap to clone and to narrow.
#[derive(Debug, Clone)]
pub struct Guard {
    lease: Option<Instant>,
    step: Instant,
    budget: Duration,
    stop: CancellationToken,
}

impl Guard {
    /// A guard for work under a lease that ends at `lease` by this process's own clock.
    pub fn new(lease: Instant, stop: CancellationToken) -> Self {
        let budget = lease.saturating_duration_since(Instant::now());
        Self { lease: Some(lease), step: lease, budget, stop }
    }

    /// A guard without a lease, for work of our own such as closing a page.
    pub fn budget(budget: Duration) -> Self {
        Self { lease: None, step: Instant::now() + budget, budget, stop: CancellationToken::new() }
    }

    /// The same, with at most `budget` from now on for the step.
    #[must_use]
    pub fn within(&self, budget: Duration) -> Self {
        let step = Instant::now() + budget;
        if step >= self.step { self.clone() } else { Self { step, budget, ..self.clone() } }
    }

    /// What is left of the step's budget.
    pub fn left(&self) -> Duration {
        self.step.saturating_duration_since(Instant::now())
    }

    /// Whether anything may still be done.
    ///
    /// # Errors
    /// [`DriverError::Stopped`], [`DriverError::LeaseOver`] or [`DriverError::Timeout`].
    pub fn check(&self, what: &'static str) -> Result<(), DriverError> {
        if self.stop.is_cancelled() {
            return Err(DriverError::Stopped { what });
        }
        if Instant::now() < self.step { Ok(()) } else { Err(self.elapsed(what)) }
    }

    /// Runs one step, or gives it up when the guard says so.
    ///
    /// # Errors
    /// Those of [`Guard::check`], else those of the step.
    pub async fn run<T>(
        &self,
        what: &'static str,
        step: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        self.check(what)?;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(DriverError::Stopped { what }),
            done = timeout_at(self.step, step) => done.unwrap_or_else(|_| Err(self.elapsed(what))),
        }
    }

    fn elapsed(&self, what: &'static str) -> DriverError {
        match self.lease {
            Some(lease) if lease <= self.step => DriverError::LeaseOver { what },
            _ => DriverError::Timeout { what, after: self.budget },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(guard: &Guard) -> String {
        let never = std::future::pending::<Result<(), DriverError>>();
        guard.run("reading", never).await.unwrap_err().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn says_which_limit_was_met_first() {
        let stop = CancellationToken::new();
        let guard = Guard::new(Instant::now() + Duration::from_secs(10), stop.clone());
        assert_eq!(after(&guard.within(Duration::from_secs(2))).await, "reading took longer than 2s");
        assert_eq!(after(&guard).await, "reading: the lease is over");
        assert_eq!(after(&guard.within(Duration::from_secs(60))).await, "reading: the lease is over");
        stop.cancel();
        assert_eq!(after(&guard).await, "reading was called off");
        assert_eq!(after(&Guard::budget(Duration::from_secs(1))).await, "reading took longer than 1s");
    }
}
