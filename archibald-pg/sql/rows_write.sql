-- Index: rows_pkey.
insert into archibald.rows (agent, collection, id, doc, searchable, written_at)
select t.agent, t.collection, t.id, t.doc::json, t.searchable, t.at
from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[])
    as t (agent, at, collection, id, doc, searchable)
on conflict (agent, collection, id) do update
set doc = excluded.doc, searchable = excluded.searchable, written_at = excluded.written_at
