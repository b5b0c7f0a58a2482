-- The time, and whose lease seems to be over. Index: agents_held.
select clock_timestamp() as now, array(
    select agent from archibald.agents where is_held and expires_at <= clock_timestamp()
    order by expires_at limit 1000
) as agents
