-- Locks one operation of the agent; the time is of after any wait. Index: operations_pkey.
with locked as materialized (
    select payload::text, record::text from archibald.operations where id = $1 and agent = $2 for update
)
select locked.*, clock_timestamp() as now from locked
