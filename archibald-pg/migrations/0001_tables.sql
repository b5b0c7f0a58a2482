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
    is_held boolean generated always as (operation is not null) stored,
    paused_why text,
    paused_since timestamptz
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
-- Not by the end of the lease: a row that is held on, or held again, is then renewed in its page alone.
create index agents_held on archibald.agents (agent) where is_held;
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
    floor bigint not null default 0,
    -- Rows of `queue`, as the writers add them up. A hint: where a queue seems to be full they are counted.
    queued bigint not null default 0
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

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
--
-- No index has anything that changes, so that an attempt rewrites its operation within its page. What changes
-- has tables of its own: what is unfinished and not running is in `queue`, what is finished in `finished`.
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
    finished_at timestamptz,
    payload json not null,
    record json not null,
    unique (agent, key),
    unique (agent, position)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
create index operations_of_target on archibald.operations (agent, target, kind, position)
    where target is not null;

-- Operations that wait or are in doubt. One that runs is not here: the agent's row names it, and an agent runs
-- one at a time. `ticket` is what a worker has to know of one that waits, null of one in doubt.
create table archibald.queue (
    agent text not null,
    is_background boolean not null,
    position bigint not null,
    operation uuid not null,
    kind text not null,
    target text,
    ticket json,
    primary key (agent, is_background, position)
) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
create index queue_of_target on archibald.queue (agent, target, position) where target is not null;
create index queue_of_kind on archibald.queue (agent, kind, position) where is_background;

create table archibald.finished (
    agent text not null,
    finished_at timestamptz not null,
    position bigint not null,
    operation uuid not null,
    primary key (agent, finished_at, position)
);
create index finished_at on archibald.finished (finished_at);

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
