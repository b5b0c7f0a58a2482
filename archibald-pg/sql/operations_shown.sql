-- What is unfinished and the last finished ones, newest first. Indexes: operations_unfinished,
-- operations_finished.
select payload::text, record::text from (
    select position, payload, record from archibald.operations where agent = $1 and not is_final
    union all (
        select position, payload, record from archibald.operations where agent = $1 and is_final
        order by finished_at desc, position desc limit $2
    )
) shown
order by position desc
