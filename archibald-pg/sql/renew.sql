-- Renews leases, all in one statement, and waits for nobody. Indexes: agents_pkey, blocked_renewals_of.
--
-- A row that is free is renewed in place. One that somebody has locked is blocked, not lost: as long as its
-- committed version still names the lease and its end has not come, a renewal is noted beside it, where
-- nobody can be in the way. Who wants to end a lease locks its row, reads the clock, and then reads the
-- notes: so a note that was committed before the former end (`before`, which renew_noted.sql checks by the
-- clock after the commit) is seen by everybody who could end the lease. A lease that is absent, has another
-- token, or is over is in neither part: it is lost.
with asked as (
    select distinct t.* from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[])
        as t (agent, operation, token, micros)
), ends as (
    select asked.*, greatest(a.expires_at, (
        select max(b.expires_at) from archibald.blocked_renewals b where b.agent = a.agent and b.token = a.token
    )) as ends
    from asked join archibald.agents a using (agent)
    where a.token = asked.token and a.operation = asked.operation
), held as materialized (
    select * from ends where ends > clock_timestamp()
), free as materialized (
    select a.agent from archibald.agents a join held on held.agent = a.agent
    where a.token = held.token and a.operation = held.operation
    for update of a skip locked
), renewed as (
    update archibald.agents a set expires_at = clock_timestamp() + held.micros * interval '1 microsecond'
    from held where a.agent = held.agent and held.agent in (select agent from free)
    returning a.agent, a.token
), noted as (
    insert into archibald.blocked_renewals (agent, token, expires_at)
    select agent, token, clock_timestamp() + micros * interval '1 microsecond'
    from held where agent not in (select agent from free)
    returning agent, token
)
select agent, token, null::timestamptz as before from renewed
union all
select noted.agent, noted.token, held.ends from noted join held using (agent)
