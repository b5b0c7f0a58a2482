//! Whether what a device was told is what happened.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use archibald_core::event::Cursor;
use archibald_core::id::AgentId;
use serde::Serialize;
use uuid::Uuid;

use super::told::{Frame, Open, Shown, Told};

/// What a device holds against a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Something was left out.
    Hole,
    /// Something was told that the device had been told before.
    Repeat,
    /// What came first was told last.
    Order,
    /// What was told never happened.
    Phantom,
    /// What happened, and was acknowledged, is nowhere.
    Lost,
    /// A snapshot where the device's place could be served, or one of the past.
    Reset,
    /// The end has come and the device does not know it.
    Stale,
}

/// A check that failed, and how.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub check: Check,
    /// Whose device, and what it was told.
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.check, self.why)
    }
}

/// Violations of all devices; the first ones in words.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<(BTreeMap<Check, u64>, Vec<Violation>)>);

/// Violations of each check that are kept in words.
const KEPT: u64 = 5;

impl Book {
    pub(crate) fn note(&self, check: Check, why: impl fmt::Display) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = book.0.entry(check).or_default();
        *times += 1;
        if *times <= KEPT {
            book.1.push(Violation { check, why: why.to_string() });
        }
    }

    pub(crate) fn read(&self) -> (BTreeMap<Check, u64>, Vec<Violation>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Up to where logs may have been pruned, by whoever prunes them and before it does.
#[derive(Debug, Default)]
pub(crate) struct Floors(Mutex<HashMap<(AgentId, Uuid), u64>>);

impl Floors {
    pub(crate) fn raise(&self, agent: &AgentId, epoch: Uuid, up_to: u64) {
        let mut floors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = floors.entry((agent.clone(), epoch)).or_default();
        *floor = up_to.max(*floor);
    }

    fn of(&self, agent: &AgentId, epoch: Uuid) -> u64 {
        let floors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        floors.get(&(agent.clone(), epoch)).copied().unwrap_or(0)
    }
}

/// Events in a row, by their prints.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) epoch: Uuid,
    pub(crate) first: u64,
    pub(crate) prints: Vec<u64>,
}

/// What a device knows, and what it was told.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) name: String,
    pub(crate) agent: AgentId,
    pub(crate) place: Option<Cursor>,
    pub(crate) open: Open,
    pub(crate) seen: Vec<Stretch>,
    pub(crate) counts: Counts,
    epochs: Vec<Uuid>,
    book: Arc<Book>,
    floors: Arc<Floors>,
}

/// What a device went through.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Counts {
    /// Events that were told.
    pub delivered: u64,
    /// Snapshots, the first one among them.
    pub snapshots: u64,
    /// Of these, because of another history.
    pub resets_by_epoch: u64,
    /// And because what was missed was pruned.
    pub resets_by_floor: u64,
    /// Times that a stream was opened.
    pub connections: u64,
    /// Times that the device broke it off.
    pub cuts: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, more: Self) {
        self.delivered += more.delivered;
        self.snapshots += more.snapshots;
        self.resets_by_epoch += more.resets_by_epoch;
        self.resets_by_floor += more.resets_by_floor;
        self.connections += more.connections;
        self.cuts += more.cuts;
    }
}

impl Sight {
    pub(crate) fn new(name: String, agent: AgentId, book: Arc<Book>, floors: Arc<Floors>) -> Self {
        Self {
            name,
            agent,
            place: None,
            open: Open::new(),
            seen: vec![],
            counts: Counts::default(),
            epochs: vec![],
            book,
            floors,
        }
    }

    /// Gives up all that it knows, as a device does whose storage was cleared.
    pub(crate) fn forget(&mut self) {
        self.place = None;
        self.open.clear();
    }

