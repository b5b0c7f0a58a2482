-- What waits of one agent, in the order in which it goes: 'interactive' comes after 'background'. Index:
-- operations_waiting_of_kind.
select ticket::text from archibald.operations
where agent = $1 and state = 'available' and (class = $2 and position > $3 or class < $2)
order by class desc, position limit $4
