-- Locks the agent's lease row; the time is of after any wait. Indexes: agents_pkey,
-- blocked_renewals_of; pauses_pkey.
with locked as materialized (
    select token, operation, expires_at, paused_why from archibald.agents where agent = $1 for update
)
select token, operation, paused_why, clock_timestamp() as now, case when operation is not null then greatest(
    expires_at,
    (select max(b.expires_at) from archibald.blocked_renewals b where b.agent = $1 and b.token = locked.token)
) end as ends, array(select kind from archibald.pauses order by kind) as paused_kinds,
    array(select why from archibald.pauses order by kind) as paused_kinds_why
from locked
