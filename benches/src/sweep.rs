//! How long a worker's sweeps take: the first, which reads of everybody what goes first, and those after it, a
//! page each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archibald_core::error::FieldError;
use archibald_core::id::{OperationKind, Target};
use archibald_core::operation::Class;
use archibald_runtime::{Action, ActionContext, Archibald, Completion, Interrupted, ReadAction};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::Failure;
use crate::noted::Noted;
use crate::run::config;
use crate::store::Three;
use crate::wait::Waits;
use crate::work::kind;

/// Between two sweeps: as little as can be, so that the time from one to the next is that of the first.
const PAUSE: Duration = Duration::from_millis(1);

/// What was seen.
#[derive(Debug)]
pub struct Swept {
    /// From the worker's start to the start of its first operation; `None` where nothing waited.
    pub first_start: Option<Duration>,
    /// From the worker's start to the end of its first sweep, which reads what it did not know.
    pub first: Duration,
    /// Those after it.
    pub later: Waits,
}

/// Starts a worker whose only slot is taken by the first operation, so that it does nothing but sweep; as many
/// times as are wanted, or as often as it gets round to until `limit`, but once.
///
/// # Errors
/// Where not even the first sweep ended in that time.
pub async fn sweep(ports: &Three, count: usize, limit: Duration) -> Result<Swept, Failure> {
    let (noted, slot) = (Arc::new(Noted::around(ports.store.clone())), Arc::new(Slot::default()));
    let ports = Three { store: noted.clone(), ..ports.clone() };
    let ports = ports.ports(FakeErp::new(1), Arc::new(FixedCredentials::new()));
    let mut config = config(1);
    config.sweep = PAUSE;
    let archibald = Archibald::builder(ports)
        .config(config)
        .action(Action::Read(Arc::new(Taken(slot.clone()))))
        .build()?;
    let began = Instant::now();
    let worker = archibald.start().ok_or("the worker was started before")?;
    let mut seen = noted.seen.subscribe();
    let enough = tokio::time::timeout(limit, seen.wait_for(|seen| seen.later.len() > count)).await.is_ok();
    if !enough {
        tokio::time::timeout(limit, seen.wait_for(|seen| seen.later.len() > 1))
            .await
            .map_err(|_| format!("no sweep ended within {:?}", limit * 2))??;
    }
    let (first, later) = {
        let seen = seen.borrow();
        let later = seen.later.windows(2).map(|two| two[1].duration_since(two[0]));
        (
            seen.first_pass.ok_or("the first sweep did not end")?.duration_since(began),
            later.collect::<Vec<_>>(),
        )
    };
    let whole =
        tokio::join!(worker.drain(Duration::from_secs(60)), async { slot.is_free.send_replace(true) }).0;
    if !whole {
        return Err("what ran was not settled in time".into());
    }
    let first_start = slot.started.borrow().map(|at| at.duration_since(began));
    Ok(Swept { first_start, first, later: Waits::of(later) })
}

/// Holds the slot until it is told not to.
#[derive(Debug)]
struct Slot {
    started: watch::Sender<Option<Instant>>,
    is_free: watch::Sender<bool>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { started: watch::channel(None).0, is_free: watch::channel(false).0 }
    }
}

struct Taken(Arc<Slot>);

#[async_trait]
impl ReadAction for Taken {
    fn kind(&self) -> OperationKind {
        kind().expect("letters alone")
    }

    fn class(&self) -> Class {
        Class::Interactive
    }

    fn validate(&self, _: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        Ok(None)
    }

    async fn run(&self, _: &ActionContext<'_>) -> Result<Completion, Interrupted> {
        self.0.started.send_modify(|started| *started = started.or_else(|| Some(Instant::now())));
        // Its sender lives as long as we do.
        self.0.is_free.subscribe().wait_for(|is_free| *is_free).await.ok();
        Ok(Completion { result: json!({}), rows: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Place;
    use crate::work::{agent, enqueue, operation};

    #[tokio::test]
    async fn a_worker_with_its_slot_taken_sweeps_on_and_ends_whole() {
        let opened = Place::find("memory").unwrap().open().await.unwrap();
        let swept = sweep(&opened.ports, 3, Duration::from_secs(10)).await.unwrap();
        assert!(swept.first_start.is_none(), "nothing waited");
        let waiting = (0..5).map(|n| operation(agent(n).unwrap(), n, Duration::ZERO).unwrap()).collect();
        enqueue(&opened.ports, waiting).await.unwrap();
        let swept = sweep(&opened.ports, 3, Duration::from_secs(10)).await.unwrap();
        assert!(swept.first_start.is_some() && swept.later.percentile(50) > Some(0.0), "{swept:?}");
    }
}
