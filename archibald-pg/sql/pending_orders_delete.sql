-- Index: pending_orders_pkey.
delete from archibald.pending_orders where id = any ($1)
