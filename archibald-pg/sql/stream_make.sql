-- Makes the agent's event counter in the present epoch, which a new epoch waits for. Index: streams_pkey.
with present as materialized (select epoch from archibald.store where only_row for share)
insert into archibald.streams (agent, epoch) select $1, epoch from present on conflict do nothing
