-- Everything that several calls change of agents, operations and logs, and whether it was changed: the places of events
-- follow from the counters as they were read. Either all of it was locked before and has no versions here, or it was
-- only looked at (group_look.sql): then those rows are locked now, and where one of them is another version by now, or
-- somebody else has locked it, nothing is changed at all. The version is the transaction that wrote the row, which a
-- row that was changed while this looks for it is asked for again. Indexes: the primary keys, blocked_renewals_of, and
-- all of operations and queue for new ones.
with agents_seen as materialized (
    select from archibald.agents a join unnest($43::text[], $44::text[]) as t (agent, version) on a.agent = t.agent
    where a.xmin::text = t.version for no key update of a skip locked
), operations_seen as materialized (
    select from archibald.operations o join unnest($45::uuid[], $46::text[]) as t (id, version) on o.id = t.id
    where o.xmin::text = t.version for no key update of o skip locked
), streams_seen as materialized (
    select from archibald.streams s join unnest($47::text[], $48::text[]) as t (agent, version) on s.agent = t.agent
    where s.xmin::text = t.version for no key update of s skip locked
), seen as materialized (
    select (select count(*) from agents_seen) = cardinality($43::text[])
        and (select count(*) from operations_seen) = cardinality($45::uuid[])
        and (select count(*) from streams_seen) = cardinality($47::text[]) as is_so
), saved as (
    update archibald.operations o set state = t.state, finished_at = t.finished_at, record = t.record::json
    from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[]) as t (id, state, finished_at, record)
    where o.id = t.id and (select is_so from seen)
), held as (
    update archibald.agents a
    set token = coalesce(t.token, a.token), operation = t.operation, worker = t.worker, expires_at = t.expires_at
    from unnest($5::text[], $6::bigint[], $7::uuid[], $8::text[], $9::timestamptz[])
        as t (agent, token, operation, worker, expires_at)
    where a.agent = t.agent and (select is_so from seen)
), past as (
    delete from archibald.blocked_renewals b
    using unnest($5::text[], $6::bigint[]) as t (agent, token)
    where b.agent = t.agent and t.token is not null and (select is_so from seen)
), accepted as (
    insert into archibald.operations (id, agent, key, kind, class, target, position, created_at, state, payload, record)
    select t.id, t.agent, t.key, t.kind, t.class, t.target, t.position, t.created_at, t.state, t.payload::json,
        t.record::json
    from unnest($10::uuid[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[],
        $17::timestamptz[], $18::text[], $19::text[], $20::text[])
        as t (id, agent, key, kind, class, target, position, created_at, state, payload, record)
    where (select is_so from seen)
), unqueued as (
    delete from archibald.queue q
    using unnest($21::text[], $22::boolean[], $23::bigint[]) as t (agent, is_background, position)
    where q.agent = t.agent and q.is_background = t.is_background and q.position = t.position
        and (select is_so from seen)
), queued as (
    insert into archibald.queue (agent, is_background, position, operation, kind, target, ticket)
    select t.agent, t.is_background, t.position, t.operation, t.kind, t.target, t.ticket::json
    from unnest($24::text[], $25::boolean[], $26::bigint[], $27::uuid[], $28::text[], $29::text[], $30::text[])
        as t (agent, is_background, position, operation, kind, target, ticket)
    where (select is_so from seen)
), finished as (
    insert into archibald.finished (agent, finished_at, position, operation)
    select t.agent, t.finished_at, t.position, t.operation
    from unnest($31::text[], $32::timestamptz[], $33::bigint[], $34::uuid[])
        as t (agent, finished_at, position, operation)
    where (select is_so from seen)
), told as (
    update archibald.streams s set head = t.head, queued = s.queued + t.queued
    from unnest($35::text[], $36::bigint[], $37::bigint[]) as t (agent, head, queued)
    where s.agent = t.agent and (select is_so from seen)
), logged as (
    insert into archibald.events (agent, epoch, seq, at, event)
    select t.agent, t.epoch, t.seq, t.at, t.event::json
    from unnest($38::text[], $39::uuid[], $40::bigint[], $41::timestamptz[], $42::text[])
        as t (agent, epoch, seq, at, event)
    where (select is_so from seen)
)
select is_so from seen
