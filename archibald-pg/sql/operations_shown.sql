-- What is unfinished and the last finished ones, newest first. Indexes: queue_pkey, agents_pkey, finished_pkey,
-- operations_pkey.
select payload::text, record::text from archibald.operations
where id = any (array(
    select operation from archibald.queue where agent = $1
    union all
    select operation from archibald.agents where agent = $1 and operation is not null
    union all (
        select operation from archibald.finished where agent = $1
        order by finished_at desc, position desc limit $2
    )
))
order by position desc
