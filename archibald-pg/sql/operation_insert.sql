-- Indexes: all of operations.
insert into archibald.operations (id, agent, key, kind, class, target, position, created_at,
    state, is_final, finished_at, ticket, payload, record)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::json, $13::json, $14::json)
