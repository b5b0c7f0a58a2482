-- Newest first. Index: pending_orders_of_agent.
select doc::text as doc from archibald.pending_orders
where agent = $1 and ($2::uuid is null or id < $2)
order by id desc limit $3
