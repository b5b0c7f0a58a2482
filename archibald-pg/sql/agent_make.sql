-- Makes agents' lease rows, where there are none. Index: agents_pkey.
insert into archibald.agents (agent) select agent from unnest($1::text[]) as t (agent) order by agent
on conflict do nothing
