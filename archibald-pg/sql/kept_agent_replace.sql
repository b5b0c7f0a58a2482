-- Replaces what an agent is kept as, where it is as it was seen or replaced already; on disk when it is answered, whatever
-- the session's setting. Index: kept_agents_pkey.
update archibald.kept_agents set sealed = $3
from (select set_config('synchronous_commit', 'on', true)) durable
where agent = $1 and sealed in ($2, $3)
