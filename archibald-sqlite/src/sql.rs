//! Every statement, in one place. The index that serves a query is named beside it where it is not the
//! primary key, and within it where SQLite would take another.

/// `application_id` of our files: "Arch".
pub(crate) const APPLICATION_ID: i64 = 0x4172_6368;

/// The schema, one script a version; each ends by setting `user_version` to its own.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("sql/0001_schema.sql"),
    include_str!("sql/0002_targets.sql"),
    include_str!("sql/0003_kinds.sql"),
    include_str!("sql/0004_fronts.sql"),
    include_str!("sql/0005_pauses.sql"),
    include_str!("sql/0006_pending_orders.sql"),
    include_str!("sql/0007_kept_agents.sql"),
];

pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// For readers: what was committed before the first answer, and nothing after it.
pub(crate) const BEGIN_MOMENT: &str = "BEGIN";
pub(crate) const COMMIT: &str = "COMMIT";
pub(crate) const ROLLBACK: &str = "ROLLBACK";
pub(crate) const SAVEPOINT: &str = "SAVEPOINT request";
pub(crate) const KEEP: &str = "RELEASE request";
pub(crate) const UNDO: &str = "ROLLBACK TO request";
pub(crate) const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

pub(crate) const COPY: &str = "VACUUM INTO ?1";

pub(crate) const TABLES: &str = "SELECT count(*) FROM sqlite_schema";
pub(crate) const LAST_POSITION: &str =
    "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'operations'";

pub(crate) const EPOCH: &str = "SELECT epoch FROM store";
pub(crate) const SET_EPOCH: &str =
    "INSERT INTO store (one, epoch) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET epoch = ?1";
pub(crate) const EVENTS_WRITTEN: &str = "SELECT coalesce(sum(head), 0) FROM agents";
pub(crate) const FORGET_EVENTS: &str = "DELETE FROM events";
pub(crate) const FORGET_HEADS: &str = "UPDATE agents SET head = 0, floor = 0";

// agents_leased
pub(crate) const LEASES_OVER: &str =
    "SELECT agent, lease_operation FROM agents WHERE lease_operation IS NOT NULL AND lease_expires <= ?1";
// agents_leased
pub(crate) const IS_LEASE_OVER: &str = "SELECT EXISTS
    (SELECT 1 FROM agents WHERE lease_operation IS NOT NULL AND lease_expires <= ?1)";
pub(crate) const AGENT: &str =
    "SELECT lease_operation, lease_expires, token, paused_why FROM agents WHERE agent = ?1";
pub(crate) const TAKE_LEASE: &str =
    "UPDATE agents SET token = ?2, lease_operation = ?3, lease_expires = ?4 WHERE agent = ?1";
pub(crate) const RENEW_LEASE: &str = "UPDATE agents SET lease_expires = ?4
    WHERE agent = ?1 AND token = ?2 AND lease_operation = ?3 AND lease_expires > ?5";
pub(crate) const END_LEASE: &str =
    "UPDATE agents SET lease_operation = NULL, lease_expires = NULL WHERE agent = ?1";

pub(crate) const PAUSE: &str =
    "INSERT INTO agents (agent, paused_why, paused_drains, paused_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (agent) DO UPDATE SET paused_why = ?2, paused_drains = ?3, paused_at = ?4";
pub(crate) const RESUME: &str = "UPDATE agents SET paused_why = NULL, paused_at = NULL WHERE agent = ?1";
pub(crate) const PAUSE_OF_AGENT: &str =
    "SELECT paused_why, paused_drains, paused_at FROM agents WHERE agent = ?1 AND paused_why IS NOT NULL";
pub(crate) const PAUSE_KIND: &str =
    "INSERT OR REPLACE INTO pauses (kind, why, drains, at) VALUES (?1, ?2, ?3, ?4)";
pub(crate) const RESUME_KIND: &str = "DELETE FROM pauses WHERE kind = ?1";
pub(crate) const PAUSE_OF_KIND: &str =
    "SELECT kind, why FROM pauses WHERE kind IN ('', ?1) ORDER BY kind LIMIT 1";
