//! Very many operations that wait, written past the store: copies of one that it accepted itself.
//!
//! What is copied is whole rows of `operations` with id, agent, key and position changed, in columns and in the
//! documents beside them. Their events are not written: whoever reads a log reads no more of it than he asks
//! for, and so its length is not what is looked for here.

use std::time::Duration;

use archibald_core::id::{AgentId, OperationKey, Target};
use archibald_core::operation::Class;
use archibald_core::port::LeaseRequest;
use archibald_core::record::{Disposition, OperationRecord};
use rusqlite::Connection;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::Failure;
use crate::store::{At, Opened};
use crate::work::{agent, operation};

/// Rows that one statement writes.
const CHUNK: usize = 100_000;
/// What all are for, where they are for one thing.
const TARGET: &str = "target-of-all";
/// Where PostgreSQL keeps an operation.
const TABLES: [&str; 3] = ["operations", "queue", "finished"];
/// The template's key; the copies are `b1`, `b2`, ….
const KEY: &str = "b0";

/// How operations lie over the agents.
#[derive(Debug, Clone)]
pub struct Backlog {
    /// How many.
    pub count: usize,
    /// Whose.
    pub whose: Whose,
    /// How long each takes when it is run.
    pub takes: Duration,
    /// Whether all are for one thing.
    pub has_target: bool,
    /// Whether they have ended and are only kept.
    pub is_finished: bool,
}

/// Which agent each operation is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// So many agents in turn.
    Of(usize),
    /// Agent 0, but for one of a hundred, which are of agents 1 to 59 in turn.
    NearlyAllOfOne,
}

/// The target of operations for which [`Backlog::has_target`] holds.
///
/// # Errors
/// Never: the name is a good one.
pub fn target() -> Result<Target, Failure> {
    Ok(Target::new(TARGET)?)
}

/// Fills a store that is empty; it is opened anew, for it was changed behind its back.
///
/// # Errors
/// What the store or its database says.
pub async fn fill(mut opened: Opened, backlog: &Backlog) -> Result<Opened, Failure> {
    let template = Template::of(make_template(&opened, backlog).await?)?;
    let last = template.position + u64::try_from(backlog.count)?;
    let schema = opened.schema().to_owned();
    match opened.place().clone() {
        At::Postgres { .. } => {
            let database = opened.database().ok_or("a database without a connection")?;
            let sql = Copying { backlog, template: &template, schema: &schema, dialect: Dialect::Postgres };
            fill_postgres(database, &sql, last).await?;
            opened.reopen().await
        }
        At::Sqlite(path) => {
            let reopen = opened.shut().await;
            let sql = Copying { backlog, template: &template, schema: "main", dialect: Dialect::Sqlite };
            // Nobody else has anything to do meanwhile.
            fill_sqlite(&Connection::open(path)?, &sql)?;
            reopen.open().await
        }
        At::Memory(_) => {
            if backlog.is_finished {
                return Err("finished operations cannot be put into a store in memory".into());
            }
            for number in 1..backlog.count {
                let mut new = operation(agent(backlog.whose.agent_of(number))?, number, backlog.takes)?;
                new.key = OperationKey::new(format!("b{number}"))?;
                new.target = Some(target()?).filter(|_| backlog.has_target);
                opened.ports.store.enqueue(new).await?;
            }
            Ok(opened)
        }
    }
}

impl Whose {
    fn agent_of(self, number: usize) -> usize {
        match self {
            Self::Of(agents) => number % agents,
            Self::NearlyAllOfOne if number.is_multiple_of(100) => 1 + number / 100 % 59,
            Self::NearlyAllOfOne => 0,
        }
    }

    fn agents(self) -> usize {
        match self {
            Self::Of(agents) => agents,
            Self::NearlyAllOfOne => 60,
        }
    }

    /// The number of the agent of `n`, as SQL.
    fn as_sql(self) -> String {
        match self {
            Self::Of(agents) => format!("n % {agents}"),
            Self::NearlyAllOfOne => "case when n % 100 = 0 then 1 + n / 100 % 59 else 0 end".to_owned(),
        }
    }
}

/// Operation 0, through the store's own door.
async fn make_template(opened: &Opened, backlog: &Backlog) -> Result<OperationRecord, Failure> {
    let mut new = operation(agent(0)?, 0, backlog.takes)?;
    new.key = OperationKey::new(KEY)?;
    new.class = Class::Interactive;
    new.target = Some(target()?).filter(|_| backlog.has_target);
    let record = opened.ports.store.enqueue(new).await?.record;
    if !backlog.is_finished {
        return Ok(record);
    }
    let request = LeaseRequest {
        agent: agent(0)?,
        operation: record.operation.id,
        worker: archibald_core::id::WorkerId::new("filler")?,
        ttl: Duration::from_secs(60),
    };
    let leased = opened.ports.lock.lease(&request).await?;
    let done = Disposition::Complete { result: json!({}) };
    Ok(opened.ports.store.settle(&leased.lease, done.into()).await?)
}

struct Template {
    id: String,
    agent: AgentId,
    position: u64,
}

impl Template {
    fn of(record: OperationRecord) -> Result<Self, Failure> {
        let operation = record.operation;
        Ok(Self { id: operation.id.to_string(), agent: operation.agent, position: operation.position })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Postgres,
    Sqlite,
}

/// The statements that copy.
struct Copying<'a> {
    backlog: &'a Backlog,
    template: &'a Template,
    schema: &'a str,
    dialect: Dialect,
}

