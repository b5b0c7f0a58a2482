use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqlStr};

use crate::options::ConnectError;
use crate::sql::in_schema;

/// In order, and only ever added to: what a database has once is not changed here any more. Each leaves alone what
/// workers of the version before read and write, so that both run side by side while a deployment rolls on.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "tables", include_str!("../migrations/0001_tables.sql")),
    (2, "pauses and workers", include_str!("../migrations/0002_pauses_and_workers.sql")),
    (3, "pending orders", include_str!("../migrations/0003_pending_orders.sql")),
    (4, "kept agents", include_str!("../migrations/0004_kept_agents.sql")),
];

/// Brings the schema up to date, unless it is already.
///
/// Any number of processes may do so at once: one does it, in one transaction and under a lock that ends
/// with it, and the others find it done. The connection is closed afterwards, so that no state of its
/// session lives on in a pool.
pub(crate) async fn migrate(options: &PgConnectOptions, schema: &str) -> Result<(), ConnectError> {
    let mut connection = PgConnection::connect_with(options).await.map_err(ConnectError::Unreachable)?;
    let migrated = check_server(&mut connection).await;
    let migrated = match migrated {
        Ok(()) => bring_up_to_date(&mut connection, schema).await,
        refused => refused,
    };
    // What it did is committed or rolled back; how it says goodbye changes nothing.
    connection.close().await.ok();
    migrated
}

async fn check_server(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let (version, encoding, fsync) = server(connection).await.map_err(ConnectError::Unreachable)?;
    if version < 130_000 {
        return Err(ConnectError::Unsuitable(format!(
            "be PostgreSQL 13 or newer, it is {}",
            version / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Err(ConnectError::Unsuitable(format!("be encoded in UTF8, it is in {encoding}")));
    }
    if fsync != "on" {
        tracing::warn!("the database runs with fsync off: what is acknowledged is lost with the power");
    }
    Ok(())
}

/// As text, which needs nothing prepared: a pooler may lend another connection for the next statement.
async fn server(connection: &mut PgConnection) -> Result<(i32, String, String), sqlx::Error> {
    let asked = "select current_setting('server_version_num')::int, current_setting('server_encoding'), \
        current_setting('fsync')";
    let row = connection.fetch_one(asked).await?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}

async fn bring_up_to_date(connection: &mut PgConnection, schema: &str) -> Result<(), ConnectError> {
    let (newest, name, _) = MIGRATIONS[MIGRATIONS.len() - 1];
    let failed = |cause| ConnectError::Migration { version: newest, name, cause };
    let mut tx = connection.begin().await.map_err(failed)?;
    // Without a lock first: who may not create anything can still use what is there.
    let present = version(&mut tx, schema).await.map_err(failed)?;
    if present > 0 {
        check_beginning(&mut tx, schema).await?;
    }
    if present >= newest {
        return tx.commit().await.map_err(failed);
    }
    sqlx::query("select pg_advisory_xact_lock(hashtext('archibald migrations'), hashtext($1))")
        .bind(schema)
        .persistent(false)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    let present = version(&mut tx, schema).await.map_err(failed)?;
    for (version, name, text) in MIGRATIONS.iter().filter(|(version, ..)| *version > present) {
        let failed = |cause| ConnectError::Migration { version: *version, name, cause };
        apply(&mut tx, schema, *version, name, in_schema(schema, text)).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

/// Before the first release the tables were made by other migrations.
async fn check_beginning(connection: &mut PgConnection, schema: &str) -> Result<(), ConnectError> {
    let (version, name, _) = MIGRATIONS[0];
    let asked = format!("select name from {schema}.migrations where version = $1");
    let first: Option<String> = sqlx::query_scalar(AssertSqlSafe(asked))
        .bind(version)
        .persistent(false)
        .fetch_optional(connection)
        .await
        .map_err(|cause| ConnectError::Migration { version, name, cause })?;
    if first.as_deref() == Some(name) {
        return Ok(());
    }
    Err(ConnectError::Unsuitable(format!(
        "have a schema {schema} that this version or a later one made, or none: this one was made before the first \
         release and cannot be brought up to date"
    )))
}

async fn apply(
    tx: &mut PgConnection,
    schema: &str,
    version: i64,
    name: &str,
    text: SqlStr,
) -> Result<(), sqlx::Error> {
    if version == 1 {
        let begin = format!(
            "create schema if not exists {schema}; \
             create table {schema}.migrations (version bigint primary key, name text not null, \
             applied_at timestamptz not null default clock_timestamp())"
        );
        tx.execute(sqlx::raw_sql(AssertSqlSafe(begin))).await?;
    }
    tx.execute(sqlx::raw_sql(text)).await?;
    let note = format!("insert into {schema}.migrations (version, name) values ($1, $2)");
    sqlx::query(AssertSqlSafe(note)).bind(version).bind(name).persistent(false).execute(tx).await.map(drop)
}

/// The newest migration that was applied, 0 before the first.
async fn version(connection: &mut PgConnection, schema: &str) -> Result<i64, sqlx::Error> {
    // Not by `to_regclass`: it remembers what was not there when this session first asked.
    let asked = "select exists (select from pg_tables where schemaname = $1 and tablename = 'migrations')";
    let there: bool =
        sqlx::query_scalar(asked).bind(schema).persistent(false).fetch_one(&mut *connection).await?;
    if !there {
        return Ok(0);
    }
    let newest = format!("select coalesce(max(version), 0) from {schema}.migrations");
    sqlx::query_scalar(AssertSqlSafe(newest)).persistent(false).fetch_one(connection).await
}
