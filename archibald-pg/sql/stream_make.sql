-- Makes agents' event counters in the present epoch, which a new epoch waits for. Index: streams_pkey.
with present as materialized (select epoch from archibald.store where only_row for share)
insert into archibald.streams (agent, epoch)
select t.agent, present.epoch from unnest($1::text[]) as t (agent), present order by t.agent
on conflict do nothing
