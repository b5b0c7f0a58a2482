-- Ends and events as of one moment, which one statement sees. Indexes: store_pkey, streams_pkey, events_pkey.
select coalesce(s.epoch, store.epoch) as epoch, coalesce(s.head, 0) as head, coalesce(s.floor, 0) as floor,
    e.seq, e.at, e.event::text as event
from archibald.store
left join archibald.streams s on s.agent = $1
left join lateral (
    select seq, at, event from archibald.events
    where agent = s.agent and epoch = s.epoch and seq > $2 order by seq limit $3
) e on true
order by e.seq
