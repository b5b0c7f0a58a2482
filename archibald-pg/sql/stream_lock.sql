-- Locks the event counter; the time is of after any wait. Index: streams_pkey.
with locked as materialized (
    select epoch, head, floor from archibald.streams where agent = $1 for update
)
select locked.*, clock_timestamp() as now from locked
