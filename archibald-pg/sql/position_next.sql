-- Index: none.
select nextval('archibald.positions') as position, clock_timestamp() as now
