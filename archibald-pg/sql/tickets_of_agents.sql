-- What waits, of several agents. Index: queue_pkey.
select t.n, o.ticket::text as ticket
from unnest($1::text[], $2::bigint[], $3::bigint[]) with ordinality as t (agent, after, most, n)
cross join lateral (
    select position, ticket from archibald.queue
    where agent = t.agent and ticket is not null and position > t.after
    order by position limit t.most
) o
order by t.n, o.position
