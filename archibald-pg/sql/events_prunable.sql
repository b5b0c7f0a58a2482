-- Whose logs begin with something old, or are too long, and up to where, no further than is pruned in one go; who has
-- most of that first. Every row of the streams, and by events_pkey the first events of each.
select agent, up_to from (
    select s.agent, s.floor, greatest(least(s.head - $2, s.floor + $4), case when (
        select e.at from archibald.events e
        where e.agent = s.agent and e.epoch = s.epoch and e.seq > s.floor order by e.seq limit 1
    ) < $1 then (
        select max(first.seq) from (
            select e.seq, e.at from archibald.events e
            where e.agent = s.agent and e.epoch = s.epoch and e.seq > s.floor order by e.seq limit $4
        ) first
        where first.at < $1
    ) end) as up_to
    from archibald.streams s where s.head > s.floor
) logs
where up_to > floor
order by up_to - floor desc limit $3
