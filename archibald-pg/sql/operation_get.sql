-- Index: operations_pkey.
select payload::text, record::text from archibald.operations where id = $1 and agent = $2
