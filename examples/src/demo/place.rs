//! A device's place in its stream, and the proof that nothing was left out.

use archibald_core::event::{Cursor, Event};
use serde::Deserialize;

use super::sse::SseEvent;

/// Follows one agent's stream over all connections of one device.
#[derive(Debug, Default)]
pub(super) struct Place {
    at: Option<Cursor>,
}

/// What a frame means to the device.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Taken {
    /// What is new, in order.
    pub(super) events: Vec<Event>,
    /// How the stream broke its promise, in words; each is a hole.
    pub(super) holes: Vec<String>,
    /// After how many milliseconds to come back, when the stream says that it ends.
    pub(super) bye: Option<u64>,
    /// The interval of heartbeats in milliseconds, when the stream says it.
    pub(super) heartbeat_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Hello {
    heartbeat_ms: u64,
}

#[derive(Deserialize)]
struct Snapshot {
    cursor: Cursor,
}

#[derive(Deserialize)]
struct Batch {
    from: Cursor,
    to: Cursor,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Bye {
    retry_ms: u64,
}

impl Place {
    /// Where the device is: what it sends as `Last-Event-ID`.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        self.at
    }

    /// Takes the next frame. Frames of other names are none of its business.
    pub(super) fn take(&mut self, frame: &SseEvent) -> Taken {
        let data = frame.data.as_str();
        let taken = match frame.name.as_str() {
            "hello" => read(data)
                .map(|Hello { heartbeat_ms }| Taken { heartbeat_ms: Some(heartbeat_ms), ..Taken::default() }),
            "snapshot" => read(data).map(|snapshot| self.snapshot(&snapshot, frame.id.as_deref())),
            "batch" => read(data).map(|batch| self.batch(batch, frame.id.as_deref())),
            "bye" => read(data).map(|Bye { retry_ms }| Taken { bye: Some(retry_ms), ..Taken::default() }),
            _ => Ok(Taken::default()),
        };
        let unreadable = |what| Taken {
            holes: vec![format!("{} cannot be read: {what}", frame.name)],
            ..Taken::default()
        };
        taken.unwrap_or_else(unreadable)
    }

    /// Right as the first frame of a new device. Later on nothing was pruned and no history lost, so it hides
    /// what happened between the device's place and its own.
    fn snapshot(&mut self, snapshot: &Snapshot, id: Option<&str>) -> Taken {
        let mut holes = named_after(snapshot.cursor, id);
        if let Some(at) = self.at.filter(|&at| at != snapshot.cursor) {
            holes.push(format!("a snapshot at {} in place of what follows {at}", snapshot.cursor));
        }
        self.at = Some(snapshot.cursor);
        Taken { holes, ..Taken::default() }
    }

    fn batch(&mut self, batch: Batch, id: Option<&str>) -> Taken {
        let Batch { from, to, events } = batch;
        let mut holes = named_after(to, id);
        if self.at != Some(from) {
            let at = self.at.map_or("no place".to_owned(), |at| at.to_string());
            holes.push(format!("a batch from {from} for a device at {at}"));
        }
        if !events.iter().map(|event| event.seq).eq(from.seq + 1..=to.seq) || from.epoch != to.epoch {
            let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
            holes.push(format!("a batch from {from} to {to} with the events {seqs:?}"));
        }
        self.at = Some(to);
        Taken { events, holes, ..Taken::default() }
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(data)
}

/// The transport's id must be the frame's own place: it is what a browser would resume with.
fn named_after(place: Cursor, id: Option<&str>) -> Vec<String> {
    if id == Some(place.to_string().as_str()) {
        return vec![];
    }
    vec![format!("a frame that ends at {place} with the id {id:?}")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const EPOCH: &str = "00000000000000000000000000000001";

    fn at(seq: u64) -> String {
        format!("{EPOCH}.{seq}")
    }

    fn frame(name: &str, id: Option<String>, data: &Value) -> SseEvent {
        SseEvent { name: name.into(), id, data: data.to_string() }
    }

    fn snapshot(seq: u64) -> SseEvent {
        frame("snapshot", Some(at(seq)), &json!({ "cursor": at(seq), "operations": [] }))
    }

    fn batch(from: u64, to: u64, seqs: &[u64]) -> SseEvent {
        let event = |seq| json!({ "seq": seq, "at": "2026-11-22T08:30:00Z", "type": "warning", "text": "x" });
        let events: Vec<Value> = seqs.iter().map(event).collect();
        frame("batch", Some(at(to)), &json!({ "from": at(from), "to": at(to), "events": events }))
    }

    /// The holes that a device counts in these frames.
    fn holes(frames: &[SseEvent]) -> usize {
        let mut place = Place::default();
        frames.iter().map(|frame| place.take(frame).holes.len()).sum()
    }

    #[test]
    fn a_stream_without_a_hole_is_taken_as_it_is() {
        let mut place = Place::default();
        let frames = [snapshot(4), batch(4, 4, &[]), batch(4, 6, &[5, 6]), batch(6, 7, &[7]), snapshot(7)];
        let taken: Vec<Taken> = frames.iter().map(|frame| place.take(frame)).collect();
        assert!(taken.iter().all(|taken| taken.holes.is_empty()), "{taken:?}");
        let seqs: Vec<u64> = taken.iter().flat_map(|taken| &taken.events).map(|event| event.seq).collect();
        assert_eq!(seqs, [5, 6, 7]);
        assert_eq!(place.cursor().map(|cursor| cursor.to_string()), Some(at(7)));
    }

    #[test]
    fn every_broken_promise_is_a_hole() {
        let cases: [(&str, &[SseEvent]); 8] = [
            ("events before any place", &[batch(0, 1, &[1])]),
            ("a batch that begins behind the place", &[snapshot(2), batch(1, 3, &[2, 3])]),
            ("a batch that begins ahead of it", &[snapshot(2), batch(3, 4, &[4])]),
            ("an event left out", &[snapshot(0), batch(0, 3, &[1, 3])]),
            ("an event twice", &[snapshot(0), batch(0, 2, &[1, 1])]),
            ("a snapshot over what was missed", &[snapshot(0), batch(0, 2, &[1, 2]), snapshot(5)]),
            ("an id that is another place", &[SseEvent { id: Some(at(9)), ..snapshot(1) }]),
            ("a frame that cannot be read", &[SseEvent { data: "{".into(), ..snapshot(1) }]),
        ];
        for (name, frames) in cases {
            assert_eq!(holes(frames), 1, "{name}");
        }
    }

    #[test]
    fn one_hole_is_counted_once() {
        assert_eq!(holes(&[snapshot(0), batch(2, 3, &[3]), batch(3, 4, &[4])]), 1);
    }

    #[test]
    fn hello_and_bye_say_how_long_to_wait_and_other_frames_nothing() {
        let mut place = Place::default();
        let hello = place.take(&frame("hello", None, &json!({ "proto": 1, "heartbeat_ms": 15000 })));
        assert_eq!(hello.heartbeat_ms, Some(15000));
        let bye = place.take(&frame("bye", None, &json!({ "reason": "shutdown", "retry_ms": 700 })));
        assert_eq!(bye.bye, Some(700));
        assert_eq!(place.take(&frame("progress", None, &json!({ "done": 1 }))), Taken::default());
    }
}
