-- Who has a target that may have one such operation only. Index: operations_of_target; see group_standing.sql for
-- the order.
select payload::text, record::text from archibald.operations
where agent = $1 and target = $2 and kind = $3 and id <> $4 and state not in ('rejected', 'failed', 'cancelled')
order by position + 0 limit 1
