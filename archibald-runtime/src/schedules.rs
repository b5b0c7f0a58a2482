//! What is asked for by itself: each worker asks the planner what is due and enqueues it.
//!
//! Every worker does so for every agent. The occurrence's key makes it one operation, and nobody has to know who of
//! them is alive; it costs one statement an occurrence and worker.

use std::collections::BTreeSet;
use std::time::Duration;

use archibald_core::error::{EnqueueError, FieldError, StoreError};
use archibald_core::id::{OperationKind, ScheduleName};
use archibald_core::operation::{Class, OperationState};
use archibald_core::port::{EnqueueRequest, OperationFilter, Operations, SurveyRequest};
use archibald_core::record::OperationRecord;
use archibald_core::schedule::{Due, PUNCTUAL, Planner, Schedule};
use archibald_core::time::Timestamp;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::calm::calm;
use crate::config::RuntimeConfig;
use crate::driver::Shared;
use crate::handle::Archibald;
use crate::registry::Registry;

/// The longest time between two looks: agents come and go, and clocks are set.
const LOOK: Duration = Duration::from_secs(30);
/// After which time an occurrence that could not be enqueued is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// What the store may take for one.
const PATIENCE: Duration = Duration::from_secs(20);
/// Occurrences that are enqueued at the same time.
const AT_ONCE: usize = 32;
/// Operations of a kind among which one with the same payload is looked for.
const LATEST: u32 = 20;

/// A schedule that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Two of one name, whose occurrences would have the same keys.
    #[error("there are two of this name")]
    Duplicate,
    /// No action has this kind.
    #[error("kind must be one of {}, got {kind:?}", known.join(", "))]
    UnknownKind {
        /// What was asked for.
        kind: String,
        /// What could be.
        known: Vec<String>,
    },
    /// Somebody has to want it.
    #[error("kind must be a background one, and {0} is interactive")]
    Interactive(OperationKind),
    /// The kind's action refuses the payload.
    #[error("payload{} {}", .0.pointer, .0.detail)]
    Payload(FieldError),
    /// It could be enqueued again when its key is forgotten.
    #[error("missed_within {within:?} must be shorter than keep_finished {keep:?}, by two minutes")]
    Within {
        /// How old a missed occurrence may be.
        within: Duration,
        /// How long an operation's key is kept.
        keep: Duration,
    },
}

/// Whether each of these can work in this worker.
pub(crate) fn check(
    schedules: &[Schedule],
    registry: &Registry,
    config: &RuntimeConfig,
) -> Result<(), (ScheduleName, ScheduleError)> {
    let mut names = BTreeSet::new();
    for schedule in schedules {
        let checked = if names.insert(&schedule.name) {
            check_one(schedule, registry, config.keep_finished)
        } else {
            Err(ScheduleError::Duplicate)
        };
        checked.map_err(|error| (schedule.name.clone(), error))?;
    }
    Ok(())
}

fn check_one(schedule: &Schedule, registry: &Registry, keep: Duration) -> Result<(), ScheduleError> {
    let Some(action) = registry.get(&schedule.kind) else {
        let known = registry.of_class(Class::Background);
        return Err(ScheduleError::UnknownKind { kind: schedule.kind.to_string(), known });
    };
    if action.class() != Class::Background {
        return Err(ScheduleError::Interactive(schedule.kind.clone()));
    }
    let refused = action.validate(&schedule.payload).err();
    if let Some(error) = refused.and_then(|errors| errors.into_iter().next()) {
        return Err(ScheduleError::Payload(error));
    }
    // Noticed late, and enqueued late.
    if schedule.patience() + PUNCTUAL * 2 > keep {
        return Err(ScheduleError::Within { within: schedule.patience(), keep });
    }
    Ok(())
}

/// The task of a worker that asks for what its schedules say.
pub(crate) struct Recurring {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Recurring {
    pub(crate) fn start(door: Archibald) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(ask(door)).await;
        });
        Self { stop, task }
    }

    /// Asks for nothing more. What was being enqueued was or was not: its key tells, and what was not is missed.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }

    pub(crate) fn kill(&self) {
        self.task.abort();
    }
}

