-- Index: evidence_pkey.
select name, media_type, bytes from archibald.evidence where operation = $1 and n = $2 and agent = $3
