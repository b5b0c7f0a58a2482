-- Index: rows_pkey.
insert into archibald.rows (agent, collection, id, doc, searchable, written_at)
select $1, t.collection, t.id, t.doc::json, t.searchable, $2
from unnest($3::text[], $4::text[], $5::text[], $6::text[]) as t (collection, id, doc, searchable)
on conflict (agent, collection, id) do update
set doc = excluded.doc, searchable = excluded.searchable, written_at = excluded.written_at
