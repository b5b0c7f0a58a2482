-- Index: evidence_pkey.
insert into archibald.evidence (operation, agent, n, name, media_type, bytes)
select t.* from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bytea[]) as t
