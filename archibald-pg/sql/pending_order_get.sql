-- Index: pending_orders_pkey.
select doc::text as doc from archibald.pending_orders where id = $1 and agent = $2
