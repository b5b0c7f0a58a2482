//! What happens to all agents' operations, in one stream: for an operator who looks at everything at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::SystemTime;

use archibald_core::event::Event;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::port::{EventBus, Minute, Operations};
use archibald_core::time::Timestamp;
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior, interval_at, sleep};

use super::{Frame, StreamConfig, Subscription, event, event_stream};
use crate::state::ApiState;
use crate::time::timestamp;
use crate::wire::{OperationRow, ProgressView};

/// Agents that one stream follows: each costs a place in the log and a read of it at every heartbeat.
pub(crate) const AGENTS: usize = 200;
/// Agents of one stream whose snapshots are read at the same time.
const AT_ONCE: usize = 8;
/// An agent whose log cannot be read so many times in a row ends the whole stream.
const FAILURES: u32 = 3;
/// People do not read faster than this.
const PROGRESS: Duration = Duration::from_secs(1);

/// Follows these agents, each from a snapshot on. What it tells is what the agents' own streams tell, with the
/// agent's name and operations as rows. Every event is made when the connection has room for it.
pub(crate) fn follow_activity(
    state: &ApiState,
    agents: Vec<AgentId>,
    roster: Option<Vec<AgentId>>,
    ending: impl Future<Output = &'static str> + Send + 'static,
) -> Response {
    let heartbeat = state.config.stream.heartbeat.max(Duration::from_millis(10));
    let config = StreamConfig { progress_interval: PROGRESS, ..state.config.stream.clone() };
    let mut beats = interval_at(Instant::now() + heartbeat, heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beginning = Arc::new(Semaphore::new(AT_ONCE));
    let of_agent = |agent: &AgentId| {
        let (bus, agent, config) = (state.bus.clone(), agent.clone(), config.clone());
        told(Follower { bus, agent, config, beginning: beginning.clone(), under_way: None, failures: 0 })
    };
    let activity = Activity {
        merged: agents.iter().map(of_agent).collect(),
        greeting: event("hello", &Hello { agents: &agents, heartbeat_ms: heartbeat.as_millis() }).ok(),
        history: roster.is_some().then(Past::default),
        operations: state.operations.clone(),
        roster,
        beats,
        ending: ending.boxed(),
        over: false,
        config,
    };
    event_stream(stream::unfold(activity, |mut activity| async move {
        let event = activity.next().await?;
        Some((Ok::<_, Infallible>(event), activity))
    }))
}

struct Activity {
    merged: SelectAll<BoxStream<'static, Told>>,
    greeting: Option<Bytes>,
    /// Where all are followed.
    history: Option<Past>,
    operations: Arc<dyn Operations>,
    /// All agents as they were at the start, where all are followed.
    roster: Option<Vec<AgentId>>,
    beats: Interval,
    ending: BoxFuture<'static, &'static str>,
    over: bool,
    config: StreamConfig,
}

/// What became of operations before anybody looked, in minutes.
#[derive(Default)]
struct Past {
    begun: bool,
    /// The last minute that was told: it may not have been over.
    last: Option<Minute>,
}

enum Told {
    Event(Bytes),
    /// The agent cannot be followed.
    Over(&'static str),
}

/// Follows one agent. When its subscription ends it begins another one, with what there is then.
struct Follower {
    bus: Arc<dyn EventBus>,
    agent: AgentId,
    config: StreamConfig,
    beginning: Arc<Semaphore>,
    under_way: Option<UnderWay>,
    /// Subscriptions that ended since the last snapshot.
    failures: u32,
}

struct UnderWay {
    subscription: Subscription,
    /// Until it has its snapshot.
    beginning: Option<OwnedSemaphorePermit>,
}

#[derive(Serialize)]
struct Hello<'a> {
    agents: &'a [AgentId],
    heartbeat_ms: u128,
}

#[derive(Serialize)]
struct Rows<'a> {
    agent: &'a AgentId,
    operations: Vec<OperationRow>,
}

#[derive(Serialize)]
struct Batch<'a> {
    agent: &'a AgentId,
    events: Vec<&'a Event>,
}

#[derive(Serialize)]
struct Progressed<'a> {
    agent: &'a AgentId,
    operation: OperationId,
    #[serde(flatten)]
    progress: &'a ProgressView,
}

