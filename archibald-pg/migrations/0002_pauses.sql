-- Kinds that are paused; the one without a name is everything. Nearly always empty.
create table archibald.pauses (
    kind text primary key,
    why text not null,
    drains boolean not null,
    since timestamptz not null
);
alter table archibald.agents add column paused_drains boolean not null default false;

-- A ticket names its kind.
update archibald.queue set ticket = (ticket::jsonb || jsonb_build_object('kind', kind))::json where ticket is not null;
