-- Index: store_pkey.
update archibald.store set epoch = $1
