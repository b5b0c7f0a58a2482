-- Everything that several calls change of agents, operations and logs, all of it locked before: the places of
-- events follow from the counters as they were read. Indexes: operations_pkey and all of operations,
-- agents_pkey, blocked_renewals_of, streams_pkey, events_pkey.
with saved as (
    update archibald.operations o
    set state = t.state, is_final = t.is_final, finished_at = t.finished_at, ticket = t.ticket::json,
        record = t.record::json
    from unnest($1::uuid[], $2::text[], $3::boolean[], $4::timestamptz[], $5::text[], $6::text[])
        as t (id, state, is_final, finished_at, ticket, record)
    where o.id = t.id
), held as (
    update archibald.agents a
    set token = coalesce(t.token, a.token), operation = t.operation, worker = t.worker, expires_at = t.expires_at
    from unnest($7::text[], $8::bigint[], $9::uuid[], $10::text[], $11::timestamptz[])
        as t (agent, token, operation, worker, expires_at)
    where a.agent = t.agent
), past as (
    delete from archibald.blocked_renewals b
    using unnest($7::text[], $8::bigint[]) as t (agent, token)
    where b.agent = t.agent and t.token is not null
), accepted as (
    insert into archibald.operations (id, agent, key, kind, class, target, position, created_at, state, is_final,
        ticket, payload, record)
    select t.id, t.agent, t.key, t.kind, t.class, t.target, t.position, t.created_at, t.state, false,
        t.ticket::json, t.payload::json, t.record::json
    from unnest($12::uuid[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::bigint[],
        $19::timestamptz[], $20::text[], $21::text[], $22::text[], $23::text[])
        as t (id, agent, key, kind, class, target, position, created_at, state, ticket, payload, record)
), told as (
    update archibald.streams s set head = t.head
    from unnest($24::text[], $25::bigint[]) as t (agent, head)
    where s.agent = t.agent
)
insert into archibald.events (agent, epoch, seq, at, event)
select t.agent, t.epoch, t.seq, t.at, t.event::json
from unnest($26::text[], $27::uuid[], $28::bigint[], $29::timestamptz[], $30::text[])
    as t (agent, epoch, seq, at, event)
