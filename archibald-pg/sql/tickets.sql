-- What waits, of all agents. Every row.
select ticket::text from archibald.queue where ticket is not null and position > $1 order by position limit $2
