//! What a call finds, and what it writes.

use std::collections::BTreeMap;

use archibald_core::error::{FenceError, StoreError};
use archibald_core::event::NewEvent;
use archibald_core::id::{AgentId, Collection, OperationId, PendingOrderId};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, Operation};
use archibald_core::pending_order::PendingOrder;
use archibald_core::record::{Evidence, LocalRow, OperationRecord};
use archibald_core::time::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::codec::{At, printable, to_i64, to_json, to_u64};
use crate::records::{AgentRow, Columns};
use crate::tx::Runs;

/// What a call sees, locked until its transaction ends.
pub(crate) struct Found {
    pub(crate) agent: Option<AgentRow>,
    pub(crate) operation: Option<Candidate>,
    /// What the agent may go on with.
    pub(crate) next: Option<Candidate>,
    pub(crate) standing: Standing,
    pub(crate) rows: BTreeMap<Place, Value>,
    /// The one that was asked for, or that the operation submits, or that has the key of a new one.
    pub(crate) pending_order: Option<PendingOrder>,
    /// How many the agent has that are not submitted; counted for a new one, no further than to the limit.
    pub(crate) open_pending_orders: u64,
    pub(crate) place: Option<LogPlace>,
    /// After any wait.
    pub(crate) now: Timestamp,
    /// Whether an earlier try of this call may have been committed without our knowing.
    pub(crate) maybe_done_before: bool,
}

/// An operation, and who goes before it.
pub(crate) struct Candidate {
    pub(crate) record: OperationRecord,
    /// The first unfinished one before it that has its target, where that was asked for.
    pub(crate) blocker: Option<OperationId>,
}

/// What may stand in the way of a new operation.
#[derive(Default)]
pub(crate) struct Standing {
    pub(crate) of_key: Option<OperationRecord>,
    pub(crate) of_target: Option<OperationRecord>,
    pub(crate) of_kind: Option<OperationRecord>,
    /// Counted where the queue may be full, and no further than to its limit.
    pub(crate) unfinished: Option<u64>,
    /// The place of the new one in the order of all operations.
    pub(crate) position: u64,
}

/// Collection and id.
pub(crate) type Place = (Collection, String);

/// The end of an agent's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogPlace {
    pub(crate) epoch: Uuid,
    pub(crate) head: u64,
    /// What is in the agent's queue, about.
    pub(crate) queued: u64,
}

impl LogPlace {
    /// From the columns of a counter.
    pub(crate) fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (epoch, head, queued) = (row.try_get("epoch")?, row.try_get("head")?, row.try_get("queued")?);
        Ok(Self { epoch, head: to_u64(head), queued: to_u64(queued) })
    }
}

/// What a call writes.
#[derive(Default)]
pub(crate) struct Writes {
    /// What ran before.
    pub(crate) saved: Option<OperationRecord>,
    /// What was in the queue and runs now.
    pub(crate) next: Option<OperationRecord>,
    pub(crate) accepted: Option<OperationRecord>,
    pub(crate) agent: Option<Holder>,
    pub(crate) rows: RowWrites,
    pub(crate) pending_order: Option<PendingOrderWrite>,
    /// With the number of the first.
    pub(crate) evidence: (u32, Vec<Evidence>),
    pub(crate) events: Vec<NewEvent>,
    pub(crate) wakes_workers: bool,
    pub(crate) runs: Option<Runs>,
}

/// What becomes of the agent's lease row.
pub(crate) enum Holder {
    Is(Lease),
    Nobody,
}

/// What becomes of a pending order.
pub(crate) enum PendingOrderWrite {
    Is(Box<PendingOrder>),
    Gone(PendingOrderId),
}

/// The last word about each row of a call.
#[derive(Default)]
pub(crate) struct RowWrites(BTreeMap<Place, Option<Value>>);

/// A new operation, and what is kept apart of it: its payload as text.
pub(crate) type New = (Operation, Columns, String);

/// What is in the queue, or among the finished, of one operation.
pub(crate) struct Entry {
    pub(crate) operation: Uuid,
    pub(crate) is_background: bool,
    pub(crate) position: i64,
    pub(crate) kind: String,
    pub(crate) target: Option<String>,
    pub(crate) ticket: Option<String>,
    pub(crate) finished_at: Option<At>,
    is_queued: bool,
}

impl Entry {
    fn of(operation: &Operation, columns: &Columns) -> Self {
        Self {
            operation: operation.id.0,
            is_background: operation.class == Class::Background,
            position: to_i64(operation.position),
            kind: operation.kind.to_string(),
            target: operation.target.as_ref().map(ToString::to_string),
            ticket: columns.ticket.clone(),
            finished_at: columns.finished_at,
            is_queued: columns.is_queued,
        }
    }
}

/// The same as the tables have it.
pub(crate) struct Encoded {
    pub(crate) saved: Vec<(Uuid, Columns)>,
    pub(crate) accepted: Option<New>,
    pub(crate) queued: Vec<Entry>,
    pub(crate) unqueued: Vec<Entry>,
    pub(crate) finished: Vec<Entry>,
    pub(crate) agent: Option<Holder>,
    /// Collection, id, content, what is searched.
    pub(crate) rows_written: Vec<[String; 4]>,
    pub(crate) rows_removed: Vec<[String; 2]>,
    pub(crate) pending_order: Option<PendingOrderWrite>,
    pub(crate) evidence: Vec<(Uuid, i64, Evidence)>,
    /// Epoch, place and text.
    pub(crate) events: Vec<(Uuid, i64, String)>,
    /// Where the log ended before.
    pub(crate) head: Option<i64>,
    pub(crate) now: Timestamp,
    pub(crate) wakes_workers: bool,
    pub(crate) runs: Option<Runs>,
}

