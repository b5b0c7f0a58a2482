-- How many there are, at most $2. Index: operations_unfinished.
select count(*) from (
    select from archibald.operations where agent = $1 and not is_final limit $2
) unfinished
