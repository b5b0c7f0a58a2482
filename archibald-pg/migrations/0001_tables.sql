-- Additive migrations alone: older and newer workers run side by side.

-- One row: the epoch that agents without a stream begin in.
create table archibald.store (
    only_row boolean primary key default true check (only_row),
    epoch uuid not null
);
insert into archibald.store (epoch) values (gen_random_uuid());

-- Lock and fence: one row an agent. Held while `operation` is not null; `token` only grows.
create table archibald.agents (
    agent text primary key,
    token bigint not null default 0,
    operation uuid,
    worker text,
    expires_at timestamptz,
    paused_why text,
    paused_since timestamptz
) with (fillfactor = 50);
create index agents_ends on archibald.agents (expires_at) where operation is not null;
create index agents_paused on archibald.agents (agent) where paused_since is not null;

-- Renewals of leases whose row somebody else had locked. Only ever inserted, so that nobody waits; a lease
-- ends when the row in `agents` and the latest one here say so. See sql/renew.sql.
create table archibald.blocked_renewals (
    agent text not null,
    token bigint not null,
    expires_at timestamptz not null
);
create index blocked_renewals_of on archibald.blocked_renewals (agent, token, expires_at);

-- The event counter of an agent, a row of its own so that a running operation's lease is not held up by
-- whoever tells something, nor the other way round.
create table archibald.streams (
    agent text primary key,
    epoch uuid not null,
    head bigint not null default 0,
    floor bigint not null default 0
) with (fillfactor = 50);

create table archibald.events (
    agent text not null,
    epoch uuid not null,
    seq bigint not null,
    at timestamptz not null,
    event json not null,
    primary key (agent, epoch, seq)
);

create sequence archibald.positions;

-- `record` is the whole record but for its payload, which never changes. What else is a column is there to be
-- searched by and is written from the record. json and not jsonb: it gives back what it was given, also
-- numbers, and so the same request twice stays the same.
create table archibald.operations (
    id uuid primary key,
    agent text not null,
    key text not null,
    kind text not null,
    class text not null,
    target text,
    position bigint not null,
    created_at timestamptz not null,
    state text not null,
    is_final boolean not null,
    finished_at timestamptz,
    ticket json,
    payload json not null,
    record json not null,
    unique (agent, key),
    unique (agent, position)
) with (fillfactor = 70);
create index operations_waiting on archibald.operations (position) where state = 'available';
create index operations_unfinished on archibald.operations (agent, position) where not is_final;
create index operations_finished on archibald.operations (agent, finished_at, position) where is_final;

create table archibald.evidence (
    operation uuid not null,
    n bigint not null,
    agent text not null,
    name text not null,
    media_type text not null,
    bytes bytea not null,
    primary key (operation, n)
);

create table archibald.rows (
    agent text not null,
    collection text not null,
    id text collate "C" not null,
    doc json not null,
    searchable text not null,
    written_at timestamptz not null,
    primary key (agent, collection, id)
);