// agents_paused; first what is not an agent's
pub(crate) const PAUSED: &str =
    "SELECT * FROM (SELECT 0 AS is_agent, kind AS name, why, drains, at FROM pauses
    UNION ALL SELECT 1, agent, paused_why, paused_drains, paused_at FROM agents WHERE paused_why IS NOT NULL)
    ORDER BY is_agent, name";

pub(crate) const KEPT_AGENTS: &str =
    "SELECT agent, sealed FROM kept_agents WHERE agent > ?1 ORDER BY agent LIMIT ?2";
pub(crate) const KEPT_AGENT: &str = "SELECT sealed FROM kept_agents WHERE agent = ?1";
pub(crate) const KEEP_AGENT: &str = "INSERT OR IGNORE INTO kept_agents (agent, sealed) VALUES (?1, ?2)";
pub(crate) const REPLACE_AGENT: &str =
    "UPDATE kept_agents SET sealed = ?3 WHERE agent = ?1 AND sealed IN (?2, ?3)";
pub(crate) const DROP_AGENT: &str = "DELETE FROM kept_agents WHERE agent = ?1";

pub(crate) const COUNT_EVENTS: &str = "INSERT INTO agents (agent, head) VALUES (?1, ?2)
    ON CONFLICT (agent) DO UPDATE SET head = head + ?2 RETURNING head";
pub(crate) const WRITE_EVENT: &str = "INSERT INTO events (agent, seq, at, doc) VALUES (?1, ?2, ?3, ?4)";
pub(crate) const HEAD: &str = "SELECT store.epoch, coalesce(agents.head, 0), coalesce(agents.floor, 0)
    FROM store LEFT JOIN agents ON agents.agent = ?1";
pub(crate) const EVENTS_AFTER: &str =
    "SELECT seq, at, doc FROM events WHERE agent = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
pub(crate) const RAISE_FLOOR: &str =
    "UPDATE agents SET floor = max(floor, min(?2, head)) WHERE agent = ?1 RETURNING floor";
/// Of what is old no more than is pruned in one go.
pub(crate) const PRUNABLE: &str = "SELECT agent, up_to FROM (
        SELECT agent, floor, max(min(head - ?2, floor + 1000), coalesce(CASE WHEN (
            SELECT at FROM events WHERE events.agent = agents.agent AND seq > floor ORDER BY seq LIMIT 1
        ) < ?1 THEN (
            SELECT max(seq) FROM (
                SELECT seq, at FROM events WHERE events.agent = agents.agent AND seq > floor ORDER BY seq LIMIT 1000
            ) WHERE at < ?1
        ) END, 0)) AS up_to
        FROM agents WHERE head > floor
    ) WHERE up_to > floor ORDER BY up_to - floor DESC LIMIT ?3";
pub(crate) const PRUNE_EVENTS: &str = "DELETE FROM events WHERE agent = ?1 AND seq <= ?2";

pub(crate) const OPERATION: &str = "SELECT doc FROM operations WHERE id = ?1 AND agent = ?2";
pub(crate) const BY_KEY: &str = "SELECT doc FROM operations WHERE agent = ?1 AND key = ?2";
// operations_waiting_of_kind
pub(crate) const WAITING_OF_KIND: &str = "SELECT doc FROM operations
    WHERE agent = ?1 AND state = 'available' AND kind = ?2 ORDER BY position LIMIT 1";
// counts no further than the limit
pub(crate) const UNFINISHED: &str = "SELECT count(*) FROM (SELECT 1 FROM operations
    INDEXED BY operations_unfinished WHERE agent = ?1 AND unfinished = 1 LIMIT ?2)";
// operations_unfinished
pub(crate) const EARLIER_ON_TARGET: &str = "SELECT id FROM operations
    WHERE agent = ?1 AND target = ?2 AND unfinished = 1 AND position < ?3 ORDER BY position LIMIT 1";
// operations_of_target
pub(crate) const HOLDER_OF_TARGET: &str = "SELECT doc FROM operations WHERE agent = ?1 AND target = ?2
    AND kind = ?3 AND id <> ?4 AND state NOT IN ('rejected', 'failed', 'cancelled') ORDER BY position LIMIT 1";
// operations_old
pub(crate) const OLD_OPERATIONS: &str = "SELECT id FROM operations
    WHERE unfinished = 0 AND finished_at < ?1 ORDER BY finished_at LIMIT ?2";
