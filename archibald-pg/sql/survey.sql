-- A page of the agents that have something waiting, with what goes first of each, and all else that a sweep asks
-- for. From each agent to the next, past all that it has. It is the worker's heartbeat too, heard by who listens in
-- the worker's process; who works is as of before it. Indexes: queue_pkey; agents_held; agents_paused, pauses_pkey; workers_pkey.
with recursive busy (agent, n) as (
    (
        select agent, 1::bigint from archibald.queue
        where ticket is not null and agent > $1
        order by agent limit 1
    )
    union all
    select (
        select q.agent from archibald.queue q
        where q.ticket is not null and q.agent > busy.agent
        order by q.agent limit 1
    ), busy.n + 1
    from busy where busy.agent is not null and busy.n <= $2
),
beat as (
    insert into archibald.workers (worker, slots, drains, since, until)
    select $4, $5, $6, statement_timestamp(), statement_timestamp() + $7 where $4 is not null
    on conflict (worker) do update set slots = excluded.slots, drains = excluded.drains, until = excluded.until
),
long_gone as (delete from archibald.workers where until < statement_timestamp() - interval '1 hour'),
alive as (
    select worker, slots, drains, since, until from archibald.workers where until > statement_timestamp()
),
paused as (
    select kind as name, false as is_agent, why, drains, since from archibald.pauses
    union all
    select agent, true, paused_why, paused_drains, paused_since from archibald.agents where paused_since is not null
)
select statement_timestamp() as now, case when $8::text is not null then pg_notify($8, $9)::text end as told,
    exists (select from archibald.agents where is_held and expires_at <= statement_timestamp()) as has_ended_leases,
    array(select name from paused order by is_agent, name) as paused,
    array(select is_agent from paused order by is_agent, name) as paused_is_agent,
    array(select why from paused order by is_agent, name) as paused_why,
    array(select drains from paused order by is_agent, name) as paused_drains,
    array(select since from paused order by is_agent, name) as paused_since,
    array(select worker from alive order by worker) as workers,
    array(select slots from alive order by worker) as workers_slots,
    array(select drains from alive order by worker) as workers_drain,
    array(select since from alive order by worker) as workers_since,
    array(select until from alive order by worker) as workers_until,
    array(
        select case when front.ticket -> 'kind' is null then (front.ticket::jsonb || jsonb_build_object('kind', front.kind))::text
            else front.ticket::text end
        from busy cross join lateral (
            select q.ticket, q.kind, q.is_background, q.position from archibald.queue q
            where q.agent = busy.agent and q.ticket is not null
            order by q.is_background, q.position limit $3
        ) front
        where busy.n <= $2
        order by busy.n, front.is_background, front.position
    ) as fronts,
    (
        select agent from busy
        where n = $2 and exists (select from busy beyond where beyond.n > $2 and beyond.agent is not null)
    ) as next
