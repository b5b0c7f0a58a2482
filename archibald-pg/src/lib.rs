//! Store, lock and event bus of Archibald on PostgreSQL
