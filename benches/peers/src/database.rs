//! An empty database, and what is done in it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use archibald_benches::machine::cpu_with_children;
use archibald_benches::meter::Cost;
use archibald_benches::store::Place;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use crate::Failure;

/// A server, on which each run has a database of its own.
#[derive(Debug)]
pub struct Server {
    /// Holds a private cluster for as long as it is used.
    _place: Place,
    url: Url,
    /// Where the server is ours.
    postmaster: Option<u32>,
}

/// A database that was empty when it was made.
#[derive(Debug)]
pub struct Database {
    server: Url,
    url: Url,
    name: String,
    connection: PgConnection,
    postmaster: Option<u32>,
    counts: bool,
}

impl Server {
    /// `postgres` is a private cluster, set up as `archibald-benches` sets up its own; else a URL.
    ///
    /// # Errors
    /// Where the cluster cannot be started, or the name is neither.
    pub fn find(name: &str) -> Result<Self, Failure> {
        let place = Place::find(name)?;
        let (url, postmaster) = match &place {
            Place::Private(cluster) => (cluster.url(), cluster.postmaster()),
            Place::Given(url) => (url.clone(), None),
            Place::Sqlite(..) | Place::Memory => {
                return Err(format!("the store must be postgres or postgres://…, got {name}").into());
            }
        };
        Ok(Self { _place: place, url: Url::parse(&url)?, postmaster })
    }

    /// A new database.
    ///
    /// # Errors
    /// What the server says.
    pub async fn database(&self) -> Result<Database, Failure> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("archibald_peer_{}_{number}", std::process::id());
        let mut server = PgConnection::connect(self.url.as_str()).await?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut server).await?;
        server.close().await?;
        let mut url = self.url.clone();
        url.set_path(&name);
        let mut connection = PgConnection::connect(url.as_str()).await?;
        let extension = sqlx::query("create extension if not exists pg_stat_statements");
        let counts =
            extension.execute(&mut connection).await.is_ok() && counts(&mut connection).await.is_ok();
        let (server, postmaster) = (self.url.clone(), self.postmaster);
        Ok(Database { server, url, name, connection, postmaster, counts })
    }
}

impl Database {
    /// How to connect to it.
    ///
    /// # Errors
    /// Where the URL says what nobody knows.
    pub fn options(&self) -> Result<PgConnectOptions, Failure> {
        Ok(self.url.as_str().parse()?)
    }

    /// Where it is, as every client understands it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A connection that is in nobody's way.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// What was done in it so far; what cannot be known is `None`.
    ///
    /// # Errors
    /// What the server says.
    pub async fn cost(&mut self) -> Result<Cost, Failure> {
        let mut cost = Cost { cpu: self.postmaster.map(cpu_with_children), ..Cost::default() };
        cost.wal = Some(sqlx::query_scalar(WAL).fetch_one(&mut self.connection).await?);
        if self.counts {
            let (statements, rows, pages) = counts(&mut self.connection).await?;
            (cost.statements, cost.rows, cost.pages) = (Some(statements), Some(rows), Some(pages));
        }
        Ok(cost)
    }

    /// How often each statement was made so far; nothing where that cannot be known.
    ///
    /// # Errors
    /// What the server says.
    pub async fn statements(&mut self) -> Result<BTreeMap<String, i64>, Failure> {
        if !self.counts {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(String, i64)> = sqlx::query_as(STATEMENTS).fetch_all(&mut self.connection).await?;
        let mut statements = BTreeMap::new();
        for (text, calls) in rows {
            let words: Vec<&str> = text.split_whitespace().collect();
            let begins: String = words.join(" ").chars().take(60).collect();
            *statements.entry(begins).or_default() += calls;
        }
        Ok(statements)
    }

    /// Removes it.
    ///
    /// # Errors
    /// What the server says.
    pub async fn remove(self) -> Result<(), Failure> {
        self.connection.close().await?;
        let mut server = PgConnection::connect(self.server.as_str()).await?;
        let drop = format!("drop database {} with (force)", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut server).await?;
        Ok(server.close().await?)
    }
}

async fn counts(connection: &mut PgConnection) -> Result<(f64, f64, f64), sqlx::Error> {
    sqlx::query_as(COUNTS).fetch_one(connection).await
}

// What `archibald-benches` counts of its own store, by the same rules: our own looks are left out.

const COUNTS: &str = "select coalesce(sum(calls), 0)::float8, coalesce(sum(rows), 0)::float8, \
    coalesce(sum(shared_blks_hit + shared_blks_read), 0)::float8 from pg_stat_statements \
    where dbid = (select oid from pg_database where datname = current_database()) \
    and query not like '%pg_stat_%' and query not like '%pg_current_wal%'";

const STATEMENTS: &str = "select query, calls from pg_stat_statements \
    where dbid = (select oid from pg_database where datname = current_database()) \
    and query not like '%pg_stat_%' and query not like '%pg_current_wal%'";

const WAL: &str = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
