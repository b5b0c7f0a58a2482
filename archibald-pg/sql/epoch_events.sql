-- Events of former epochs are never read again. Every row.
delete from archibald.events where epoch <> $1
