//! What becomes of the operation, for every way in which an attempt can end.

use std::time::Duration;

use archibald_core::effect::Receipt;
use archibald_core::error::FenceError;
use archibald_core::operation::{Backoff, Step};
use archibald_core::port::{AcquireError, ClientError, LoginError};
use archibald_core::record::{Disposition, Settlement, YieldReason};

use super::{Attempt, Lost};
use crate::action::{Completion, Interrupted};

/// Pauses after a yield for want of a session or of a healthy ERP.
const YIELD_BACKOFF: Backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(30) };

pub(super) fn completed(completion: Completion) -> Settlement {
    Settlement {
        disposition: Disposition::Complete { result: completion.result },
        rows: completion.rows,
        evidence: vec![],
    }
}

pub(super) fn differs(what: &str, observed: &Receipt, differences: &[String]) -> Settlement {
    let evidence = format!("{what}: {} ({})", differences.join("; "), observed.0);
    Disposition::Doubt { evidence }.into()
}

impl Attempt {
    pub(super) fn gave_way(&self) -> Settlement {
        let why = if self.shared.is_draining() { YieldReason::Drained } else { YieldReason::Preempted };
        Disposition::Yield { after: Duration::ZERO, why }.into()
    }

    /// An attempt that counts: again after a pause, or never when they are spent. Where something was
    /// released the store refuses to give up, and the driver settles a retry instead.
    pub(super) fn failed_attempt(&self, why: String) -> Settlement {
        let number = self.record.operation.attempts.saturating_add(1);
        if number >= self.action.policy().max_attempts && self.record.next_step() == Step::Act {
            return Disposition::Fail { why, absent: None }.into();
        }
        Disposition::Retry { after: self.pause_before_retry(), why }.into()
    }

    pub(super) fn attempts_are_spent(&self) -> bool {
        self.record.operation.attempts >= self.action.policy().max_attempts
    }

    pub(crate) fn pause_before_retry(&self) -> Duration {
        let number = self.record.operation.attempts.saturating_add(1);
        self.action.policy().backoff.delay(number, self.jitter())
    }

    pub(super) fn no_progress(&self, why: YieldReason) -> Settlement {
        let yields = self.record.operation.yields.saturating_add(1);
        Disposition::Yield { after: YIELD_BACKOFF.delay(yields, self.jitter()), why }.into()
    }

    pub(super) fn interrupted(&self, interrupted: Interrupted) -> Result<Settlement, Lost> {
        match interrupted {
            Interrupted::GaveWay | Interrupted::Client(ClientError::GaveWay) => Ok(self.gave_way()),
            Interrupted::Rejected(why) => Ok(Disposition::Reject { why, refused: None }.into()),
            Interrupted::Client(ClientError::LeaseLost(_)) => Err(Lost),
            Interrupted::Client(error @ ClientError::SessionExpired) => {
                Ok(self.no_progress(YieldReason::NoSession(error.to_string())))
            }
            Interrupted::Client(error) => Ok(self.no_progress(YieldReason::Unhealthy(error.to_string()))),
            Interrupted::Fence(error) => self.fenced(error),
            Interrupted::Store(error) => self.fenced(FenceError::Store(error)),
        }
    }

    pub(super) async fn no_session(&self, error: AcquireError) -> Result<Settlement, Lost> {
        match error {
            AcquireError::LeaseLost(_) => Err(Lost),
            AcquireError::Login(error @ (LoginError::Refused { .. } | LoginError::NoCredentials(_))) => {
                let why = match self.shared.lock_out(&self.record.operation.agent, &error).await {
                    true => error.to_string(),
                    false => "the agent's credentials were changed while they were tried".to_owned(),
                };
                Ok(self.no_progress(YieldReason::NoSession(why)))
            }
            error => Ok(self.no_progress(YieldReason::NoSession(error.to_string()))),
        }
    }

    /// Too many yields for want of a session, or of an ERP that can be read: a person has to look at it.
    pub(super) async fn pause_if_hopeless(&self, settlement: &Settlement) {
        let Disposition::Yield { why: YieldReason::NoSession(why) | YieldReason::Unhealthy(why), .. } =
            &settlement.disposition
        else {
            return;
        };
        // Who is locked out is paused; once more, and a new password that came meanwhile would be locked out too.
        if LoginError::is_lockout(why) {
            return;
        }
        if self.record.operation.yields.saturating_add(1) >= self.shared.config.yields_before_pause {
            self.shared.pause(&self.record.operation.agent, why).await;
        }
    }

    fn jitter(&self) -> u64 {
        let id = self.record.operation.id.0.as_u64_pair();
        id.1.rotate_left(self.record.operation.attempts % 64)
    }
}
