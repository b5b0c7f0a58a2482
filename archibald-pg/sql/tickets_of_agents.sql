-- The same of several agents. Index: operations_waiting_of_kind.
select t.n, o.ticket::text as ticket
from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) with ordinality as t (agent, class, position, most, n)
cross join lateral (
    select class, position, ticket from archibald.operations
    where agent = t.agent and state = 'available'
        and (class = t.class and position > t.position or class < t.class)
    order by class desc, position limit t.most
) o
order by t.n, o.class desc, o.position
