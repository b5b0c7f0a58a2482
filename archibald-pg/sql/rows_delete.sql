-- Index: rows_pkey.
delete from archibald.rows r using unnest($2::text[], $3::text[]) as t (collection, id)
where r.agent = $1 and r.collection = t.collection and r.id = t.id collate "C"