pub(crate) const FORGET_EVIDENCE: &str = "DELETE FROM evidence WHERE operation = ?1";
pub(crate) const FORGET_OPERATION: &str = "DELETE FROM operations WHERE id = ?1";
pub(crate) const INSERT_OPERATION: &str = "INSERT INTO operations
    (position, id, agent, key, kind, class, target, state, unfinished, at, step, preemptions, finished_at, doc)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
pub(crate) const UPDATE_OPERATION: &str = "UPDATE operations
    SET state = ?2, unfinished = ?3, at = ?4, step = ?5, preemptions = ?6, finished_at = ?7, doc = ?8
    WHERE position = ?1";
pub(crate) const UPDATE_STATE: &str =
    "UPDATE operations SET state = ?2, at = ?3, step = ?4, preemptions = ?5, doc = ?6 WHERE position = ?1";
pub(crate) const UPDATE_DOC: &str = "UPDATE operations SET doc = ?2 WHERE position = ?1";

// operations_of_agent
pub(crate) const LIST: &str = "SELECT doc FROM operations WHERE agent = ?1 AND position < ?2
    AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR kind = ?4) ORDER BY position DESC LIMIT ?5";
// Few have the same target: they are sorted.
pub(crate) const LIST_OF_TARGET: &str = "SELECT doc FROM operations INDEXED BY operations_of_target
    WHERE agent = ?1 AND position < ?2 AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR kind = ?4) AND target = ?6
    ORDER BY position DESC LIMIT ?5";
// operations_front: the rest of a class, and what comes after the class
pub(crate) const WAITING_OF_CLASS: &str =
    "SELECT position, id, agent, class, target, at, step, preemptions, kind FROM operations
    WHERE agent = ?1 AND state = 'available' AND class = ?2 AND position > ?3 ORDER BY position LIMIT ?4";
pub(crate) const WAITING_BEHIND_CLASS: &str =
    "SELECT position, id, agent, class, target, at, step, preemptions, kind FROM operations
    WHERE agent = ?1 AND state = 'available' AND class < ?2 ORDER BY class DESC, position LIMIT ?3";
// operations_front
pub(crate) const FRONT: &str = "SELECT position, id, agent, class, target, at, step, preemptions, kind
    FROM operations WHERE agent = ?1 AND state = 'available' ORDER BY class DESC, position LIMIT ?2";
// operations_front: from each agent to the next, past all that it has
pub(crate) const BUSY_AGENTS: &str = "WITH RECURSIVE busy (agent) AS (
    SELECT (SELECT agent FROM operations WHERE state = 'available' AND agent > ?1 ORDER BY agent LIMIT 1)
    UNION ALL
    SELECT (SELECT o.agent FROM operations o WHERE o.state = 'available' AND o.agent > busy.agent
        ORDER BY o.agent LIMIT 1) FROM busy WHERE busy.agent IS NOT NULL
    LIMIT ?2) SELECT agent FROM busy WHERE agent IS NOT NULL";
pub(crate) const ALL_UNFINISHED: &str =
    "SELECT doc FROM operations INDEXED BY operations_unfinished WHERE agent = ?1 AND unfinished = 1";
// operations_finished
pub(crate) const LAST_FINISHED: &str = "SELECT doc FROM operations WHERE agent = ?1 AND unfinished = 0
    ORDER BY finished_at DESC, position DESC LIMIT ?2";

pub(crate) const ROW: &str = "SELECT doc FROM rows WHERE agent = ?1 AND collection = ?2 AND id = ?3";
pub(crate) const WRITE_ROW: &str = "INSERT INTO rows (agent, collection, id, doc, text, at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (agent, collection, id) DO UPDATE SET doc = ?4, text = ?5, at = ?6";
pub(crate) const SEE_ROW: &str = "UPDATE rows SET at = ?4 WHERE agent = ?1 AND collection = ?2 AND id = ?3";
pub(crate) const REMOVE_ROW: &str = "DELETE FROM rows WHERE agent = ?1 AND collection = ?2 AND id = ?3";
pub(crate) const ROWS: &str = "SELECT id, doc, at FROM rows WHERE agent = ?1 AND collection = ?2 AND id > ?3
    AND (?4 IS NULL OR instr(text, ?4) > 0) ORDER BY id LIMIT ?5";

