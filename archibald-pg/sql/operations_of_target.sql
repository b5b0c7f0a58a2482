-- Newest first. Index: operations_of_target.
select payload::text, record::text from archibald.operations
where agent = $1 and position < $2 and ($3::text is null or state = $3) and ($4::text is null or kind = $4)
    and target = $6
order by position desc limit $5
