-- Whole operations, the oldest first; what somebody else has locked is left for the next time, and what somebody
-- has brought back meanwhile is not finished any more. Index: finished_at.
with old as (
    select f.agent, f.finished_at, f.position, f.operation
    from archibald.finished f join archibald.operations o on o.id = f.operation
    where f.finished_at < $1 and o.finished_at = f.finished_at
    order by f.finished_at limit $2 for update of o skip locked
), forgotten as (
    delete from archibald.evidence where operation in (select operation from old)
), left_out as (
    delete from archibald.finished f using old
    where f.agent = old.agent and f.finished_at = old.finished_at and f.position = old.position
)
delete from archibald.operations where id in (select operation from old)
