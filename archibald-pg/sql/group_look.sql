-- What several calls are decided from, of agents, operations and counters as they were at one moment, locked by nobody,
-- with the version of each row: see group_write.sql. Indexes: agents_pkey, blocked_renewals_of, pauses_pkey,
-- operations_pkey, queue_of_target, streams_pkey. A limit keeps the planner from walking all operations of an agent.
select t.agent, clock_timestamp() as now,
    a.xmin::text as agent_version, a.token, a.operation, a.paused_why, case when a.operation is not null then
        greatest(a.expires_at, (
            select max(b.expires_at) from archibald.blocked_renewals b where b.agent = a.agent and b.token = a.token
        ))
    end as ends, array(select kind from archibald.pauses order by kind) as paused_kinds,
    array(select why from archibald.pauses order by kind) as paused_kinds_why,
    o.xmin::text as this_version, o.payload::text as this_payload, o.record::text as this_record,
    case when t.asks and o.target is not null then (
        select q.operation from archibald.queue q
        where q.agent = o.agent and q.target = o.target and q.position < o.position
        order by q.position limit 1
    ) end as this_blocker,
    n.xmin::text as next_version, n.payload::text as next_payload, n.record::text as next_record,
    case when n.target is not null then (
        select q.operation from archibald.queue q
        where q.agent = n.agent and q.target = n.target and q.position < n.position
        order by q.position limit 1
    ) end as next_blocker,
    s.xmin::text as stream_version, s.epoch, s.head, s.queued
from unnest($1::text[], $2::uuid[], $3::boolean[], $4::uuid[]) as t (agent, this, asks, next)
left join archibald.agents a on a.agent = t.agent
left join lateral (select xmin, * from archibald.operations where id = t.this limit 1) o on o.agent = t.agent
left join lateral (select xmin, * from archibald.operations where id = t.next limit 1) n on n.agent = t.agent
left join archibald.streams s on s.agent = t.agent
