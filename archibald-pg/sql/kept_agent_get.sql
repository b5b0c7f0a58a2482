-- Index: kept_agents_pkey.
select sealed from archibald.kept_agents where agent = $1
