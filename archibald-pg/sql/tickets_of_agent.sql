-- What waits of one agent, in the order in which it goes. Index: queue_pkey.
select ticket::text from archibald.queue
where agent = $1 and ticket is not null and (is_background, position) > ($2, $3)
order by is_background, position limit $4
