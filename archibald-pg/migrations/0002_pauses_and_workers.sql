-- Kinds that are paused; the one without a name is everything. Nearly always empty.
create table archibald.pauses (
    kind text primary key,
    why text not null,
    drains boolean not null,
    since timestamptz not null
);
alter table archibald.agents add column paused_drains boolean not null default false;

-- Who works, each as it said last; gone an hour after it was to be heard of again.
create table archibald.workers (
    worker text primary key,
    slots integer not null,
    drains boolean not null,
    since timestamptz not null,
    until timestamptz not null
) with (fillfactor = 50);
