//! Protocols that do not hold, as wrappers of a bus that does: each is a mistake that somebody made before.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Event, NewEvent, Progress};
use archibald_core::id::{AgentId, OperationId};
use archibald_core::port::{
    BusClosed, EventBus, EventRead, Head, ResetReason, Snapshot, Wakeups, WorkerWakeups,
};
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::sleep;
use uuid::Uuid;

use super::judge::Check;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// One sequence for all agents, drawn before the commit: an agent's own events have gaps, and a lower number may
    /// be seen after a higher one.
    GlobalCursor,
    /// The snapshot's content is of a later moment than its place.
    SnapshotOfTwoMoments,
    /// Devices hear of changes by notifications alone, and of those that get lost never.
    NotifyOnly,
    /// A place below the floor is served with what is left.
    NoFloor,
    /// A place is a number alone, whatever history it is of.
    NoEpoch,
    /// The place becomes the highest event that was seen, and not the last one without a hole before it.
    MaxPlusOne,
    /// Who reads the log for all devices is dead, and their streams go on.
    Zombie,
    /// What is committed between the read and the wait wakes nobody.
    LostWakeUp,
    /// A place is read from, and not after.
    Inclusive,
    /// Places are forgotten now and then.
    Forgetful,
    /// An event is told before its transaction is committed, and that is rolled back.
    Uncommitted,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::GlobalCursor,
        Self::SnapshotOfTwoMoments,
        Self::NotifyOnly,
        Self::NoFloor,
        Self::NoEpoch,
        Self::MaxPlusOne,
        Self::Zombie,
        Self::LostWakeUp,
        Self::Inclusive,
        Self::Forgetful,
        Self::Uncommitted,
    ];

    /// The check that has to object to it; others may as well.
    #[must_use]
    pub fn breaks(self) -> Check {
        match self {
            Self::GlobalCursor | Self::NoFloor | Self::MaxPlusOne => Check::Hole,
            Self::SnapshotOfTwoMoments | Self::Inclusive => Check::Repeat,
            Self::NotifyOnly | Self::Zombie | Self::LostWakeUp => Check::Stale,
            Self::NoEpoch | Self::Uncommitted => Check::Phantom,
            Self::Forgetful => Check::Reset,
        }
    }
}

/// A mistake at work; outlives the servers that make it.
#[derive(Debug)]
pub(crate) struct Faults {
    bug: Bug,
    /// Notifications get lost, and who reads for all is dead.
    deaf: AtomicBool,
    calls: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    told: HashMap<AgentId, watch::Sender<()>>,
    numbers: HashMap<(AgentId, Cursor), u64>,
    last: u64,
    looks: HashMap<(AgentId, Cursor), u32>,
}

impl Faults {
    pub(crate) fn of(bug: Bug) -> Self {
        Self { bug, deaf: AtomicBool::new(false), calls: AtomicU64::new(0), known: Mutex::default() }
    }

    /// What a server of this sort takes for the bus.
    pub(crate) fn over(self: Arc<Self>, inner: Arc<dyn EventBus>) -> Arc<dyn EventBus> {
        self.deaf.store(false, Ordering::Relaxed);
        Arc::new(Faulty { faults: self, inner })
    }

    /// The connection that listens is cut.
    pub(crate) fn deafen(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// A notification.
    pub(crate) fn committed(&self, agent: &AgentId) {
        if !self.is_deaf()
            && let Some(told) = self.known().told.get(agent)
        {
            told.send_replace(());
        }
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    /// True for one call of so many.
    fn every(&self, calls: u64) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) % calls == calls - 1
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a transaction with this event is slow to commit: nobody sees it in the first looks.
    fn is_late(&self, agent: &AgentId, place: Cursor) -> bool {
        if !place.seq.is_multiple_of(5) {
            return false;
        }
        let mut known = self.known();
        let looks = known.looks.entry((agent.clone(), place)).or_default();
        *looks += 1;
        *looks <= 2
    }

    /// From one sequence for all, in the order in which they were first looked at.
    fn number(&self, agent: &AgentId, place: Cursor) -> u64 {
        let mut known = self.known();
        let next = known.last + 1;
        let number = *known.numbers.entry((agent.clone(), place)).or_insert(next);
        known.last = known.last.max(number);
        number
    }
}

struct Faulty {
    faults: Arc<Faults>,
    inner: Arc<dyn EventBus>,
}

/// So long is what must not take any time.
const BEFORE_THE_WAIT: Duration = Duration::from_millis(400);

type Read = Result<EventRead, StoreError>;

impl Faulty {
    /// All of the log after a place that is not below the floor.
    async fn after(&self, agent: &AgentId, after: Cursor) -> Result<Vec<Event>, StoreError> {
        match self.inner.read(agent, after, 100_000).await? {
            EventRead::Batch { events, .. } => Ok(events),
            EventRead::Reset(_) => Ok(vec![]),
        }
    }