async fn ask(door: Archibald) {
    let shared = door.shared();
    if shared.schedules.is_empty() {
        return;
    }
    learn_the_time(shared).await;
    for Schedule { name, times, .. } in shared.schedules.iter().map(AsRef::as_ref) {
        let next = times.next_after(shared.clock.now()).map(|next| next.to_string());
        tracing::info!(schedule = %name, next, "asked for by itself");
    }
    let mut planner = Planner::new(shared.schedules.iter().cloned());
    let mut enqueued: JoinSet<(Due, bool)> = JoinSet::new();
    let mut looks_at = Instant::now();
    loop {
        let now = shared.clock.now();
        if looks_at <= Instant::now() {
            planner.meet(now, door.agents().into_iter().collect());
            looks_at = Instant::now() + LOOK;
        }
        // No more is taken than can begin: what waits grows old in the planner, which knows the rule for that.
        for due in planner.poll(now, AT_ONCE - enqueued.len()) {
            let door = door.clone();
            enqueued.spawn(async move {
                let is_over = enqueue(&door, &due).await;
                (due, is_over)
            });
        }
        let has_room = enqueued.len() < AT_ONCE;
        let next = planner.wakes_at().filter(|_| has_room);
        let next = next.map_or(LOOK, |at| at.since(now).max(Duration::from_millis(1)));
        let next = looks_at.min(Instant::now() + next);
        tokio::select! {
            Some(done) = enqueued.join_next() => {
                if let Ok((due, false)) = done {
                    planner.try_again(&due, shared.clock.now() + AGAIN);
                }
            }
            () = sleep_until(next) => {}
        }
    }
}

/// What this machine believes of the time may be anything: the store is asked before anything counts as missed.
async fn learn_the_time(shared: &Shared) {
    let request = SurveyRequest { after: None, agents: 1, each: 1, beat: None };
    loop {
        let asked = Instant::now();
        match calm("asking for the time", shared.store.survey(&request)).await {
            Ok(survey) => return shared.clock.learn(survey.now, asked),
            Err(error) => tracing::debug!(%error, "nothing is asked for yet"),
        }
        sleep(AGAIN).await;
    }
}

/// Whether nothing is left to be done about it.
async fn enqueue(door: &Archibald, due: &Due) -> bool {
    let (agent, schedule) = (&due.agent, &due.schedule.name);
    let done = timeout(PATIENCE, enqueue_once(door, due)).await;
    match done {
        Ok(Ok(())) => true,
        Ok(Err(error @ (EnqueueError::Store(_) | EnqueueError::QueueFull { .. }))) => {
            tracing::warn!(%agent, %schedule, %error, "not enqueued yet");
            false
        }
        Ok(Err(error)) => {
            tracing::warn!(%agent, %schedule, %error, "not enqueued");
            true
        }
        Err(_) => {
            tracing::warn!(%agent, %schedule, "the store did not answer; not enqueued yet");
            false
        }
    }
}

async fn enqueue_once(door: &Archibald, due: &Due) -> Result<(), EnqueueError> {
    if due.is_missed && calm("reading what ran", is_made_up_for(door, due)).await? {
        return Ok(());
    }
    let request = EnqueueRequest {
        agent: due.agent.clone(),
        kind: due.schedule.kind.to_string(),
        payload: due.schedule.payload.clone(),
        key: due.key(),
        run_at: None,
        origin: None,
        trace: false,
    };
    let accepted = calm("enqueuing", door.accept(request)).await?;
    let (agent, schedule, operation) = (&due.agent, &due.schedule.name, accepted.record.operation.id);
    tracing::debug!(%agent, %schedule, %operation, replayed = accepted.replayed, "enqueued");
    Ok(())
}

/// Whether one began since then, or waits. Its key alone does not tell: an occurrence that found one waiting was
/// that one, and left no key.
async fn is_made_up_for(door: &Archibald, due: &Due) -> Result<bool, StoreError> {
    let kind = Some(due.schedule.kind.clone());
    let filter = OperationFilter { kind, limit: LATEST, ..OperationFilter::default() };
    let page = door.shared().store.list(&due.agent, &filter).await?;
    let alike = |record: &&OperationRecord| record.operation.payload == due.schedule.payload;
    Ok(page.records.iter().filter(alike).any(|record| serves(record, due.at)))
}

fn serves(record: &OperationRecord, at: Timestamp) -> bool {
    let operation = &record.operation;
    let began = record.attempts.last().is_some_and(|attempt| attempt.started_at >= at);
    match operation.state {
        OperationState::Available { .. } => true,
        // Somebody did not want it.
        OperationState::Cancelled { .. } => operation.finished_at.is_some_and(|end| end >= at),
        _ => began,
    }
}
