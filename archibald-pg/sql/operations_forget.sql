-- Whole operations, the oldest first; what somebody else has locked is left for the next time.
-- Index: operations_old.
with old as (
    select id from archibald.operations where is_final and finished_at < $1
    order by finished_at limit $2 for update skip locked
), forgotten as (
    delete from archibald.evidence where operation in (select id from old)
)
delete from archibald.operations where id in (select id from old)
