-- The last statement of a transaction: places are given in the order of commits, without a hole.
-- Indexes: streams_pkey, events_pkey.
with place as (
    update archibald.streams set head = head + cardinality($2::text[]), queued = queued + $4
    where agent = $1
    returning epoch, head - cardinality($2::text[]) as before
)
insert into archibald.events (agent, epoch, seq, at, event)
select $1, place.epoch, place.before + told.n, $3, told.event::json
from place, unnest($2::text[]) with ordinality as told (event, n)
