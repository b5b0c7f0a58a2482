-- The lease row gets its next holder. Indexes: agents_pkey, blocked_renewals_of.
with past as (delete from archibald.blocked_renewals where agent = $1)
update archibald.agents set token = $2, operation = $3, worker = $4, expires_at = $5 where agent = $1