impl Activity {
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        // Before any snapshot is read: what ends in between is in the minute that is told again.
        if let Some(past) = self.history.as_mut().filter(|past| !past.begun)
            && let Some(minutes) = past.tell(self.operations.as_ref())
        {
            return Some(minutes);
        }
        let reason = tokio::select! {
            biased;
            reason = &mut self.ending => reason,
            told = self.merged.next(), if !self.merged.is_empty() => match told {
                Some(Told::Event(event)) => return Some(event),
                Some(Told::Over(reason)) => reason,
                None => "unavailable",
            },
            _ = self.beats.tick() => match self.has_new_roster() {
                true => "roster",
                false => return self.beat(),
            },
        };
        self.over = true;
        event("bye", &json!({ "reason": reason, "retry_ms": self.config.retry_ms() })).ok()
    }

    /// Says that it is alive, by what became of operations meanwhile if there is any.
    fn beat(&mut self) -> Option<Bytes> {
        let past = self.history.as_mut().and_then(|past| past.tell(self.operations.as_ref()));
        past.or_else(|| event("heartbeat", &json!({ "at": timestamp(SystemTime::now()) })).ok())
    }

    /// Agents came or went: whoever comes again gets those that there are then.
    fn has_new_roster(&self) -> bool {
        self.roster.as_ref().is_some_and(|before| {
            let mut now = self.operations.agents();
            now.sort();
            now != *before
        })
    }
}

impl Past {
    /// All minutes, and later those from the last one on; `None` where it is as it was.
    fn tell(&mut self, operations: &dyn Operations) -> Option<Bytes> {
        self.begun = true;
        let since = self.last.as_ref().map_or(Timestamp::EPOCH, |minute| minute.at);
        let minutes = operations.history(since);
        let last = minutes.last()?;
        if self.last.as_ref() == Some(last) {
            return None;
        }
        self.last = Some(last.clone());
        event("history", &json!({ "minutes": minutes })).ok()
    }
}

impl Follower {
    async fn next(&mut self) -> Told {
        loop {
            let frame = self.frame().await;
            if let Some(Frame::Snapshot { .. }) = &frame {
                self.failures = 0;
                self.under_way.iter_mut().for_each(|under_way| under_way.beginning = None);
            }
            match frame {
                Some(Frame::Bye(bye)) if self.failures + 1 == FAILURES => return Told::Over(bye.reason),
                Some(Frame::Bye(bye)) => {
                    self.failures += 1;
                    self.under_way = None;
                    sleep(Duration::from_millis(bye.retry_ms)).await;
                }
                Some(frame) => {
                    if let Some(told) = encode(&self.agent, frame) {
                        return told;
                    }
                }
                None => self.under_way = None,
            }
        }
    }

    /// The next of the subscription under way, or of another one.
    async fn frame(&mut self) -> Option<Frame> {
        if self.under_way.is_none() {
            let beginning = self.beginning.clone().acquire_owned().await.ok();
            let subscription =
                Subscription::new(self.bus.clone(), self.agent.clone(), None, self.config.clone());
            self.under_way = Some(UnderWay { subscription, beginning });
        }
        self.under_way.as_mut()?.subscription.next().await
    }
}

fn told(follower: Follower) -> BoxStream<'static, Told> {
    let told =
        stream::unfold(follower, |mut follower| async move { Some((follower.next().await, follower)) });
    told.boxed()
}

/// `None` for what is said once for all agents.
fn encode(agent: &AgentId, frame: Frame) -> Option<Told> {
    let event = match frame {
        Frame::Hello(_) | Frame::Heartbeat(_) => return None,
        Frame::Bye(bye) => return Some(Told::Over(bye.reason)),
        Frame::Snapshot { operations, .. } => {
            let operations = operations.into_iter().map(OperationRow::from).collect();
            event("operations", &Rows { agent, operations })
        }
        Frame::Batch { events, .. } => {
            // The rows that a sync brings are for devices, and many.
            let of_work = |event: &&Event| !event.event.data.contains_key("doc");
            let events: Vec<&Event> = events.iter().filter(of_work).collect();
            if events.is_empty() {
                return None;
            }
            event("events", &Batch { agent, events })
        }
        Frame::Progress { operation, progress } => {
            event("progress", &Progressed { agent, operation, progress: &progress })
        }
    };
    let event = event.inspect_err(|error| tracing::error!(%error, "a frame is not JSON"));
    Some(event.map_or(Told::Over("unavailable"), Told::Event))
}
