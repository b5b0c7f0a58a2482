-- The ends of a log; one that has not begun is empty, in the present epoch. Indexes: store_pkey, streams_pkey.
select coalesce(s.epoch, store.epoch) as epoch, coalesce(s.head, 0) as head, coalesce(s.floor, 0) as floor
from archibald.store left join archibald.streams s on s.agent = $1
