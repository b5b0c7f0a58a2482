-- What waits, of one agent. Index: operations_unfinished; see tickets_of_agents.sql for the state.
select ticket::text from archibald.operations
where agent = $3 and not is_final and state || '' = 'available' and position > $1
order by position limit $2
