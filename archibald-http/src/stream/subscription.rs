use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use archibald_core::error::StoreError;
use archibald_core::event::{Cursor, Event};
use archibald_core::id::AgentId;
use archibald_core::port::{BusClosed, EventBus, EventRead, Wakeups};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::frame::{Bye, Frame, Heartbeat, Hello, PROTOCOL};
use super::thinning::{Thinned, Thinning};
use crate::time::timestamp;
use crate::wire::{OperationView, PendingOrderView};

/// How streams behave.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// With nothing to tell, the log is read and a heartbeat sent this often. Default 15 s.
    pub heartbeat: Duration,
    /// The least time between two `progress` frames of one operation. Default 250 ms.
    pub progress_interval: Duration,
    /// The most events in one frame. Default 200.
    pub batch: u32,
    /// Finished operations in a snapshot. Default 50.
    pub finished: u32,
    /// A read of the log that takes longer ends the stream. Default 10 s.
    pub read_time: Duration,
    /// Devices come back after this and up to twice as much again. Default 1 s.
    pub retry: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            progress_interval: Duration::from_millis(250),
            batch: 200,
            finished: 50,
            read_time: Duration::from_secs(10),
            retry: Duration::from_secs(1),
        }
    }
}

impl StreamConfig {
    /// When to come back, scattered.
    pub(crate) fn retry_ms(&self) -> u64 {
        let base = millis(self.retry);
        base.saturating_add(rand::random_range(0..=base.saturating_mul(2)))
    }
}

/// A device's place in an agent's log, and the way on from there, frame by frame.
pub struct Subscription {
    reader: Reader,
    ending: BoxFuture<'static, &'static str>,
    over: bool,
}

impl Subscription {
    /// From a place, or from the beginning: then the first thing after `hello` is a snapshot.
    pub fn new(bus: Arc<dyn EventBus>, agent: AgentId, place: Option<Cursor>, config: StreamConfig) -> Self {
        let reader = Reader {
            // Subscribed before the first read: what is committed after that read wakes us.
            wakeups: bus.subscribe(&agent),
            bus,
            agent,
            place,
            stage: Stage::Greet,
            thinning: Thinning::new(config.progress_interval),
            progress_due: None,
            told_at: Instant::now(),
            config,
        };
        Self { reader, ending: futures::future::pending().boxed(), over: false }
    }

    /// Ends the stream with `bye` and this reason once the future is ready.
    #[must_use]
    pub fn ending(self, reason: impl Future<Output = &'static str> + Send + 'static) -> Self {
        Self { ending: reason.boxed(), ..self }
    }

    /// The device's place after the last frame.
    #[must_use]
    pub fn place(&self) -> Option<Cursor> {
        self.reader.place
    }

    /// The next frame, as soon as there is one; `None` after `bye`.
    ///
    /// # Cancel safety
    /// Cancel safe: a frame that was not returned is made anew by the next call.
    pub async fn next(&mut self) -> Option<Frame> {
        if self.over {
            return None;
        }
        let ended = tokio::select! {
            biased;
            reason = &mut self.ending => reason,
            frame = self.reader.next() => match frame {
                Ok(frame) => return Some(frame),
                Err(error) => {
                    tracing::warn!(agent = %self.reader.agent, %error, "a stream ends");
                    "unavailable"
                }
            },
        };
        self.over = true;
        Some(Frame::Bye(Bye { reason: ended, retry_ms: self.reader.config.retry_ms() }))
    }
}

/// What comes next.
#[derive(Clone, Copy)]
enum Stage {
    Greet,
    Read,
    /// The device has all that the last read saw: what was committed since wakes it, so nothing is read again.
    Told,
    Wait,
}

