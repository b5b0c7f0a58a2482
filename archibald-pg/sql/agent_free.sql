-- Nobody holds the agent any more. Index: agents_pkey.
update archibald.agents set operation = null, worker = null, expires_at = null where agent = $1
