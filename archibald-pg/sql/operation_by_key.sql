-- Index: operations_agent_key_key.
select payload::text, record::text from archibald.operations where agent = $1 and key = $2
