-- Orders in the making. Whoever writes one holds the counter of its agent's log, since it tells of it: nothing here
-- is locked by itself. `doc` is the whole thing; what changes has no index until an order is made of it, so that an
-- edit stays within its page.
create table archibald.pending_orders (
    id uuid primary key,
    agent text not null,
    key text not null,
    -- The operation that made an order of it, and when: both are forgotten together.
    submitted_by uuid,
    submitted_at timestamptz,
    doc json not null,
    unique (agent, key)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
create index pending_orders_of_agent on archibald.pending_orders (agent, id);
create index pending_orders_open on archibald.pending_orders (agent, id) where submitted_by is null;
create index pending_orders_submitted on archibald.pending_orders (agent, submitted_at, id)
    where submitted_by is not null;
create index pending_orders_of_operation on archibald.pending_orders (submitted_by)
    where submitted_by is not null;
