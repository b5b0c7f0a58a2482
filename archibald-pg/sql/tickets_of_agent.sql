-- What waits, of one agent. Index: queue_pkey.
select ticket::text from archibald.queue
where agent = $3 and ticket is not null and position > $1
order by position limit $2
