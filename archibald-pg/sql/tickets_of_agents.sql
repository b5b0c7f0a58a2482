-- The same of several agents. Index: queue_pkey.
select t.n, case when o.ticket -> 'kind' is null then (o.ticket::jsonb || jsonb_build_object('kind', o.kind))::text
    else o.ticket::text end as ticket
from unnest($1::text[], $2::boolean[], $3::bigint[], $4::bigint[])
    with ordinality as t (agent, is_background, position, most, n)
cross join lateral (
    select is_background, position, kind, ticket from archibald.queue
    where agent = t.agent and ticket is not null and (is_background, position) > (t.is_background, t.position)
    order by is_background, position limit t.most
) o
order by t.n, o.is_background, o.position
