-- Pauses a kind, or everything. Index: pauses_pkey.
insert into archibald.pauses (kind, why, drains, since) values ($1, $2, $3, clock_timestamp())
on conflict (kind) do update set why = excluded.why, drains = excluded.drains, since = excluded.since
