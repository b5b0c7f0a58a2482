-- Those that are about to be written. Index: rows_pkey.
select r.collection, r.id, r.doc::text as doc
from unnest($2::text[], $3::text[]) as t (collection, id)
join archibald.rows r on r.agent = $1 and r.collection = t.collection and r.id = t.id collate "C"
