-- By id; a search looks at all rows of the collection. Index: rows_pkey.
select id, doc::text as doc, written_at from archibald.rows
where agent = $1 and collection = $2 and ($3::text is null or id > $3 collate "C")
    and ($4::text is null or strpos(searchable, $4) > 0)
order by id limit $5