/// Reads the log for one device. Every frame but `bye` comes from here right after a read, so a stream
/// whose log cannot be read has nothing to say and is known to be dead.
struct Reader {
    bus: Arc<dyn EventBus>,
    agent: AgentId,
    wakeups: Box<dyn Wakeups>,
    place: Option<Cursor>,
    stage: Stage,
    thinning: Thinning,
    progress_due: Option<Instant>,
    /// When the device was last told how far the log is.
    told_at: Instant,
    config: StreamConfig,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the log could not be read in time")]
    TooSlow(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Closed(#[from] BusClosed),
}

impl Reader {
    async fn next(&mut self) -> Result<Frame, ReadError> {
        loop {
            // A device waits nearly always: what reading needs is on the heap for as long as it takes, instead of in
            // every stream for as long as that is open.
            let frame = match self.stage {
                Stage::Greet => Some(Box::pin(self.hello()).await?),
                Stage::Read => Box::pin(self.read()).await?,
                Stage::Told => self.progress(),
                Stage::Wait => {
                    self.wait().await?;
                    None
                }
            };
            self.stage = match (self.stage, &frame) {
                // After a word of progress too, or who reports without a pause would keep all else back.
                (Stage::Greet | Stage::Wait, _) | (Stage::Told, Some(_)) => Stage::Read,
                (Stage::Read, Some(Frame::Batch { events, .. })) if self.fills_a_batch(events) => Stage::Read,
                (Stage::Read, _) => Stage::Told,
                (Stage::Told, None) => Stage::Wait,
            };
            if let Some(frame) = frame {
                if !matches!(frame, Frame::Progress { .. }) {
                    self.told_at = Instant::now();
                }
                return Ok(frame);
            }
        }
    }

    async fn hello(&mut self) -> Result<Frame, ReadError> {
        let head = in_time(&self.config, self.bus.head(&self.agent)).await?;
        Ok(Frame::Hello(Hello {
            proto: PROTOCOL,
            agent: self.agent.clone(),
            epoch: head.epoch.simple().to_string(),
            head: head.head,
            floor: head.floor,
            heartbeat_ms: millis(self.config.heartbeat),
        }))
    }

    async fn read(&mut self) -> Result<Option<Frame>, ReadError> {
        let Some(place) = self.place else { return self.snapshot().await.map(Some) };
        match in_time(&self.config, self.bus.read(&self.agent, place, self.config.batch)).await? {
            EventRead::Batch { from, to, .. } if from == to => Ok(self.nothing_new(place)),
            EventRead::Batch { from, to, events } => {
                self.place = Some(to);
                Ok(Some(Frame::Batch { from, to, events }))
            }
            EventRead::Reset(reason) => {
                tracing::info!(agent = %self.agent, ?reason, "a cursor cannot be served");
                self.snapshot().await.map(Some)
            }
        }
    }

    async fn snapshot(&mut self) -> Result<Frame, ReadError> {
        let snapshot = in_time(&self.config, self.bus.snapshot(&self.agent, self.config.finished)).await?;
        let progress = self.bus.progress(&self.agent);
        let view = |record| OperationView::new(record, &progress, vec![]);
        let operations = snapshot.operations.into_iter().map(view).collect();
        let pending_orders = snapshot.pending_orders.into_iter().map(PendingOrderView::from).collect();
        self.place = Some(snapshot.cursor);
        Ok(Frame::Snapshot { cursor: snapshot.cursor, operations, pending_orders })
    }

    /// Whether there may be more behind them.
    fn fills_a_batch(&self, events: &[Event]) -> bool {
        u32::try_from(events.len()).is_ok_and(|count| count >= self.config.batch)
    }

    /// The log was read and the device has all of it.
    fn nothing_new(&self, place: Cursor) -> Option<Frame> {
        let is_due = Instant::now() >= self.told_at + self.config.heartbeat;
        let heartbeat = || Heartbeat { head: place.seq, at: timestamp(SystemTime::now()) };
        is_due.then(|| Frame::Heartbeat(heartbeat()))
    }

    /// What running operations say, as far as it may be told now.
    fn progress(&mut self) -> Option<Frame> {
        self.progress_due = None;
        match self.thinning.next(self.bus.progress(&self.agent), Instant::now()) {
            Thinned::Send(progress) => return Some(Frame::progress(&progress)),
            Thinned::NotBefore(at) => self.progress_due = Some(at),
            Thinned::Nothing => {}
        }
        None
    }

    async fn wait(&mut self) -> Result<(), BusClosed> {
        let heartbeat = self.told_at + self.config.heartbeat;
        let until = self.progress_due.map_or(heartbeat, |due| due.min(heartbeat));
        tokio::select! {
            woken = self.wakeups.changed() => woken,
            () = tokio::time::sleep_until(until) => Ok(()),
        }
    }
}

async fn in_time<T>(
    config: &StreamConfig,
    read: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, ReadError> {
    Ok(tokio::time::timeout(config.read_time, read).await??)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
