-- What became of an operation, and where it is kept by that: in the queue, among the finished, or in neither while
-- it runs. Returns by how much that changes the queue. Indexes: operations_pkey, queue_pkey, finished_pkey.
with before as (
    select finished_at from archibald.operations where id = $1
), saved as (
    update archibald.operations set state = $2, finished_at = $3, record = $4::json where id = $1
    returning id, agent, class = 'background' as is_background, position, kind, target
), was as (
    select q.agent from archibald.queue q join saved s using (agent, is_background, position)
), queued as (
    insert into archibald.queue (agent, is_background, position, operation, kind, target, ticket)
    select agent, is_background, position, id, kind, target, $5::json from saved where $6
    on conflict (agent, is_background, position) do update set ticket = excluded.ticket
), unqueued as (
    delete from archibald.queue q using saved s
    where not $6 and q.agent = s.agent and q.is_background = s.is_background and q.position = s.position
), reopened as (
    delete from archibald.finished f using saved s, before b
    where f.agent = s.agent and f.finished_at = b.finished_at and f.position = s.position
        and b.finished_at is distinct from $3
), finished as (
    insert into archibald.finished (agent, finished_at, position, operation)
    select agent, $3, position, id from saved where $3 is not null
    on conflict do nothing
)
select case when $6 then 1 else 0 end - (select count(*) from was)
