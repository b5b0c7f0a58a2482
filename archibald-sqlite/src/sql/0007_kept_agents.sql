-- Agents that were added while the service ran: how they log in, encrypted by whoever keeps them here.
CREATE TABLE kept_agents (
    agent  TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 7;
