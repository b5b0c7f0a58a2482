-- Floor and events together. Indexes: streams_pkey, events_pkey.
with kept as (
    update archibald.streams set floor = greatest(floor, least($2, head)) where agent = $1
    returning agent, epoch, head, floor
), gone as (
    delete from archibald.events e using kept
    where e.agent = kept.agent and e.epoch = kept.epoch and e.seq <= kept.floor
)
select epoch, head, floor from kept
