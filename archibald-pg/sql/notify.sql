-- Wakes the other processes; a statement of its own, never part of a writing transaction. Index: none.
select pg_notify($1, payload) from unnest($2::text[]) as payload