    /// Takes a frame in.
    pub(crate) fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Snapshot { cursor, open } => self.begin(cursor, open),
            Frame::Batch { from, to, events } => self.go_on(from, to, &events),
            Frame::Heartbeat { head } if self.place.is_some_and(|place| place.seq != head) => {
                self.note(Check::Stale, format!("a heartbeat says {head} at {:?}", self.place));
            }
            Frame::Heartbeat { .. } | Frame::Bye | Frame::Other => {}
        }
    }

    fn begin(&mut self, cursor: Cursor, open: Open) {
        self.counts.snapshots += 1;
        if let Some(place) = self.place {
            self.check_reset(place, cursor);
        }
        if self.epochs.last() != Some(&cursor.epoch) {
            if self.epochs.contains(&cursor.epoch) {
                self.note(Check::Reset, format!("back to an epoch of the past, {cursor}"));
            }
            self.epochs.push(cursor.epoch);
        }
        self.place = Some(cursor);
        self.open = open;
    }

    fn check_reset(&mut self, place: Cursor, cursor: Cursor) {
        if place.epoch != cursor.epoch {
            self.counts.resets_by_epoch += 1;
            return;
        }
        self.counts.resets_by_floor += 1;
        let floor = self.floors.of(&self.agent, place.epoch);
        if place.seq >= floor {
            self.note(Check::Reset, format!("from {place} to {cursor}, and nothing after {floor} is pruned"));
        }
        if cursor.seq < place.seq {
            self.note(Check::Reset, format!("from {place} back to {cursor}"));
        }
    }

    fn go_on(&mut self, from: Cursor, to: Cursor, events: &[Told]) {
        if self.place != Some(from) || to.epoch != from.epoch {
            self.note(Check::Hole, format!("from {from} to {to} at {:?}", self.place));
        }
        let mut last = from.seq;
        for event in events {
            let check = match event.seq {
                seq if seq == last + 1 => None,
                seq if seq <= from.seq => Some(Check::Repeat),
                seq if seq <= last => Some(Check::Order),
                _ => Some(Check::Hole),
            };
            if let Some(check) = check {
                self.note(check, format!("{event:?} after {last}, from {from} to {to}"));
            }
            last = event.seq;
            self.counts.delivered += 1;
            self.happen(event);
            self.remember(from.epoch, event);
        }
        if last != to.seq {
            self.note(Check::Hole, format!("events end at {last}, from {from} to {to}"));
        }
        self.place = Some(to);
    }

    fn happen(&mut self, event: &Told) {
        let Some(about) = event.about() else { return };
        let known = self.open.get(&about).copied();
        let wrong = match (event.kind.as_str(), known) {
            ("operation.queued" | "pending_order.created", Some(_)) => Some(Check::Repeat),
            ("operation.queued" | "pending_order.created", None) => None,
            ("pending_order.updated", Some(Shown::Draft(version))) => {
                jump(version + 1, event.version.unwrap_or(0))
            }
            ("pending_order.deleted", Some(Shown::Draft(version))) => {
                jump(version, event.version.unwrap_or(0))
            }
            ("operation.started", Some(Shown::Runs)) => Some(Check::Order),
            (_, Some(_)) => None,
            (_, None) => Some(Check::Hole),
        };
        if let Some(check) = wrong {
            self.note(check, format!("{event:?} of what the device shows as {known:?}"));
        }
        let now = match event.kind.as_str() {
            "pending_order.deleted" => None,
            "pending_order.created" | "pending_order.updated" => event.version.map(Shown::Draft),
            _ => event.state.as_deref().and_then(Shown::of_state),
        };
        match now {
            Some(shown) => drop(self.open.insert(about, shown)),
            None => drop(self.open.remove(&about)),
        }
    }

    fn remember(&mut self, epoch: Uuid, event: &Told) {
        let print = event.print();
        match self.seen.last_mut() {
            Some(last) if last.epoch == epoch && last.first + last.prints.len() as u64 == event.seq => {
                last.prints.push(print);
            }
            _ => self.seen.push(Stretch { epoch, first: event.seq, prints: vec![print] }),
        }
    }

    pub(crate) fn note(&self, check: Check, why: impl fmt::Display) {
        self.book.note(check, format_args!("{} of {}: {why}", self.name, self.agent));
    }
}

