-- Index: operations_pkey.
update archibald.operations
set state = $2, is_final = $3, finished_at = $4, ticket = $5::json, record = $6::json
where id = $1
