-- Indexes: pending_orders_pkey, and all of them for new ones and for those that became orders.
insert into archibald.pending_orders (id, agent, key, submitted_by, submitted_at, doc)
select t.id, t.agent, t.key, t.submitted_by, t.submitted_at, t.doc::json
from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[], $6::text[])
    as t (id, agent, key, submitted_by, submitted_at, doc)
on conflict (id) do update
set submitted_by = excluded.submitted_by, submitted_at = excluded.submitted_at, doc = excluded.doc
