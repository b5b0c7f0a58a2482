//! What was asked of the store, what came of it, and what its logs say.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use archibald_core::error::StoreError;
use archibald_core::event::Cursor;
use archibald_core::id::AgentId;
use archibald_core::port::{EventBus, EventRead};
use uuid::Uuid;

use super::judge::{Book, Check, Sight};
use super::told::Told;
use crate::Failure;

/// Events that are read at a time.
const PAGE: u32 = 500;

/// Times that a log is tried to be read.
const TRIES: u32 = 5;

/// What was asked, by what it would be told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    pub(crate) what: Verb,
    pub(crate) about: Uuid,
    /// Of a pending order, after the change; 0 of an operation.
    pub(crate) version: u64,
}

/// Changes that nobody makes without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Queued,
    Started,
    Completed,
    Cancelled,
    Created,
    Updated,
    Deleted,
}

impl Change {
    /// What an event tells of; `None` where it was not a change that is asked for.
    pub(crate) fn told(event: &Told) -> Option<Self> {
        let what = match event.kind.as_str() {
            "operation.queued" => Verb::Queued,
            "operation.started" => Verb::Started,
            "operation.completed" => Verb::Completed,
            "operation.cancelled" => Verb::Cancelled,
            "pending_order.created" => Verb::Created,
            "pending_order.updated" => Verb::Updated,
            "pending_order.deleted" => Verb::Deleted,
            _ => return None,
        };
        Some(Self { what, about: event.about()?, version: event.version.unwrap_or(0) })
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused, or rolled back.
    Refused,
    /// Whoever could have said so is gone.
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    outcome: Outcome,
    told: u32,
    /// How often it had been begun or ended to cut a history short when it was asked.
    cuts: u64,
    /// It was under way while a history was cut short: its event may have gone with that.
    may_be_gone: bool,
}

/// One epoch of a log from its first event, by prints.
#[derive(Debug)]
struct Epoch {
    epoch: Uuid,
    prints: Vec<u64>,
    /// More was written than could be read.
    is_cut_short: bool,
}

fn is_unavailable(failure: &Failure) -> bool {
    matches!(failure.downcast_ref(), Some(StoreError::Unavailable { .. }))
}

/// Between the beginning and the end of cutting a history short.
fn is_amid(cuts: u64) -> bool {
    !cuts.is_multiple_of(2)
}

/// All changes, and all logs as the store itself tells them.
#[derive(Debug)]
pub(crate) struct Ledger {
    book: Arc<Book>,
    asked: Mutex<HashMap<Change, Asked>>,
    logs: Mutex<HashMap<AgentId, Vec<Epoch>>>,
    cuts: AtomicU64,
}

impl Ledger {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book, asked: Mutex::default(), logs: Mutex::default(), cuts: AtomicU64::new(0) }
    }

    /// Before it is asked for: from then on it may be told.
    pub(crate) fn ask(&self, change: Change) {
        let mut all = self.asked();
        let cuts = self.cuts.load(Ordering::SeqCst);
        all.insert(change, Asked { outcome: Outcome::Unknown, told: 0, cuts, may_be_gone: is_amid(cuts) });
    }

    pub(crate) fn answer(&self, change: Change, outcome: Outcome) {
        if let Some(asked) = self.asked().get_mut(&change) {
            asked.outcome = outcome;
            asked.may_be_gone |= self.cuts.load(Ordering::SeqCst) != asked.cuts;
        }
    }

    /// From now on, or no longer, a history is cut short while others write: before it is read to where it ends.
    pub(crate) fn cut_short(&self, begins: bool) {
        let asked = self.asked();
        let cuts = self.cuts.fetch_add(1, Ordering::SeqCst) + 1;
        debug_assert_eq!(is_amid(cuts), begins);
        drop(asked);
        if !begins {
            self.logs()
                .values_mut()
                .filter_map(|log| log.last_mut())
                .for_each(|last| last.is_cut_short = true);
        }
    }

    /// Reads what the log has more than was read before; returns where it ends. A store that cannot be reached for a
    /// while is asked again.
    pub(crate) async fn audit(&self, bus: &dyn EventBus, agent: &AgentId) -> Result<Cursor, Failure> {
        for _ in 1..TRIES {
            match self.read_on(bus, agent).await {
                Err(failure) if is_unavailable(&failure) => {}
                read => return read,
            }
        }
        self.read_on(bus, agent).await
    }

    async fn read_on(&self, bus: &dyn EventBus, agent: &AgentId) -> Result<Cursor, Failure> {
        loop {
            let known = self.end(agent);
            let from = match known {
                Some(place) => place,
                None => Cursor { epoch: bus.head(agent).await?.epoch, seq: 0 },
            };
            match bus.read(agent, from, PAGE).await? {
                EventRead::Batch { to, .. } if to == from && known.is_some() => return Ok(to),
                EventRead::Batch { events, .. } => {
                    self.enter(agent, from, events.iter().map(Told::of).collect());
                }
                EventRead::Reset(why) => {
                    let epoch = bus.head(agent).await?.epoch;
                    if epoch == from.epoch {
                        self.book.note(Check::Reset, format!("{agent}: {why:?} at {from}, which was read"));
                        return Ok(from);
                    }
                    self.enter(agent, Cursor { epoch, seq: 0 }, vec![]);
                }
            }
        }
    }

    fn enter(&self, agent: &AgentId, from: Cursor, events: Vec<Told>) {
        for (event, seq) in events.iter().zip(from.seq + 1..) {
            if event.seq != seq {
                self.book
                    .note(Check::Hole, format!("{agent}: the store has {event:?} in the place of {seq}"));
            }
            self.told(agent, event);
        }
        let mut logs = self.logs();
        let log = logs.entry(agent.clone()).or_default();
        if log.last().is_none_or(|last| last.epoch != from.epoch) {
            log.push(Epoch { epoch: from.epoch, prints: vec![], is_cut_short: false });
        }
        if let Some(last) = log.last_mut() {
            last.prints.extend(events.iter().map(Told::print));
        }
    }

    fn told(&self, agent: &AgentId, event: &Told) {
        let Some(change) = Change::told(event) else { return };
        match self.asked().get_mut(&change) {
            Some(asked) => asked.told += 1,
            None => self.book.note(Check::Phantom, format!("{agent}: nobody asked for {event:?}")),
        }
    }

    fn end(&self, agent: &AgentId) -> Option<Cursor> {
        let logs = self.logs();
        let last = logs.get(agent)?.last()?;
        Some(Cursor { epoch: last.epoch, seq: last.prints.len() as u64 })
    }

    /// Events of all logs.
    pub(crate) fn events(&self) -> u64 {
        self.logs().values().flatten().map(|epoch| epoch.prints.len() as u64).sum()
    }

    /// Epochs of the agent that had the most of them.
    pub(crate) fn epochs(&self) -> usize {
        self.logs().values().map(Vec::len).max().unwrap_or(0)
    }

    /// Holds what was asked for against the logs, once all of them were read to their ends.
    pub(crate) fn judge(&self) {
        for (change, asked) in self.asked().iter() {
            match (asked.outcome, asked.told) {
                (Outcome::Done, 0) if !asked.may_be_gone => {
                    self.book.note(Check::Lost, format!("{change:?} was acknowledged"))
                }
                (Outcome::Refused, 1..) => {
                    self.book.note(Check::Phantom, format!("{change:?} was refused and is told of"));
                }
                (_, 2..) => {
                    self.book.note(Check::Repeat, format!("the store has {change:?} {} times", asked.told))
                }
                _ => {}
            }
        }
    }

    /// Holds what a device was told against the logs.
    pub(crate) fn judge_device(&self, sight: &Sight) {
        let logs = self.logs();
        let log = logs.get(&sight.agent).map_or(&[][..], Vec::as_slice);
        for stretch in &sight.seen {
            let epoch = log.iter().find(|epoch| epoch.epoch == stretch.epoch);
            let truth = epoch.map_or(&[][..], |epoch| &epoch.prints);
            let wrong = stretch.prints.iter().zip(stretch.first..).find(|(print, seq)| {
                let place = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
                let is_past_reading = place >= truth.len() && epoch.is_some_and(|epoch| epoch.is_cut_short);
                truth.get(place) != Some(print) && !is_past_reading
            });
            if let Some((_, seq)) = wrong {
                let place = Cursor { epoch: stretch.epoch, seq };
                sight.note(
                    Check::Phantom,
                    format!("what was told as {place} is not what the store had there"),
                );
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Change, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn logs(&self) -> MutexGuard<'_, HashMap<AgentId, Vec<Epoch>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
