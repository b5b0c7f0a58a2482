-- Index: agents_paused.
select agent, paused_why, paused_since from archibald.agents where paused_since is not null order by agent
