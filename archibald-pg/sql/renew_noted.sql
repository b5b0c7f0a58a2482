-- Which of the noted renewals hold: those whose former end was still to come when the note was committed.
-- Index: agents_pkey.
select a.agent, a.token
from unnest($1::text[], $2::bigint[], $3::timestamptz[]) as t (agent, token, before)
join archibald.agents a on a.agent = t.agent and a.token = t.token
where a.operation is not null and clock_timestamp() < t.before
