-- Index: rows_pkey.
delete from archibald.rows r using unnest($1::text[], $2::text[], $3::text[]) as t (agent, collection, id)
where r.agent = t.agent and r.collection = t.collection and r.id = t.id collate "C"
