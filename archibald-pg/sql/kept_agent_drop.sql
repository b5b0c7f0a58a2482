-- Index: kept_agents_pkey.
delete from archibald.kept_agents using (select set_config('synchronous_commit', 'on', true)) durable where agent = $1
