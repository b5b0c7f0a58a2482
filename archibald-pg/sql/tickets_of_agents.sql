-- What waits, of several agents. Index: operations_unfinished. The state is not asked for by its name alone: where
-- few agents have most of what waits, the planner would walk that of all agents in operations_waiting.
select t.n, o.ticket::text as ticket
from unnest($1::text[], $2::bigint[], $3::bigint[]) with ordinality as t (agent, after, most, n)
cross join lateral (
    select position, ticket from archibald.operations
    where agent = t.agent and not is_final and state || '' = 'available' and position > t.after
    order by position limit t.most
) o
order by t.n, o.position