impl Found {
    /// The record of a lease that is still held, and when that ends.
    pub(crate) fn held(&mut self, lease: &Lease) -> Result<(OperationRecord, Timestamp), FenceError> {
        let is_holder =
            |agent: &&AgentRow| agent.token == lease.token.0 && agent.operation == Some(lease.operation);
        let agent = self.agent.as_ref().filter(is_holder).ok_or(FenceError::Superseded)?;
        let ends = agent.ends.unwrap_or(Timestamp::EPOCH);
        Ok((self.operation.take().ok_or(FenceError::Superseded)?.record, ends))
    }

    /// Rows of the operation's agent, one after the other as far as anybody can tell, and the events of those
    /// that did change.
    pub(crate) fn write_rows(
        &mut self,
        record: &OperationRecord,
        rows: &[LocalRow],
    ) -> Result<(RowWrites, Vec<NewEvent>), StoreError> {
        if let Some(row) = rows.iter().find(|row| row.id.contains('\0')) {
            let what = format!("a row's id with the character U+0000 in {}", row.collection);
            return Err(StoreError::Damaged { what, cause: None });
        }
        let (mut last, mut events) = (BTreeMap::new(), vec![]);
        for row in rows {
            let place = (row.collection.clone(), row.id.clone());
            let before = match row.doc.clone() {
                Some(doc) => self.rows.insert(place.clone(), doc),
                None => self.rows.remove(&place),
            };
            if before != row.doc {
                events.extend(row.told(&record.operation));
            }
            last.insert(place, row.doc.clone());
        }
        Ok((RowWrites(last), events))
    }
}

impl Writes {
    /// # Errors
    /// What cannot be written as JSON, or has no log to be told in.
    pub(crate) fn encode(
        self,
        agent: &AgentId,
        place: Option<LogPlace>,
        now: Timestamp,
    ) -> Result<Encoded, StoreError> {
        let evidence = self.evidence.1.into_iter().zip(i64::from(self.evidence.0)..);
        let of = self.saved.as_ref().map_or(Uuid::nil(), |record| record.operation.id.0);
        let mut encoded = Encoded {
            evidence: evidence.map(|(evidence, n)| (of, n, evidence)).collect(),
            events: places(agent, place, &self.events)?,
            head: place.map(|place| to_i64(place.head)),
            agent: self.agent,
            saved: vec![],
            accepted: None,
            queued: vec![],
            unqueued: vec![],
            finished: vec![],
            rows_written: vec![],
            rows_removed: vec![],
            pending_order: self.pending_order,
            now,
            wakes_workers: self.wakes_workers,
            runs: self.runs,
        };
        if let Some(record) = self.saved {
            let entry = encoded.save(record)?;
            if entry.finished_at.is_some() {
                encoded.finished.push(entry);
            } else if entry.is_queued {
                encoded.queued.push(entry);
            }
        }
        if let Some(record) = self.next {
            let entry = encoded.save(record)?;
            encoded.unqueued.push(entry);
        }
        if let Some(record) = self.accepted {
            let operation = record.operation.clone();
            let (columns, payload) = Columns::of(record)?;
            let entry = Entry::of(&operation, &columns);
            if entry.is_queued {
                encoded.queued.push(entry);
            }
            encoded.accepted = Some((operation, columns, to_json("a payload", &payload)?));
        }
        for ((collection, id), doc) in self.rows.0 {
            match doc {
                Some(doc) => {
                    let searchable = printable(&LocalRow::searchable(&id, &doc));
                    let doc = to_json("a row", &doc)?;
                    encoded.rows_written.push([collection.to_string(), id, doc, searchable]);
                }
                None => encoded.rows_removed.push([collection.to_string(), id]),
            }
        }
        Ok(encoded)
    }
}

impl Encoded {
    fn save(&mut self, record: OperationRecord) -> Result<Entry, StoreError> {
        let operation = record.operation.clone();
        let (columns, _) = Columns::of(record)?;
        let entry = Entry::of(&operation, &columns);
        self.saved.push((operation.id.0, columns));
        Ok(entry)
    }

    /// Where the log ends and by how much the queue has grown, if anything of that has changed.
    pub(crate) fn told(&self) -> Option<(i64, i64)> {
        let grown = self.queued.len() as i64 - self.unqueued.len() as i64;
        let head = self.events.last().map(|(_, seq, _)| *seq);
        if head.is_none() && grown == 0 { None } else { Some((head.or(self.head)?, grown)) }
    }
}

/// Gives events the next places of the agent's log.
fn places(
    agent: &AgentId,
    place: Option<LogPlace>,
    events: &[NewEvent],
) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
    if events.is_empty() {
        return Ok(vec![]);
    }
    let missing = || format!("agent {agent} has no event counter");
    let place = place.ok_or_else(|| StoreError::Damaged { what: missing(), cause: None })?;
    let numbered = events.iter().zip(place.head + 1..);
    numbered.map(|(event, seq)| Ok((place.epoch, to_i64(seq), to_json("an event", event)?))).collect()
}
