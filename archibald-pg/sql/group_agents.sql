-- Locks the lease rows of several agents; what somebody else has locked is left out. Indexes: agents_pkey,
-- blocked_renewals_of; pauses_pkey.
with locked as materialized (
    select agent, token, operation, expires_at, paused_why from archibald.agents
    where agent = any ($1) order by agent for update skip locked
)
select agent, token, operation, paused_why, clock_timestamp() as now, case when operation is not null then
    greatest(expires_at, (
        select max(b.expires_at) from archibald.blocked_renewals b
        where b.agent = locked.agent and b.token = locked.token
    ))
end as ends, array(select kind from archibald.pauses order by kind) as paused_kinds,
    array(select why from archibald.pauses order by kind) as paused_kinds_why
from locked
