-- What waits of one agent, in the order in which it goes; a ticket of the first version lacks its kind.
-- Index: queue_pkey.
select case when ticket -> 'kind' is null then (ticket::jsonb || jsonb_build_object('kind', kind))::text
    else ticket::text end
from archibald.queue
where agent = $1 and ticket is not null and (is_background, position) > ($2, $3)
order by is_background, position limit $4