pub(crate) const WRITE_EVIDENCE: &str = "INSERT INTO evidence (operation, n, agent, name, media_type, bytes)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const EVIDENCE: &str =
    "SELECT name, media_type, bytes FROM evidence WHERE operation = ?1 AND n = ?2 AND agent = ?3";

pub(crate) const PENDING_ORDER: &str = "SELECT doc FROM pending_orders WHERE id = ?1 AND agent = ?2";
// UNIQUE (agent, key)
pub(crate) const PENDING_ORDER_OF_KEY: &str = "SELECT doc FROM pending_orders WHERE agent = ?1 AND key = ?2";
// pending_orders_open; counts no further than the limit
pub(crate) const OPEN_PENDING_ORDERS: &str = "SELECT count(*) FROM
    (SELECT 1 FROM pending_orders WHERE agent = ?1 AND submitted_by IS NULL LIMIT ?2)";
// pending_orders_of_agent
pub(crate) const PENDING_ORDERS: &str =
    "SELECT doc FROM pending_orders WHERE agent = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
// pending_orders_open and pending_orders_submitted
pub(crate) const PENDING_ORDERS_SHOWN: &str = "SELECT doc FROM pending_orders
        WHERE agent = ?1 AND submitted_by IS NULL
    UNION ALL SELECT * FROM (SELECT doc FROM pending_orders WHERE agent = ?1 AND submitted_by IS NOT NULL
        ORDER BY updated_at DESC, id DESC LIMIT ?2)";
pub(crate) const INSERT_PENDING_ORDER: &str =
    "INSERT INTO pending_orders (id, agent, key, updated_at, doc) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(crate) const UPDATE_PENDING_ORDER: &str =
    "UPDATE pending_orders SET submitted_by = ?2, updated_at = ?3, doc = ?4 WHERE id = ?1";
pub(crate) const DELETE_PENDING_ORDER: &str = "DELETE FROM pending_orders WHERE id = ?1";
// pending_orders_of_operation
pub(crate) const FORGET_PENDING_ORDER: &str = "DELETE FROM pending_orders WHERE submitted_by = ?1";

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// How SQLite goes about a statement, one step a line.
    fn plan(conn: &Connection, sql: &str) -> String {
        let mut steps = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = vec![None::<i64>; steps.parameter_count()];
        let read = steps.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3));
        read.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    }

    #[test]
    fn what_has_an_index_is_found_by_it_and_not_among_all_that_an_agent_ever_had() {
        let conn = Connection::open_in_memory().unwrap();
        MIGRATIONS.iter().for_each(|script| conn.execute_batch(script).unwrap());
        for (statement, index) in [
            (LEASES_OVER, "agents_leased"),
            (IS_LEASE_OVER, "agents_leased"),
            (WAITING_OF_KIND, "operations_waiting_of_kind"),
            (UNFINISHED, "operations_unfinished"),
            (ALL_UNFINISHED, "operations_unfinished"),
            (EARLIER_ON_TARGET, "operations_unfinished"),
            (HOLDER_OF_TARGET, "operations_of_target"),
            (OLD_OPERATIONS, "operations_old"),
            (LIST, "operations_of_agent"),
            (LIST_OF_TARGET, "operations_of_target"),
            (WAITING_OF_CLASS, "operations_front"),
            (WAITING_BEHIND_CLASS, "operations_front"),
            (FRONT, "operations_front"),
            (BUSY_AGENTS, "operations_front"),
            (LAST_FINISHED, "operations_finished"),
            (OPEN_PENDING_ORDERS, "pending_orders_open"),
            (PENDING_ORDERS, "pending_orders_of_agent"),
            (PENDING_ORDERS_SHOWN, "pending_orders_submitted"),
            (FORGET_PENDING_ORDER, "pending_orders_of_operation"),
        ] {
            let plan = plan(&conn, statement);
            assert!(plan.contains(&format!("INDEX {index} ")), "{statement}\n{plan}");
            let sorts = plan.contains("TEMP B-TREE") && statement != LIST_OF_TARGET;
            assert!(!sorts, "{statement}\n{plan}");
        }
    }
}
