-- Makes the agent's lease row. Index: agents_pkey.
insert into archibald.agents (agent) values ($1) on conflict do nothing
