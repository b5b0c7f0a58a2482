-- Index: operations_unfinished.
select payload::text, record::text from archibald.operations
where agent = $1 and not is_final and state = 'available' and kind = $2
order by position limit 1
