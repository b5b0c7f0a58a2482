-- What waits, of all agents. Index: operations_waiting.
select ticket::text from archibald.operations
where state = 'available' and position > $1
order by position limit $2
