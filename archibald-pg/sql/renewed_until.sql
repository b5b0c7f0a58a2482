-- Until when a lease was renewed while its row was locked. Must be a statement after the one that read the
-- clock: see renew.sql. Index: blocked_renewals_of.
select max(expires_at) from archibald.blocked_renewals where agent = $1 and token = $2
