-- Those that several calls are about to change. Index: pending_orders_pkey.
select p.agent, p.doc::text as doc
from unnest($1::text[], $2::uuid[]) as t (agent, id)
join archibald.pending_orders p on p.id = t.id and p.agent = t.agent
