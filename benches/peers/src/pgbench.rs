//! A program that does nothing but claim and complete.

use std::path::PathBuf;
use std::process::Stdio;

use archibald_benches::Failure;
use clap::ValueEnum;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::database::Database;

/// Operations that are claimed and completed together.
pub const BATCH: usize = 100;

/// What becomes of what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Complete {
    /// Its rows are removed.
    Delete,
    /// Its rows are kept, with another state.
    Update,
}

const TABLE: [&str; 4] = [
    "create table operation (id bigint generated always as identity primary key, agent text not null, \
     payload jsonb not null, state smallint not null default 0, worker text, leased_at timestamptz)",
    "create index operation_waits on operation (id) where state = 0",
    "insert into operation (agent, payload) \
     select 'agent-' || lpad((number % 1000)::text, 6, '0'), '{\"micros\": 0}' from generate_series(1, $1) number",
    "vacuum analyze operation",
];

const CLAIM: &str = "with claimed as (update operation set state = 1, worker = 'worker-' || :client_id, leased_at = now() \
     where id in (select id from operation where state = 0 order by id limit 100 for update skip locked) \
     returning id) select coalesce(array_agg(id), '{}')::text as ids from claimed \\gset";

const LEFT: &str = "select count(*) from operation where state <> 2";

impl Complete {
    fn script(self) -> String {
        let complete = match self {
            Self::Delete => "delete from operation where id = any(:ids::bigint[]);",
            Self::Update => "update operation set state = 2, worker = null where id = any(:ids::bigint[]);",
        };
        format!("{CLAIM}\n{complete}\n")
    }
}

/// Fills a table for it.
///
/// # Errors
/// What the database says.
pub async fn fill(database: &mut Database, operations: usize) -> Result<(), Failure> {
    let count = i64::try_from(operations)?;
    for statement in TABLE {
        let query = sqlx::query(AssertSqlSafe(statement.to_owned()));
        let query = if statement.contains("$1") { query.bind(count) } else { query };
        query.execute(database.connection()).await?;
    }
    Ok(())
}

/// Claims and completes all, by so many clients, and returns how many operations that is a second.
///
/// # Errors
/// What the program says, or where something was left undone.
pub async fn run(
    database: &mut Database,
    complete: Complete,
    clients: usize,
    operations: usize,
) -> Result<f64, Failure> {
    let each = operations / clients / BATCH;
    if each * clients * BATCH != operations {
        return Err(format!("{operations} operations are not whole batches of {BATCH} for {clients}").into());
    }
    let printed = pgbench(database, &complete.script(), clients, each).await?;
    let left: i64 = sqlx::query_scalar(LEFT).fetch_one(database.connection()).await?;
    if left > 0 {
        return Err(format!("pgbench left {left} operations undone").into());
    }
    Ok(transactions_a_second(&printed)? * BATCH as f64)
}

async fn pgbench(
    database: &mut Database,
    script: &str,
    clients: usize,
    each: usize,
) -> Result<String, Failure> {
    let mut url = database.url().clone();
    let password = url.password().unwrap_or_default().to_owned();
    url.set_password(None).map_err(|()| "a URL without a host")?;
    let threads = clients.min(std::thread::available_parallelism().map_or(1, usize::from));
    let mut command = Command::new(program(database).await?);
    command.args(["--no-vacuum", "--protocol=prepared", "--file=-"]);
    command.arg(format!("--client={clients}")).arg(format!("--jobs={threads}"));
    command.arg(format!("--transactions={each}")).arg(url.as_str()).env("PGPASSWORD", password);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().ok_or("pgbench has no input")?;
    input.write_all(script.as_bytes()).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("pgbench failed ({})", output.status).into())
}

/// That of the server's own release; else whatever is found.
async fn program(database: &mut Database) -> Result<PathBuf, Failure> {
    let folder = "select setting from pg_config where name = 'BINDIR'";
    let folder: Option<String> = sqlx::query_scalar(folder).fetch_optional(database.connection()).await?;
    let beside = folder.map(|folder| PathBuf::from(folder).join("pgbench")).filter(|path| path.is_file());
    Ok(beside.unwrap_or_else(|| "pgbench".into()))
}

fn transactions_a_second(printed: &str) -> Result<f64, Failure> {
    let line = printed.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| format!("pgbench did not say how fast it was:\n{printed}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_read_from_what_is_printed() {
        let printed = "latency average = 1.2 ms\ntps = 823.456 (without initial connection time)\n";
        assert!((transactions_a_second(printed).unwrap() - 823.456).abs() < 1e-9);
        assert!(transactions_a_second("latency average = 1.2 ms\n").is_err());
    }
}
