-- A page. Every row of a small table is looked at: the order is that of all stores, which the database's need not be.
select agent, sealed from archibald.kept_agents where agent collate "C" > $1 order by agent collate "C" limit $2
