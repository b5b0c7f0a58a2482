-- Locks operations of several agents, and says for those that ask who goes before them on their target, leaving
-- out one that is about to end; what somebody else has locked is left out. Indexes: operations_pkey,
-- operations_of_target.
with locked as materialized (
    select o.id, o.agent, o.target, o.position, t.asks, t.ends, o.payload::text, o.record::text
    from unnest($1::uuid[], $2::text[], $3::boolean[], $4::uuid[]) as t (id, agent, asks, ends)
    join archibald.operations o on o.id = t.id and o.agent = t.agent
    order by o.id
    for update of o skip locked
)
select payload, record, clock_timestamp() as now, case when asks and target is not null then (
    select b.id from archibald.operations b
    where b.agent = locked.agent and b.target = locked.target and not b.is_final and b.position < locked.position
        and b.id is distinct from locked.ends
    order by b.position limit 1
) end as blocker
from locked
