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
    /// As in the store here, and nothing but the rows that it writes: of 100 agents the operation that each runs ends
    /// and its next one starts, with record, lease, two events and their counter, in one statement that decides nothing.
    Keep,
}

/// Of whom the operations are, where it matters.
const AGENTS: usize = 1_000;

const TABLE: [&str; 4] = [
    "create table operation (id bigint generated always as identity primary key, agent text not null, \
     payload jsonb not null, state smallint not null default 0, worker text, leased_at timestamptz)",
    "create index operation_waits on operation (id) where state = 0",
    "insert into operation (agent, payload) \
     select 'agent-' || lpad((number % 1000)::text, 6, '0'), '{\"micros\": 0}' from generate_series(1, $1) number",
    "vacuum analyze operation",
];

const KEPT_TABLES: [&str; 9] = [
    "create table agent (agent bigint primary key, token bigint not null, ended bigint not null, expires_at timestamptz) \
     with (fillfactor = 50)",
    "create table stream (agent bigint primary key, head bigint not null) with (fillfactor = 50)",
    "create table event (agent bigint, seq bigint, at timestamptz, event json, primary key (agent, seq))",
    "create table operation (agent bigint, n bigint, state text, record json, primary key (agent, n)) \
     with (fillfactor = 50)",
    "create table queue (agent bigint, n bigint, ticket json, primary key (agent, n)) with (fillfactor = 90)",
    "create table finished (agent bigint, finished_at timestamptz, n bigint, primary key (agent, finished_at, n))",
    "insert into operation select number % 1000, number / 1000, 'available', to_json(repeat('r', 700)) \
     from generate_series(0, $1 + 999) number",
    "with agents as (insert into agent select agent, 1, 0 from generate_series(0, 999) agent returning agent), \
     streams as (insert into stream select agent, 0 from agents) \
     insert into queue select agent, n, to_json(repeat('t', 300)) from operation where n > 0",
    "vacuum analyze operation, queue, agent, stream",
];

const KEEP: &str = "with held as materialized (\
         select agent, ended, head from agent join stream using (agent) where agent % :clients = :client_id \
         order by ended, agent limit 100 for update \
     ), settled as (\
         update operation o set state = 'completed', record = to_json(repeat('s', 760)) from held \
         where o.agent = held.agent and o.n = held.ended \
     ), started as (\
         update operation o set state = 'running', record = to_json(repeat('b', 760)) from held \
         where o.agent = held.agent and o.n = held.ended + 1 \
     ), unqueued as (\
         delete from queue q using held where q.agent = held.agent and q.n = held.ended + 1 \
     ), finished as (\
         insert into finished select agent, now(), ended from held \
     ), told as (\
         update stream s set head = s.head + 2 from held where s.agent = held.agent \
     ), leased as (\
         update agent a set token = token + 1, ended = a.ended + 1, expires_at = now() from held where a.agent = held.agent \
     ) insert into event select agent, head + k, now(), to_json(repeat('e', 180)) from held, generate_series(1, 2) k;\n";

const CLAIM: &str = "with claimed as (update operation set state = 1, worker = 'worker-' || :client_id, leased_at = now() \
     where id in (select id from operation where state = 0 order by id limit 100 for update skip locked) \
     returning id) select coalesce(array_agg(id), '{}')::text as ids from claimed \\gset";

impl Complete {
    fn script(self) -> String {
        let complete = match self {
            Self::Keep => return KEEP.to_owned(),
            Self::Delete => "delete from operation where id = any(:ids::bigint[]);",
            Self::Update => "update operation set state = 2, worker = null where id = any(:ids::bigint[]);",
        };
        format!("{CLAIM}\n{complete}\n")
    }

    fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Delete | Self::Update => &TABLE,
            Self::Keep => &KEPT_TABLES,
        }
    }

    /// How many were not completed.
    fn left(self) -> &'static str {
        match self {
            Self::Delete | Self::Update => "select count(*) from operation where state <> 2",
            // The last of each agent runs.
            Self::Keep => "select count(*) - 1000 from operation where state <> 'completed'",
        }
    }
}

/// Fills a table for it.
///
/// # Errors
/// What the database says.
pub async fn fill(database: &mut Database, complete: Complete, operations: usize) -> Result<(), Failure> {
    let count = i64::try_from(operations)?;
    for statement in complete.tables() {
        let query = sqlx::query(AssertSqlSafe((*statement).to_owned()));
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
    if complete == Complete::Keep && (operations % AGENTS != 0 || AGENTS / clients < BATCH) {
        return Err(format!("{operations} operations are not {AGENTS} agents', or {clients} clients too many").into());
    }
    if each * clients * BATCH != operations {
        return Err(format!("{operations} operations are not whole batches of {BATCH} for {clients}").into());
    }
    let printed = pgbench(database, &complete.script(), clients, each).await?;
    let left: i64 = sqlx::query_scalar(complete.left()).fetch_one(database.connection()).await?;
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
    command.arg(format!("--define=clients={clients}"));
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
