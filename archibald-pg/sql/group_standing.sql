-- What may stand in the way of several new operations, whose agents' counters are locked, and their places.
-- Indexes: operations_agent_key_key, operations_of_target, operations_waiting_of_kind, operations_unfinished. An
-- order that no index has keeps the planner from walking all operations of an agent in it for the first of a
-- target.
select t.agent, nextval('archibald.positions') as position, clock_timestamp() as now,
    of_key.payload::text as key_payload, of_key.record::text as key_record,
    of_target.payload::text as target_payload, of_target.record::text as target_record,
    of_kind.payload::text as kind_payload, of_kind.record::text as kind_record,
    (
        select count(*) from (
            select from archibald.operations o where o.agent = t.agent and not o.is_final limit t.queue_limit
        ) unfinished
    ) as unfinished
from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::bigint[])
    as t (agent, key, id, kind, claim, is_background, queue_limit)
left join archibald.operations of_key on of_key.agent = t.agent and of_key.key = t.key
left join lateral (
    select o.payload, o.record from archibald.operations o
    where o.agent = t.agent and o.target = t.claim and o.kind = t.kind and o.id <> t.id
        and o.state not in ('rejected', 'failed', 'cancelled')
    order by o.position + 0 limit 1
) of_target on t.claim is not null
left join lateral (
    select o.payload, o.record from archibald.operations o
    where o.agent = t.agent and o.state = 'available' and o.kind = t.kind
    order by o.kind, o.position limit 1
) of_kind on t.is_background
