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
/// How long batch follows batch, of operations and then of logs.
const AT_ONCE: Duration = Duration::from_millis(50);
/// The pause after that where there is more, in times that it took.
const FOR_OTHERS: u32 = 4;
/// How often it is looked for what is old where things are kept for long.
const EVERY: Duration = Duration::from_secs(3600);
/// And where they are not: so many times before the first of them is twice as old.
const LOOKS: u32 = 20;

impl Driver {
    /// Some batches of everything; when the next ones are due is said at the end.
    pub(super) fn forget(&mut self) {
        self.forgets_at = None;
        let (shared, now) = (self.shared.clone(), self.now());
        tokio::spawn(async move {
            let begun = Instant::now();
            let operations = batches(|| forget_operations(&shared, now)).await;
            let logs = batches(|| prune_logs(&shared, now)).await;
            let again = operations.min(logs).max(begun.elapsed() * FOR_OTHERS);
            let _ = shared.inbox.send(Message::Forgotten { again });
        });
    }
}

/// One after the other for a while. When to go on.
async fn batches<B: Future<Output = Duration>>(batch: impl Fn() -> B) -> Duration {
    let begun = Instant::now();
    loop {
        let again = batch().await;
        if !again.is_zero() || begun.elapsed() >= AT_ONCE {
            return again;
        }
    }
}

/// When to go on; at once where a whole batch went.
async fn forget_operations(shared: &Arc<Shared>, now: Timestamp) -> Duration {
    let config = &shared.config;
    match calm("forgetting", shared.store.forget(now - config.keep_finished, OPERATIONS)).await {
        Ok(gone) if gone < u64::from(OPERATIONS) => every(config),
        Ok(_) => Duration::ZERO,
        Err(error) => {
            tracing::warn!(%error, "old operations could not be forgotten");
            config.sweep
        }
    }
}

/// The same of logs. One that goes on growing is shortened with every sweep.
async fn prune_logs(shared: &Arc<Shared>, now: Timestamp) -> Duration {
    let config = &shared.config;
    let (before, most) = (now - config.keep_events, config.keep_events_at_most);
    let prunable = calm("looking for old events", shared.bus.prunable(before, most, LOGS)).await;
    let prunable = prunable.inspect_err(|error| tracing::warn!(%error, "no look at old events"));
    let Ok(prunable) = prunable else { return config.sweep };
    let mut again = match prunable.len() {
        0 => every(config),
        few if few < LOGS as usize => config.sweep,
        _ => Duration::ZERO,
    };
    for (agent, up_to) in &prunable {
        if let Err(error) = calm("pruning a log", shared.bus.prune(agent, *up_to)).await {
            tracing::warn!(%agent, %error, "old events could not be pruned");
            again = config.sweep;
        }
    }
    again
}

fn every(config: &RuntimeConfig) -> Duration {
    (config.keep_finished.min(config.keep_events) / LOOKS).max(config.sweep).min(EVERY)
}
