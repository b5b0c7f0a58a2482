-- Every agent's log begins anew; it waits for those who are writing. Every row.
update archibald.streams set epoch = $1, head = 0, floor = 0 where epoch <> $1
