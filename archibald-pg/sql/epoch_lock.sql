-- Index: store_pkey.
select epoch from archibald.store for update
