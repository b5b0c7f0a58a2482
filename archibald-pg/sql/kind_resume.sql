-- Index: pauses_pkey.
delete from archibald.pauses where kind = $1