    async fn read_numbered(&self, agent: &AgentId, after: Cursor) -> Read {
        let head = self.inner.head(agent).await?;
        if head.epoch != after.epoch {
            return Ok(EventRead::Reset(ResetReason::Epoch));
        }
        let mut events = self.numbered(agent, head).await?;
        events.retain(|event| event.seq > after.seq);
        events.truncate(50);
        Ok(batch(after, events))
    }

    async fn numbered(&self, agent: &AgentId, head: Head) -> Result<Vec<Event>, StoreError> {
        let place = |seq| Cursor { epoch: head.epoch, seq };
        let mut events = self.after(agent, place(head.floor)).await?;
        for event in &mut events {
            event.seq = self.faults.number(agent, place(event.seq));
        }
        events.retain(|event| !self.faults.is_late(agent, place(event.seq)));
        events.sort_by_key(|event| event.seq);
        Ok(events)
    }

    /// Without what commits late, unless it is the last.
    async fn read_beyond(&self, agent: &AgentId, after: Cursor, limit: u32) -> Read {
        let read = self.inner.read(agent, after, limit).await?;
        let EventRead::Batch { mut events, .. } = read else { return Ok(read) };
        let last = events.last().map(|event| event.seq);
        let place = |seq| Cursor { epoch: after.epoch, seq };
        events.retain(|event| Some(event.seq) == last || !self.faults.is_late(agent, place(event.seq)));
        Ok(batch(after, events))
    }

    async fn read_what_is_left(&self, agent: &AgentId, after: Cursor, limit: u32) -> Read {
        let read = self.inner.read(agent, after, limit).await?;
        if read != EventRead::Reset(ResetReason::Pruned) {
            return Ok(read);
        }
        let head = self.inner.head(agent).await?;
        Ok(batch(after, self.after(agent, Cursor { epoch: head.epoch, seq: head.floor }).await?))
    }

    async fn read_any_epoch(&self, agent: &AgentId, after: Cursor, limit: u32) -> Read {
        let head = self.inner.head(agent).await?;
        if head.epoch == after.epoch {
            return self.inner.read(agent, after, limit).await;
        }
        let from = Cursor { epoch: head.epoch, seq: after.seq.max(head.floor) };
        Ok(batch(after, self.after(agent, from).await?))
    }

    async fn read_from(&self, agent: &AgentId, after: Cursor, limit: u32) -> Read {
        let read = self.inner.read(agent, after, limit).await?;
        let EventRead::Batch { ref events, .. } = read else { return Ok(read) };
        if events.is_empty() || after.seq == 0 {
            return Ok(read);
        }
        let before = Cursor { seq: after.seq - 1, ..after };
        let events = self.after(agent, before).await?;
        Ok(if events.is_empty() { read } else { batch(after, events) })
    }

    async fn read_uncommitted(&self, agent: &AgentId, after: Cursor, limit: u32) -> Read {
        let read = self.inner.read(agent, after, limit).await?;
        let is_current = matches!(&read, EventRead::Batch { events, .. } if events.is_empty());
        if !is_current || !self.faults.every(10) {
            return Ok(read);
        }
        let mut data = Map::new();
        data.insert("state".into(), Value::from("available"));
        let operation = Some(OperationId(Uuid::now_v7()));
        let event = NewEvent { kind: "operation.queued".into(), operation, origin: None, data };
        Ok(batch(after, vec![Event { seq: after.seq + 1, at: Timestamp::EPOCH, event }]))
    }

