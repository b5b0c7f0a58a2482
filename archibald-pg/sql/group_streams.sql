-- Locks the event counters of several agents; what somebody else has locked is left out. Index: streams_pkey.
with locked as materialized (
    select agent, epoch, head, queued from archibald.streams where agent = any ($1)
    order by agent for update skip locked
)
select locked.*, clock_timestamp() as now from locked