/// Versions go on one by one.
fn jump(wanted: u64, version: u64) -> Option<Check> {
    match version {
        version if version == wanted => None,
        version if version < wanted => Some(Check::Repeat),
        _ => Some(Check::Hole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Cursor {
        Cursor { epoch: Uuid::from_u128(1), seq }
    }

    fn told(seq: u64, kind: &str, about: u128, state: &str) -> Told {
        let operation = Some(Uuid::from_u128(about));
        Told {
            seq,
            kind: kind.into(),
            operation,
            pending_order: None,
            state: Some(state.into()),
            version: None,
        }
    }

    fn batch(from: u64, to: u64, events: Vec<Told>) -> Frame {
        Frame::Batch { from: at(from), to: at(to), events }
    }

    /// What a device objects to that begins with an empty snapshot at 1.
    fn objections(frames: Vec<Frame>) -> Vec<Check> {
        let book = Arc::new(Book::default());
        let nancy = AgentId::new("nancy").unwrap();
        let mut sight = Sight::new("device".into(), nancy, book.clone(), Arc::default());
        sight.take(Frame::Snapshot { cursor: at(1), open: Open::new() });
        frames.into_iter().for_each(|frame| sight.take(frame));
        book.read().1.iter().map(|violation| violation.check).collect()
    }

    #[test]
    fn a_device_that_is_told_everything_once_and_in_order_objects_to_nothing() {
        let queued = told(2, "operation.queued", 7, "available");
        let cancelled = told(3, "operation.cancelled", 7, "cancelled");
        let frames = vec![batch(1, 2, vec![queued]), batch(2, 3, vec![cancelled])];
        assert_eq!(objections(frames), []);
    }

    #[test]
    fn each_sort_of_lie_is_told_apart() {
        let queued = |seq, about| told(seq, "operation.queued", about, "available");
        let cancelled = |seq, about| told(seq, "operation.cancelled", about, "cancelled");
        let cases = [
            (vec![batch(2, 3, vec![queued(3, 7)])], Check::Hole),
            (vec![batch(1, 3, vec![queued(3, 7)])], Check::Hole),
            (vec![batch(1, 3, vec![queued(2, 7)])], Check::Hole),
            (vec![batch(1, 2, vec![cancelled(2, 7)])], Check::Hole),
            (vec![batch(1, 2, vec![queued(1, 7), queued(2, 8)])], Check::Repeat),
            (vec![batch(1, 3, vec![queued(2, 7), queued(3, 7)])], Check::Repeat),
            (vec![batch(1, 3, vec![queued(2, 7), queued(3, 8), queued(3, 9)])], Check::Order),
            (vec![Frame::Snapshot { cursor: at(1), open: Open::new() }], Check::Reset),
            (vec![Frame::Heartbeat { head: 2 }], Check::Stale),
        ];
        for (frames, check) in cases {
            let what = format!("{frames:?}");
            assert_eq!(objections(frames).first(), Some(&check), "{what}");
        }
    }

    #[test]
    fn a_snapshot_is_no_offence_below_the_floor_or_in_another_epoch() {
        let book = Arc::new(Book::default());
        let (nancy, floors) = (AgentId::new("nancy").unwrap(), Arc::new(Floors::default()));
        let mut sight = Sight::new("device".into(), nancy.clone(), book.clone(), floors.clone());
        let snapshot = |cursor| Frame::Snapshot { cursor, open: Open::new() };
        sight.take(snapshot(at(1)));
        floors.raise(&nancy, at(1).epoch, 2);
        sight.take(snapshot(at(3)));
        sight.take(snapshot(Cursor { epoch: Uuid::from_u128(2), seq: 0 }));
        assert!(book.read().1.is_empty());
        sight.take(snapshot(at(4)));
        assert_eq!(book.read().1[0].check, Check::Reset);
    }
}
