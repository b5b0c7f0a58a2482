-- The first unfinished one before a position with the same target. Index: operations_unfinished.
select id from archibald.operations
where agent = $1 and not is_final and target = $2 and position < $3
order by position limit 1
