use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

/// How the store uses its database.
#[derive(Debug, Clone)]
pub struct PgOptions {
    /// The schema that the tables are in, and part of the channel's name: 1 to 40 characters of a-z, 0-9 and
    /// '_', not beginning with a digit.
    pub schema: String,
    /// Connections for reading and for what waits; three more at most, of which one listens and two write what comes
    /// together. Of a pool of yours it is that pool's number. Who finds all of them taken waits, and is told that the
    /// store is unavailable after [`PgOptions::retry_for`]. Calls that wait for rows which somebody else has locked
    /// take half of them at most, so that the renewals of leases always find one.
    pub max_connections: u32,
    /// How long a call goes on trying while the database is down, as long as nothing can have been written.
    pub retry_for: Duration,
    /// How long a statement waits for a row that somebody else has locked; then the store is unavailable for
    /// this call.
    pub lock_wait: Duration,
    /// How often the logs are looked at in case a notification got lost: while a device is subscribed, and
    /// for workers while notifications cannot be had.
    pub poll_every: Duration,
    /// Whether connections prepare statements and keep them (default). Not where a pooler lends a connection for one
    /// transaction and does not know what was prepared on it, such as PgBouncer before 1.21: every call is then a
    /// transaction, and every statement planned anew.
    pub prepared_statements: bool,
    /// Where notifications of other processes are listened to.
    pub listen: Listen,
}

/// Where notifications of other processes are listened to.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Listen {
    /// At the store's own address (default). Not through a pooler that lends a connection for one transaction: a
    /// connection that listens is lent to others, who are sent what they do not expect.
    #[default]
    Here,
    /// At this address of the same database, past such a pooler.
    At(Box<PgConnectOptions>),
    /// Nowhere: the logs are looked at every [`PgOptions::poll_every`] instead, also for workers.
    Nowhere,
}

impl Default for PgOptions {
    fn default() -> Self {
        Self {
            schema: "archibald".to_owned(),
            max_connections: 16,
            retry_for: Duration::from_secs(15),
            lock_wait: Duration::from_secs(5),
            poll_every: Duration::from_secs(2),
            prepared_statements: true,
            listen: Listen::Here,
        }
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be read.
    #[error("the store's URL must be as postgres://user@host/database")]
    BadUrl(#[source] sqlx::Error),
    /// The schema's name cannot be taken.
    #[error(
        "the schema must be 1 to 40 characters of a-z, 0-9 and '_', not beginning with a digit, got {0:?}"
    )]
    BadSchema(String),
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// The database is not of the sort that is needed.
    #[error("the database must {0}")]
    Unsuitable(String),
    /// The tables could not be made or brought up to date; nothing was changed.
    #[error("migration {version} ({name}) failed")]
    Migration {
        /// Its number.
        version: i64,
        /// What it is called.
        name: &'static str,
        /// Why.
        #[source]
        cause: sqlx::Error,
    },
}

impl PgOptions {
    /// Whether a connection is lent for longer than a transaction, so that it can have settings of its own: a pooler that
    /// lends it for one knows nothing of what was prepared, or cannot be listened through.
    pub(crate) fn has_sessions(&self) -> bool {
        self.prepared_statements && matches!(self.listen, Listen::Here)
    }

    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        let name = &self.schema;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts = name.starts_with(|c: char| !c.is_ascii_digit());
        if name.len() <= 40 && starts && name.chars().all(allowed) {
            return Ok(());
        }
        Err(ConnectError::BadSchema(name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        let check = |schema: &str| PgOptions { schema: schema.into(), ..Default::default() }.check();
        assert!(check("archibald").is_ok() && check("_a1").is_ok());
        for bad in ["", "1a", "A", "a.b", "a\"b", "a b", &"a".repeat(41)] {
            assert!(matches!(check(bad), Err(ConnectError::BadSchema(_))), "{bad}");
        }
    }
}
