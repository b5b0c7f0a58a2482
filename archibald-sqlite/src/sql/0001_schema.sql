-- The epoch: which history the events are of.
CREATE TABLE store (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL
) STRICT;

-- Lock, fence, event counter and pause of an agent. The token only grows.
CREATE TABLE agents (
    agent           TEXT PRIMARY KEY,
    token           INTEGER NOT NULL DEFAULT 0,
    lease_operation TEXT,
    lease_expires   INTEGER,
    head            INTEGER NOT NULL DEFAULT 0,
    floor           INTEGER NOT NULL DEFAULT 0,
    paused_why      TEXT,
    paused_at       INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX agents_leased ON agents (lease_expires) WHERE lease_operation IS NOT NULL;
CREATE INDEX agents_paused ON agents (agent) WHERE paused_why IS NOT NULL;

-- `doc` is the whole record; the columns beside it are what queries ask for.
CREATE TABLE operations (
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    agent       TEXT NOT NULL,
    key         TEXT NOT NULL,
    kind        TEXT NOT NULL,
    class       TEXT NOT NULL,
    target      TEXT,
    state       TEXT NOT NULL,
    unfinished  INTEGER NOT NULL,
    at          INTEGER,
    step        TEXT,
    preemptions INTEGER NOT NULL,
    finished_at INTEGER,
    doc         TEXT NOT NULL,
    UNIQUE (agent, key)
) STRICT;

CREATE INDEX operations_of_agent ON operations (agent, position);
CREATE INDEX operations_unfinished ON operations (agent, target, position) WHERE unfinished = 1;
CREATE INDEX operations_waiting ON operations (position) WHERE state = 'available';
CREATE INDEX operations_waiting_of_agent ON operations (agent, position) WHERE state = 'available';
CREATE INDEX operations_finished ON operations (agent, finished_at, position) WHERE unfinished = 0;

CREATE TABLE events (
    agent TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    doc   TEXT NOT NULL,
    PRIMARY KEY (agent, seq)
) STRICT, WITHOUT ROWID;

-- `text` is what a search looks through.
CREATE TABLE rows (
    agent      TEXT NOT NULL,
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    doc        TEXT NOT NULL,
    text       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (agent, collection, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
    operation  TEXT NOT NULL,
    n          INTEGER NOT NULL,
    agent      TEXT NOT NULL,
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes      BLOB NOT NULL,
    PRIMARY KEY (operation, n)
) STRICT;

-- "Arch": how a file of ours is told from a database of somebody else's.
PRAGMA application_id = 1098015592;
PRAGMA user_version = 1;
