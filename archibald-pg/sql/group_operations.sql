-- Locks operations of several agents, and says for those that ask who goes before them on their target; what
-- somebody else has locked is left out. One that runs goes before nobody: its agent has to be free first, or goes on
-- with its end. Indexes: operations_pkey, queue_of_target.
with locked as materialized (
    select o.id, o.agent, o.target, o.position, t.asks, o.payload::text, o.record::text
    from unnest($1::uuid[], $2::text[], $3::boolean[]) as t (id, agent, asks)
    join archibald.operations o on o.id = t.id and o.agent = t.agent
    order by o.id
    for update of o skip locked
)
select payload, record, clock_timestamp() as now, case when asks and target is not null then (
    select q.operation from archibald.queue q
    where q.agent = locked.agent and q.target = locked.target and q.position < locked.position
    order by q.position limit 1
) end as blocker
from locked
