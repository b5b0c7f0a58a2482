-- What may stand in the way of new ones, counted no further than to the limit. Indexes: pending_orders_agent_key_key,
-- pending_orders_open.
select t.agent, k.doc::text as of_key, (
    select count(*) from (
        select from archibald.pending_orders o where o.agent = t.agent and o.submitted_by is null limit $3
    ) as counted
) as open
from unnest($1::text[], $2::text[]) as t (agent, key)
left join archibald.pending_orders k on k.agent = t.agent and k.key = t.key
