-- Everything that several calls change of agents, operations and logs, all of it locked before: the places of
-- events follow from the counters as they were read. Indexes: the primary keys, blocked_renewals_of, and all of
-- operations and queue for new ones.
with saved as (
    update archibald.operations o set state = t.state, finished_at = t.finished_at, record = t.record::json
    from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[]) as t (id, state, finished_at, record)
    where o.id = t.id
), held as (
    update archibald.agents a
    set token = coalesce(t.token, a.token), operation = t.operation, worker = t.worker, expires_at = t.expires_at
    from unnest($5::text[], $6::bigint[], $7::uuid[], $8::text[], $9::timestamptz[])
        as t (agent, token, operation, worker, expires_at)
    where a.agent = t.agent
), past as (
    delete from archibald.blocked_renewals b
    using unnest($5::text[], $6::bigint[]) as t (agent, token)
    where b.agent = t.agent and t.token is not null
), accepted as (
    insert into archibald.operations (id, agent, key, kind, class, target, position, created_at, state, payload, record)
    select t.id, t.agent, t.key, t.kind, t.class, t.target, t.position, t.created_at, t.state, t.payload::json,
        t.record::json
    from unnest($10::uuid[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[],
        $17::timestamptz[], $18::text[], $19::text[], $20::text[])
        as t (id, agent, key, kind, class, target, position, created_at, state, payload, record)
), unqueued as (
    delete from archibald.queue q
    using unnest($21::text[], $22::boolean[], $23::bigint[]) as t (agent, is_background, position)
    where q.agent = t.agent and q.is_background = t.is_background and q.position = t.position
), queued as (
    insert into archibald.queue (agent, is_background, position, operation, kind, target, ticket)
    select t.agent, t.is_background, t.position, t.operation, t.kind, t.target, t.ticket::json
    from unnest($24::text[], $25::boolean[], $26::bigint[], $27::uuid[], $28::text[], $29::text[], $30::text[])
        as t (agent, is_background, position, operation, kind, target, ticket)
), finished as (
    insert into archibald.finished (agent, finished_at, position, operation)
    select t.agent, t.finished_at, t.position, t.operation
    from unnest($31::text[], $32::timestamptz[], $33::bigint[], $34::uuid[])
        as t (agent, finished_at, position, operation)
), told as (
    update archibald.streams s set head = t.head, queued = s.queued + t.queued
    from unnest($35::text[], $36::bigint[], $37::bigint[]) as t (agent, head, queued)
    where s.agent = t.agent
)
insert into archibald.events (agent, epoch, seq, at, event)
select t.agent, t.epoch, t.seq, t.at, t.event::json
from unnest($38::text[], $39::uuid[], $40::bigint[], $41::timestamptz[], $42::text[])
    as t (agent, epoch, seq, at, event)