impl Copying<'_> {
    /// The rows that operations `from` to `to`, the latter left out, have in a table.
    fn operations(&self, table: &str, columns: &[String], from: usize, to: usize) -> String {
        let values: Vec<_> = columns.iter().map(|column| self.value(column)).collect();
        let (schema, template) = (self.schema, self.template);
        format!(
            "{with} insert into {schema}.{table} ({into}) select {values} from {schema}.{table} t \
             cross join (select n, {id} as id, {agent} as agent, {base} + n as position from {series}) f \
             where t.{key} = '{of}'",
            with = self.with(from, to),
            into = columns.join(", "),
            values = values.join(", "),
            id = self.id(),
            agent = self.agent(&self.backlog.whose.as_sql()),
            base = template.position,
            series = self.series(from, to),
            of = template.id,
            key = if columns.iter().any(|column| column == "id") { "id" } else { "operation" },
        )
    }

    /// The rows of agents 1 and on in a table; `epoch` names what it takes of the store's row.
    fn agents(&self, table: &str, epoch: &str) -> String {
        let agents = self.backlog.whose.agents();
        format!(
            "{with} insert into {schema}.{table} (agent{comma}{epoch}) select {agent}{comma}{epoch} \
             from {series}{comma}{store} where true on conflict do nothing",
            with = self.with(1, agents),
            schema = self.schema,
            comma = if epoch.is_empty() { "" } else { ", " },
            store = if epoch.is_empty() { String::new() } else { format!("{}.store", self.schema) },
            agent = self.agent("n"),
            series = self.series(1, agents),
        )
    }

    fn value(&self, column: &str) -> String {
        let cast =
            |to: &str| if self.dialect == Dialect::Postgres { format!("::{to}") } else { String::new() };
        match column {
            "id" | "operation" => format!("f.id{}", cast("uuid")),
            "agent" => "f.agent".to_owned(),
            "position" => "f.position".to_owned(),
            "key" => "'b' || f.n".to_owned(),
            "ticket" | "record" | "doc" => {
                let (of, text) = (self.template, format!("t.{column}{}", cast("text")));
                format!(
                    "replace(replace(replace(replace({text}, '\"key\":\"{KEY}\"', '\"key\":\"b' || f.n || '\"'), \
                     '{}', f.id), '{}', f.agent), '\"position\":{}', '\"position\":' || f.position){}",
                    of.id,
                    of.agent,
                    of.position,
                    cast("json"),
                )
            }
            other => format!("t.{other}"),
        }
    }

    fn id(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => "'00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0')",
            Dialect::Sqlite => "printf('00000000-0000-7000-8000-%012x', n)",
        }
    }

    /// As [`agent`] names them.
    fn agent(&self, number: &str) -> String {
        match self.dialect {
            Dialect::Postgres => format!("'agent-' || lpad(({number})::text, 6, '0')"),
            Dialect::Sqlite => format!("printf('agent-%06d', {number})"),
        }
    }

    fn with(&self, from: usize, to: usize) -> String {
        match self.dialect {
            Dialect::Postgres => String::new(),
            Dialect::Sqlite => format!(
                "with recursive series (n) as (select {from} where {from} < {to} union all \
                 select n + 1 from series where n + 1 < {to})"
            ),
        }
    }

    fn series(&self, from: usize, to: usize) -> String {
        match self.dialect {
            Dialect::Postgres => format!("generate_series({from}::bigint, {to}::bigint - 1) as series (n)"),
            Dialect::Sqlite => "series".to_owned(),
        }
    }

    fn chunks(&self) -> impl Iterator<Item = (usize, usize)> {
        let count = self.backlog.count;
        (1..count).step_by(CHUNK).map(move |from| (from, count.min(from + CHUNK)))
    }
}

async fn fill_postgres(database: &mut PgConnection, sql: &Copying<'_>, last: u64) -> Result<(), Failure> {
    for table in TABLES {
        let columns = "select column_name::text from information_schema.columns where table_schema = $1 and \
            table_name = $2 and is_generated = 'NEVER'";
        let columns = sqlx::query_scalar(columns).bind(sql.schema).bind(table);
        let columns: Vec<String> = columns.fetch_all(&mut *database).await?;
        for (from, to) in sql.chunks() {
            let copy = sql.operations(table, &columns, from, to);
            sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut *database).await?;
        }
    }
    for (table, epoch) in [("agents", ""), ("streams", "epoch")] {
        sqlx::raw_sql(AssertSqlSafe(sql.agents(table, epoch))).execute(&mut *database).await?;
    }
    let schema = sql.schema;
    let place = format!("select setval('{schema}.positions', {last})");
    sqlx::raw_sql(AssertSqlSafe(place)).execute(&mut *database).await?;
    // As if the database had had the time to look at what it has.
    for table in TABLES.into_iter().chain(["agents", "streams"]) {
        let look = format!("vacuum (analyze) {schema}.{table}");
        sqlx::raw_sql(AssertSqlSafe(look)).execute(&mut *database).await?;
    }
    sqlx::raw_sql("checkpoint").execute(&mut *database).await.ok();
    Ok(())
}

fn fill_sqlite(file: &Connection, sql: &Copying<'_>) -> Result<(), Failure> {
    let mut columns = file.prepare("select name from pragma_table_info('operations')")?;
    let columns: Vec<String> = columns.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for (from, to) in sql.chunks() {
        file.execute_batch(&sql.operations("operations", &columns, from, to))?;
    }
    file.execute_batch(&sql.agents("agents", ""))?;
    file.execute_batch("pragma wal_checkpoint(truncate)")?;
    Ok(())
}
