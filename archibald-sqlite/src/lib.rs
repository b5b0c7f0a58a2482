//! Embedded store, lock and event bus of Archibald in one SQLite file
