-- Kinds that are paused; the one without a name is everything.
CREATE TABLE pauses (
    kind   TEXT PRIMARY KEY,
    why    TEXT NOT NULL,
    drains INTEGER NOT NULL,
    at     INTEGER NOT NULL
) WITHOUT ROWID;
ALTER TABLE agents ADD COLUMN paused_drains INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 5;
