//! What finished long ago goes, and what was told long ago or too often: batch after batch until there is no more, with
//! pauses in which others have the store, and then not for a while.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::time::Timestamp;
use tokio::time::Instant;

use super::{Driver, Message, Shared};
use crate::calm::calm;
use crate::config::RuntimeConfig;

/// Old operations forgotten in one go: few, since others wait for the store meanwhile.
const OPERATIONS: u32 = 100;
/// Logs that are pruned in one go.
const LOGS: u32 = 16;
/// How long batch follows batch.
const AT_ONCE: Duration = Duration::from_millis(50);
/// And of logs, which are then left alone until the next sweep: one that is pruned all the time would be pruned event by
/// event.
const LOGS_AT_ONCE: Duration = Duration::from_millis(200);
/// The pause after that where there are more operations, in times that it took.
const FOR_OTHERS: u32 = 4;
/// How often it is looked for what is old where things are kept for long.
const EVERY: Duration = Duration::from_secs(3600);
/// And where they are not: so many times before the first of them is twice as old.
const LOOKS: u32 = 20;

/// What is old is let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Old {
    Operations,
    Events,
}

impl Driver {
    /// Some batches; when the next ones are due is said at the end. What is old is judged by the store's clock alone: by
    /// one that is years ahead everything would be.
    pub(super) fn let_go(&mut self, old: Old) {
        *self.lets_go_at(old) = None;
        let shared = self.shared.clone();
        let Some(now) = shared.clock.known() else { return self.lets_go_after(old, shared.config.sweep) };
        tokio::spawn(async move {
            let again = match old {
                Old::Operations => forget_operations(&shared, now).await,
                Old::Events => prune_logs(&shared, now).await,
            };
            let _ = shared.inbox.send(Message::LetGo { old, again });
        });
    }

    pub(super) fn lets_go_after(&mut self, old: Old, pause: Duration) {
        *self.lets_go_at(old) = Some(Instant::now() + pause);
    }

    fn lets_go_at(&mut self, old: Old) -> &mut Option<Instant> {
        match old {
            Old::Operations => &mut self.forgets_at,
            Old::Events => &mut self.prunes_at,
        }
    }
}

/// When to go on.
async fn forget_operations(shared: &Arc<Shared>, now: Timestamp) -> Duration {
    let (config, begun) = (&shared.config, Instant::now());
    loop {
        match calm("forgetting", shared.store.forget(now - config.keep_finished, OPERATIONS)).await {
            Ok(gone) if gone < u64::from(OPERATIONS) => return every(config, config.keep_finished),
            Ok(_) if begun.elapsed() < AT_ONCE => {}
            Ok(_) => return begun.elapsed() * FOR_OTHERS,
            Err(error) => {
                tracing::warn!(%error, "old operations could not be forgotten");
                return config.sweep;
            }
        }
    }
}

/// When to go on.
async fn prune_logs(shared: &Arc<Shared>, now: Timestamp) -> Duration {
    let (config, begun) = (&shared.config, Instant::now());
    let mut again = every(config, config.keep_events);
    while begun.elapsed() < LOGS_AT_ONCE {
        match prune_some(shared, now).await {
            Some(0) => return again,
            Some(_) => again = config.sweep,
            None => return config.sweep,
        }
    }
    again
}

/// The longest first. How many were too long, or `None` where something failed.
async fn prune_some(shared: &Arc<Shared>, now: Timestamp) -> Option<usize> {
    let (before, most) = (now - shared.config.keep_events, shared.config.keep_events_at_most);
    let prunable = calm("looking for old events", shared.bus.prunable(before, most, LOGS)).await;
    let prunable = prunable.inspect_err(|error| tracing::warn!(%error, "no look at old events")).ok()?;
    let mut is_well = true;
    for (agent, up_to) in &prunable {
        if let Err(error) = calm("pruning a log", shared.bus.prune(agent, *up_to)).await {
            tracing::warn!(%agent, %error, "old events could not be pruned");
            is_well = false;
        }
    }
    is_well.then_some(prunable.len())
}

fn every(config: &RuntimeConfig, kept: Duration) -> Duration {
    (kept / LOOKS).max(config.sweep).min(EVERY)
}
