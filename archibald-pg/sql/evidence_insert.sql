-- Index: evidence_pkey.
insert into archibald.evidence (operation, agent, n, name, media_type, bytes)
select $1, $2, t.* from unnest($3::bigint[], $4::text[], $5::text[], $6::bytea[]) as t
