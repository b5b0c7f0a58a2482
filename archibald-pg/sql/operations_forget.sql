-- Whole operations, the oldest first; what somebody else has locked is left for the next time, and what somebody
-- has brought back meanwhile is not finished any more. The pending orders that became orders by them go too.
-- Indexes: finished_at, pending_orders_of_operation.
with old as (
    select f.agent, f.finished_at, f.position, f.operation
    from archibald.finished f join archibald.operations o on o.id = f.operation
    where f.finished_at < $1 and o.finished_at = f.finished_at
    order by f.finished_at limit $2 for update of o skip locked
), forgotten as (
    delete from archibald.evidence where operation in (select operation from old)
), no_longer_pending as (
    delete from archibald.pending_orders where submitted_by in (select operation from old)
), left_out as (
    delete from archibald.finished f using old
    where f.agent = old.agent and f.finished_at = old.finished_at and f.position = old.position
)
delete from archibald.operations where id in (select operation from old)
