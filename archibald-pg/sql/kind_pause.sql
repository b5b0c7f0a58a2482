-- Pauses a kind, or everything; on disk when it is answered, whatever the session's setting. Index: pauses_pkey.
insert into archibald.pauses (kind, why, drains, since)
select $1, $2, $3, clock_timestamp() from (select set_config('synchronous_commit', 'on', true)) durable
on conflict (kind) do update set why = excluded.why, drains = excluded.drains, since = excluded.since
