-- Keeps a new agent; on disk when it is answered, whatever the session's setting. Where there is one, it stays, and is
-- this one only if it was kept before and the answer was lost. Index: kept_agents_pkey.
with kept as (
    insert into archibald.kept_agents (agent, sealed)
    select $1, $2 from (select set_config('synchronous_commit', 'on', true)) durable
    on conflict (agent) do nothing
    returning agent
)
select exists (select from kept) or exists (select from archibald.kept_agents where agent = $1 and sealed = $2)
