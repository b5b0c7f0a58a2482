-- Of an agent that is locked. Index: agents_pkey.
select paused_why, paused_drains, paused_since from archibald.agents where agent = $1 and paused_since is not null
