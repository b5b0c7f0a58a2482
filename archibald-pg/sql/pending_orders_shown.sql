-- What is not submitted, and the last ones that are. Indexes: pending_orders_open, pending_orders_submitted.
select id, doc::text as doc from archibald.pending_orders where agent = $1 and submitted_by is null
union all (
    select id, doc::text from archibald.pending_orders where agent = $1 and submitted_by is not null
    order by submitted_at desc, id desc limit $2
)
order by id desc
