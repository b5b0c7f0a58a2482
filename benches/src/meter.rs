//! What a store costs: processor time, statements, rows, pages, log.

use std::sync::Arc;

use archibald_sqlite::SqliteStore;
use sqlx::PgConnection;

use crate::Failure;
use crate::machine::cpu_with_children;

/// Looks at a store from outside.
pub(crate) enum Meter {
    /// A database, seen through a connection of its own.
    Postgres {
        /// The first process of the server, where it is ours.
        postmaster: Option<u32>,
        /// The meter's own.
        connection: PgConnection,
        /// Whether `pg_stat_statements` can be read.
        counts: bool,
    },
    /// A file, whose work is done by this process.
    Sqlite(Arc<SqliteStore>),
    /// No disk at all.
    None,
}

/// What a store cost up to a moment; what cannot be known is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Processor time of its processes, in seconds; `None` where it works within ours.
    pub cpu: Option<f64>,
    /// Statements, as `pg_stat_statements` counts them, also those that begin and end transactions.
    pub statements: Option<f64>,
    /// Rows that statements returned or wrote.
    pub rows: Option<f64>,
    /// Pages that statements looked at, in memory or on disk.
    pub pages: Option<f64>,
    /// Bytes written to its log.
    pub wal: Option<f64>,
    /// Transactions, also those that only read; of a file, commits.
    pub transactions: Option<f64>,
}

/// A statement, and what it was up to so far.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What was sent, with numbers in the place of constants.
    pub text: String,
    /// How often.
    pub calls: i64,
    /// Rows that it returned or wrote.
    pub rows: i64,
    /// Milliseconds that it took.
    pub millis: f64,
}

/// A table, and what became of it so far.
#[derive(Debug, Clone)]
pub struct Table {
    /// What it is called.
    pub name: String,
    /// Rows, about.
    pub rows: i64,
    /// Versions of rows that nobody sees any more and that still take room, about.
    pub dead: i64,
    /// Updates of rows.
    pub updates: i64,
    /// Those of them that stayed within the page and touched no index.
    pub within_page: i64,
    /// What it takes with its indexes.
    pub kib: i64,
}

impl Cost {
    /// From then to now.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        let between = |now: Option<f64>, then: Option<f64>| Some(now? - then?);
        Self {
            cpu: between(self.cpu, then.cpu),
            statements: between(self.statements, then.statements),
            rows: between(self.rows, then.rows),
            pages: between(self.pages, then.pages),
            wal: between(self.wal, then.wal),
            transactions: between(self.transactions, then.transactions),
        }
    }
}

impl Meter {
    /// For a database; `postmaster` where the server is ours.
    pub(crate) async fn postgres(mut connection: PgConnection, postmaster: Option<u32>) -> Self {
        let counts = counts(&mut connection).await.is_ok();
        Self::Postgres { postmaster, connection, counts }
    }

    /// What it cost so far.
    pub(crate) async fn cost(&mut self) -> Result<Cost, Failure> {
        let (postmaster, connection, can_count) = match self {
            Self::Postgres { postmaster, connection, counts } => (*postmaster, connection, *counts),
            Self::Sqlite(store) => {
                let commits = u32::try_from(store.commits())?;
                return Ok(Cost { transactions: Some(commits.into()), ..Cost::default() });
            }
            Self::None => return Ok(Cost::default()),
        };
        let mut cost = Cost { cpu: postmaster.map(cpu_with_children), ..Cost::default() };
        cost.wal = Some(sqlx::query_scalar(WAL).fetch_one(&mut *connection).await?);
        cost.transactions = Some(sqlx::query_scalar(TRANSACTIONS).fetch_one(&mut *connection).await?);
        if can_count {
            let (statements, rows, pages) = counts(connection).await?;
            (cost.statements, cost.rows, cost.pages) = (Some(statements), Some(rows), Some(pages));
        }
        Ok(cost)
    }

    /// The statements so far, the most frequent first; none where they cannot be known.
    pub(crate) async fn statements(&mut self) -> Result<Vec<Statement>, Failure> {
        let Self::Postgres { connection, counts: true, .. } = self else { return Ok(vec![]) };
        let rows: Vec<(String, i64, i64, f64)> = sqlx::query_as(STATEMENTS).fetch_all(connection).await?;
        let read = |(text, calls, rows, millis)| Statement { text, calls, rows, millis };
        Ok(rows.into_iter().map(read).collect())
    }
}

async fn counts(connection: &mut PgConnection) -> Result<(f64, f64, f64), sqlx::Error> {
    sqlx::query_as(COUNTS).fetch_one(connection).await
}

/// The meter's own are left out, here and below.
const COUNTS: &str = "select coalesce(sum(calls), 0)::float8, coalesce(sum(rows), 0)::float8, \
    coalesce(sum(shared_blks_hit + shared_blks_read), 0)::float8 from pg_stat_statements \
    where dbid = (select oid from pg_database where datname = current_database()) \
    and query not like '%pg_stat_%' and query not like '%pg_current_wal%'";

const STATEMENTS: &str = "select query, calls, rows, total_exec_time from pg_stat_statements \
    where dbid = (select oid from pg_database where datname = current_database()) \
    and query not like '%pg_stat_%' and query not like '%pg_current_wal%' order by calls desc";

const WAL: &str = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";

const TRANSACTIONS: &str = "select (xact_commit + xact_rollback)::float8 from pg_stat_database \
    where datname = current_database()";
