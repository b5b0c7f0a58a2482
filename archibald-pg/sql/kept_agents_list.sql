-- Every row.
select agent, sealed from archibald.kept_agents order by agent collate "C"
