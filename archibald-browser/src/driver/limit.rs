//! What bounds every command: the lease, and the budget of the step at hand.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::port::Guard;
use tokio::time::{Instant, sleep_until};

use super::DriverError;

/// Until when, and whether at all, a page may be used. Cheap to clone and to narrow.
#[derive(Clone)]
pub struct Limit {
    lease: Option<Arc<dyn Guard>>,
    until: Instant,
    budget: Duration,
}

impl Limit {
    /// For work under a lease: at most `budget` from now on, and only while the guard lets it.
    pub fn leased(lease: Arc<dyn Guard>, budget: Duration) -> Self {
        Self { lease: Some(lease), ..Self::budget(budget) }
    }

    /// For work of our own that needs no lease, such as a login or closing a page.
    pub fn budget(budget: Duration) -> Self {
        Self { lease: None, until: Instant::now() + budget, budget }
    }

    /// The same, with at most `budget` from now on.
    #[must_use]
    pub fn within(&self, budget: Duration) -> Self {
        let until = Instant::now() + budget;
        if until >= self.until { self.clone() } else { Self { until, budget, ..self.clone() } }
    }

    /// Whether whoever holds the lease is asked to give way.
    pub fn should_yield(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.should_yield())
    }

    /// Tells whoever holds the lease which line of how many is about to be filled in.
    pub fn filling_line(&self, line: usize, of: usize) {
        if let Some(lease) = &self.lease {
            lease.filling_line(line, of);
        }
    }

    /// Tells whoever holds the lease that all lines are filled in.
    pub fn filled_in(&self, lines: usize) {
        if let Some(lease) = &self.lease {
            lease.filled_in(lines);
        }
    }

    /// What is left of the budget.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Runs one step, or gives it up as soon as the lease or the budget is over. A lease that is renewed
    /// meanwhile counts with its new end.
    ///
    /// # Errors
    /// [`DriverError::LeaseLost`] or [`DriverError::Timeout`], else those of the step.
    pub async fn run<T>(
        &self,
        what: &'static str,
        step: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let mut step = std::pin::pin!(step);
        loop {
            let wake = self.check(what)?;
            tokio::select! {
                biased;
                done = &mut step => return done,
                () = sleep_until(wake) => {}
            }
        }
    }

    /// When to look again.
    fn check(&self, what: &'static str) -> Result<Instant, DriverError> {
        let now = Instant::now();
        if now >= self.until {
            return Err(DriverError::Timeout { what, after: self.budget });
        }
        let Some(lease) = &self.lease else { return Ok(self.until) };
        let left = lease.check().map_err(|lost| DriverError::LeaseLost { what, source: lost })?;
        Ok(self.until.min(now + left.max(Duration::from_millis(1))))
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("leased", &self.lease.is_some()).field("left", &self.left()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_core::port::LeaseLost;
    use std::sync::Mutex;

    struct Until(Mutex<Instant>);

    impl Guard for Until {
        fn check(&self) -> Result<Duration, LeaseLost> {
            let left = self.0.lock().unwrap().saturating_duration_since(Instant::now());
            if left.is_zero() { Err(LeaseLost) } else { Ok(left) }
        }
    }

    async fn outcome(limit: &Limit) -> String {
        let never = std::future::pending::<Result<(), DriverError>>();
        limit.run("reading", never).await.unwrap_err().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn says_which_limit_was_met_first() {
        let secs = Duration::from_secs;
        let lease = Arc::new(Until(Mutex::new(Instant::now() + secs(10))));
        let limit = Limit::leased(lease.clone(), secs(60));
        assert_eq!(outcome(&limit.within(secs(2))).await, "reading took longer than 2s");
        assert_eq!(outcome(&limit).await, "reading: the lease is lost");
        assert_eq!(outcome(&Limit::budget(secs(1))).await, "reading took longer than 1s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewed_lease_counts_with_its_new_end() {
        let start = Instant::now();
        let secs = Duration::from_secs;
        let lease = Arc::new(Until(Mutex::new(start + secs(10))));
        let limit = Limit::leased(lease.clone(), secs(60));
        let renew = async {
            sleep_until(start + secs(5)).await;
            *lease.0.lock().unwrap() = start + secs(30);
        };
        let (said, ()) = tokio::join!(outcome(&limit), renew);
        assert_eq!(said, "reading: the lease is lost");
        assert_eq!(start.elapsed(), secs(30));
    }
}
