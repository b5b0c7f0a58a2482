-- Those that are about to be written. Index: rows_pkey.
select r.agent, r.collection, r.id, r.doc::text as doc
from unnest($1::text[], $2::text[], $3::text[]) as t (agent, collection, id)
join archibald.rows r on r.agent = t.agent and r.collection = t.collection and r.id = t.id collate "C"
