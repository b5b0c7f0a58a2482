//! What several calls write, a column at a time.

use archibald_core::id::AgentId;
use archibald_core::operation::Class;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use uuid::Uuid;

use crate::codec::{At, to_i64};
use crate::sql::Statement;
use crate::writes::{Encoded, Entry, Holder, New};

/// The columns of `sql/group_write.sql`.
#[derive(Default)]
pub(crate) struct GroupWrite {
    saved: Saved,
    held: Held,
    accepted: Accepted,
    unqueued: Entries,
    queued: Entries,
    finished: Entries,
    told: (Vec<String>, Vec<i64>, Vec<i64>),
    events: Events,
    /// Who, and the version of its lease row that all of this depends on.
    pub(crate) agents_seen: Vec<(String, String)>,
    /// The same of operations.
    pub(crate) operations_seen: Vec<(Uuid, String)>,
    /// The same of event counters.
    pub(crate) streams_seen: Vec<(String, String)>,
}

#[derive(Default)]
struct Saved {
    id: Vec<Uuid>,
    state: Vec<&'static str>,
    finished_at: Vec<Option<At>>,
    record: Vec<String>,
}

#[derive(Default)]
struct Held {
    agent: Vec<String>,
    token: Vec<Option<i64>>,
    operation: Vec<Option<Uuid>>,
    worker: Vec<Option<String>>,
    expires_at: Vec<Option<At>>,
}

#[derive(Default)]
struct Accepted {
    id: Vec<Uuid>,
    agent: Vec<String>,
    key: Vec<String>,
    kind: Vec<String>,
    class: Vec<&'static str>,
    target: Vec<Option<String>>,
    position: Vec<i64>,
    created_at: Vec<At>,
    state: Vec<&'static str>,
    payload: Vec<String>,
    record: Vec<String>,
}

#[derive(Default)]
struct Entries {
    agent: Vec<String>,
    is_background: Vec<bool>,
    position: Vec<i64>,
    operation: Vec<Uuid>,
    kind: Vec<String>,
    target: Vec<Option<String>>,
    ticket: Vec<Option<String>>,
    finished_at: Vec<Option<At>>,
}

#[derive(Default)]
struct Events {
    agent: Vec<String>,
    epoch: Vec<Uuid>,
    seq: Vec<i64>,
    at: Vec<At>,
    event: Vec<String>,
}

impl GroupWrite {
    pub(crate) fn add(&mut self, agent: &AgentId, writes: Encoded) {
        if let Some((head, grown)) = writes.told() {
            self.told.0.push(agent.to_string());
            self.told.1.push(head);
            self.told.2.push(grown);
        }
        for (to, entries) in [
            (&mut self.unqueued, writes.unqueued),
            (&mut self.queued, writes.queued),
            (&mut self.finished, writes.finished),
        ] {
            entries.into_iter().for_each(|entry| to.add(agent, entry));
        }
        for (id, columns) in writes.saved {
            self.saved.id.push(id);
            self.saved.state.push(columns.state);
            self.saved.finished_at.push(columns.finished_at);
            self.saved.record.push(columns.record);
        }
        if let Some(holder) = writes.agent {
            self.held.add(agent, holder);
        }
        if let Some(new) = writes.accepted {
            self.accepted.add(new);
        }
        for (epoch, seq, event) in writes.events {
            self.events.agent.push(agent.to_string());
            self.events.epoch.push(epoch);
            self.events.seq.push(seq);
            self.events.at.push(At(writes.now));
            self.events.event.push(event);
        }
    }

    pub(crate) fn bind(self, statement: &Statement) -> Query<'static, Postgres, PgArguments> {
        let Self { saved, held, accepted, unqueued, queued, finished, told, events, .. } = self;
        let (agents, of_agents): (Vec<_>, Vec<_>) = self.agents_seen.into_iter().unzip();
        let (operations, of_operations): (Vec<_>, Vec<_>) = self.operations_seen.into_iter().unzip();
        let (streams, of_streams): (Vec<_>, Vec<_>) = self.streams_seen.into_iter().unzip();
        statement
            .query()
            .bind(saved.id)
            .bind(saved.state)
            .bind(saved.finished_at)
            .bind(saved.record)
            .bind(held.agent)
            .bind(held.token)
            .bind(held.operation)
            .bind(held.worker)
            .bind(held.expires_at)
            .bind(accepted.id)
            .bind(accepted.agent)
            .bind(accepted.key)
            .bind(accepted.kind)
            .bind(accepted.class)
            .bind(accepted.target)
            .bind(accepted.position)
            .bind(accepted.created_at)
            .bind(accepted.state)
            .bind(accepted.payload)
            .bind(accepted.record)
            .bind(unqueued.agent)
            .bind(unqueued.is_background)
            .bind(unqueued.position)
            .bind(queued.agent)
            .bind(queued.is_background)
            .bind(queued.position)
            .bind(queued.operation)
            .bind(queued.kind)
            .bind(queued.target)
            .bind(queued.ticket)
            .bind(finished.agent)
            .bind(finished.finished_at)
            .bind(finished.position)
            .bind(finished.operation)
            .bind(told.0)
            .bind(told.1)
            .bind(told.2)
            .bind(events.agent)
            .bind(events.epoch)
            .bind(events.seq)
            .bind(events.at)
            .bind(events.event)
            .bind(agents)
            .bind(of_agents)
            .bind(operations)
            .bind(of_operations)
            .bind(streams)
            .bind(of_streams)
    }
}

impl Entries {
    fn add(&mut self, agent: &AgentId, entry: Entry) {
        self.agent.push(agent.to_string());
        self.is_background.push(entry.is_background);
        self.position.push(entry.position);
        self.operation.push(entry.operation);
        self.kind.push(entry.kind);
        self.target.push(entry.target);
        self.ticket.push(entry.ticket);
        self.finished_at.push(entry.finished_at);
    }
}

impl Held {
    fn add(&mut self, agent: &AgentId, holder: Holder) {
        let lease = match holder {
            Holder::Is(lease) => Some(lease),
            Holder::Nobody => None,
        };
        self.agent.push(agent.to_string());
        self.token.push(lease.as_ref().map(|lease| to_i64(lease.token.0)));
        self.operation.push(lease.as_ref().map(|lease| lease.operation.0));
        self.worker.push(lease.as_ref().map(|lease| lease.worker.to_string()));
        self.expires_at.push(lease.map(|lease| At(lease.expires_at)));
    }
}

impl Accepted {
    fn add(&mut self, (operation, columns, payload): New) {
        self.id.push(operation.id.0);
        self.agent.push(operation.agent.to_string());
        self.key.push(operation.key.to_string());
        self.kind.push(operation.kind.to_string());
        self.class.push(match operation.class {
            Class::Interactive => "interactive",
            Class::Background => "background",
        });
        self.target.push(operation.target.as_ref().map(ToString::to_string));
        self.position.push(to_i64(operation.position));
        self.created_at.push(At(operation.created_at));
        self.state.push(columns.state);
        self.payload.push(payload);
        self.record.push(columns.record);
    }
}
