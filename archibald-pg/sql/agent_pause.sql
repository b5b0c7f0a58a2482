-- Index: agents_pkey.
update archibald.agents set paused_why = $2, paused_since = $3, paused_drains = $4 where agent = $1