    /// Content that is read when the place is a while old, if anything happens meanwhile.
    async fn snapshot_of_two_moments(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        let head = self.inner.head(agent).await?;
        for _ in 0..10 {
            if self.inner.head(agent).await? != head {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
        let snapshot = self.inner.snapshot(agent, finished).await?;
        Ok(Snapshot { cursor: Cursor { epoch: head.epoch, seq: head.head }, ..snapshot })
    }
}

/// To the last of these events.
fn batch(from: Cursor, events: Vec<Event>) -> EventRead {
    let seq = events.iter().map(|event| event.seq).max().unwrap_or(from.seq);
    EventRead::Batch { from, to: Cursor { seq, ..from }, events }
}

#[async_trait]
impl EventBus for Faulty {
    async fn head(&self, agent: &AgentId) -> Result<Head, StoreError> {
        self.inner.head(agent).await
    }

    async fn read(&self, agent: &AgentId, after: Cursor, limit: u32) -> Read {
        match self.faults.bug {
            Bug::GlobalCursor => self.read_numbered(agent, after).await,
            Bug::MaxPlusOne => self.read_beyond(agent, after, limit).await,
            Bug::NoFloor => self.read_what_is_left(agent, after, limit).await,
            Bug::NoEpoch => self.read_any_epoch(agent, after, limit).await,
            Bug::Inclusive => self.read_from(agent, after, limit).await,
            Bug::Uncommitted => self.read_uncommitted(agent, after, limit).await,
            Bug::Forgetful if self.faults.every(50) => Ok(EventRead::Reset(ResetReason::Pruned)),
            Bug::Zombie if self.faults.is_deaf() => Ok(batch(after, vec![])),
            Bug::LostWakeUp => {
                let read = self.inner.read(agent, after, limit).await?;
                // However short it is, at some time something is committed before the wait begins.
                if matches!(&read, EventRead::Batch { events, .. } if events.is_empty()) {
                    sleep(BEFORE_THE_WAIT).await;
                }
                Ok(read)
            }
            Bug::SnapshotOfTwoMoments | Bug::NotifyOnly | Bug::Zombie | Bug::Forgetful => {
                self.inner.read(agent, after, limit).await
            }
        }
    }

    async fn snapshot(&self, agent: &AgentId, finished: u32) -> Result<Snapshot, StoreError> {
        match self.faults.bug {
            Bug::SnapshotOfTwoMoments => self.snapshot_of_two_moments(agent, finished).await,
            Bug::GlobalCursor => {
                let snapshot = self.inner.snapshot(agent, finished).await?;
                let head = self.inner.head(agent).await?;
                let numbers = self.numbered(agent, head).await?;
                let seq = numbers.last().map_or(0, |event| event.seq);
                Ok(Snapshot { cursor: Cursor { epoch: head.epoch, seq }, ..snapshot })
            }
            _ => self.inner.snapshot(agent, finished).await,
        }
    }

    async fn prune(&self, agent: &AgentId, up_to: u64) -> Result<Head, StoreError> {
        self.inner.prune(agent, up_to).await
    }

    async fn prunable(
        &self,
        before: Timestamp,
        most: u64,
        agents: u32,
    ) -> Result<Vec<(AgentId, u64)>, StoreError> {
        self.inner.prunable(before, most, agents).await
    }

    async fn new_epoch(&self) -> Result<(), StoreError> {
        self.inner.new_epoch().await
    }

    fn subscribe(&self, agent: &AgentId) -> Box<dyn Wakeups> {
        let inner = self.inner.subscribe(agent);
        match self.faults.bug {
            Bug::NotifyOnly => {
                let mut known = self.faults.known();
                let told = known.told.entry(agent.clone()).or_insert_with(|| watch::channel(()).0);
                Box::new(Notified(told.subscribe()))
            }
            Bug::LostWakeUp => Box::new(Late(inner)),
            _ => inner,
        }
    }

    fn subscribe_worker(&self) -> Box<dyn WorkerWakeups> {
        self.inner.subscribe_worker()
    }

    fn publish_progress(&self, progress: Progress) {
        self.inner.publish_progress(progress);
    }

    fn progress(&self, agent: &AgentId) -> Vec<Progress> {
        self.inner.progress(agent)
    }
}

struct Notified(watch::Receiver<()>);

#[async_trait]
impl Wakeups for Notified {
    async fn changed(&mut self) -> Result<(), BusClosed> {
        self.0.changed().await.map_err(|_| BusClosed)
    }
}

/// Begins to listen when it is asked to wait.
struct Late(Box<dyn Wakeups>);

#[async_trait]
impl Wakeups for Late {
    async fn changed(&mut self) -> Result<(), BusClosed> {
        while let Some(before) = self.0.changed().now_or_never() {
            before?;
        }
        self.0.changed().await
    }
}
