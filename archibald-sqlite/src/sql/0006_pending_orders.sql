-- `submitted_by` is the operation that made an order of it; both are forgotten together.
CREATE TABLE pending_orders (
    id           TEXT NOT NULL PRIMARY KEY,
    agent        TEXT NOT NULL,
    key          TEXT NOT NULL,
    submitted_by TEXT,
    updated_at   INTEGER NOT NULL,
    doc          TEXT NOT NULL,
    UNIQUE (agent, key)
) STRICT;

CREATE INDEX pending_orders_of_agent ON pending_orders (agent, id);
CREATE INDEX pending_orders_open ON pending_orders (agent, id) WHERE submitted_by IS NULL;
CREATE INDEX pending_orders_submitted ON pending_orders (agent, updated_at, id) WHERE submitted_by IS NOT NULL;
CREATE INDEX pending_orders_of_operation ON pending_orders (submitted_by) WHERE submitted_by IS NOT NULL;

PRAGMA user_version = 6;
