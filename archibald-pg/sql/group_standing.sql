-- What may stand in the way of several new operations, whose agents' counters are locked, and their places. What is
-- unfinished is counted up to a limit, where there is one. Indexes: operations_agent_key_key, operations_of_target,
-- queue_of_kind, queue_pkey, agents_pkey. An order that no index has keeps the planner from walking all operations
-- of an agent in it for the first of a target, and a limit from joining all operations with the first of a kind.
select t.agent, nextval('archibald.positions') as position, clock_timestamp() as now,
    of_key.payload::text as key_payload, of_key.record::text as key_record,
    of_target.payload::text as target_payload, of_target.record::text as target_record,
    of_kind.payload::text as kind_payload, of_kind.record::text as kind_record,
    case when t.queue_limit is not null then (
        select count(*) from (
            select from archibald.agents a where a.agent = t.agent and a.is_held
            union all (select from archibald.queue q where q.agent = t.agent limit t.queue_limit)
        ) unfinished
    ) end as unfinished
from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::bigint[])
    as t (agent, key, id, kind, claim, is_background, queue_limit)
left join archibald.operations of_key on of_key.agent = t.agent and of_key.key = t.key
left join lateral (
    select o.payload, o.record from archibald.operations o
    where t.claim is not null and o.agent = t.agent and o.target = t.claim and o.kind = t.kind and o.id <> t.id
        and o.state not in ('rejected', 'failed', 'cancelled')
    order by o.position + 0 limit 1
) of_target on true
left join lateral (
    select o.payload, o.record from archibald.operations o where t.is_background and o.id = (
        select q.operation from archibald.queue q
        where q.agent = t.agent and q.is_background and q.kind = t.kind and q.ticket is not null
        order by q.position limit 1
    )
    limit 1
) of_kind on true
