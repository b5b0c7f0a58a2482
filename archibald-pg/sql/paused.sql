-- First what is not an agent's. Indexes: pauses_pkey, agents_paused.
select kind as name, false as is_agent, why, drains, since from archibald.pauses
union all
select agent, true, paused_why, paused_drains, paused_since from archibald.agents where paused_since is not null
order by is_agent, name
