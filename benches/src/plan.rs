//! What statements look at, as the database explains those that the store really makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::Failure;
use crate::statements::Names;
use crate::store::{At, Opened};

/// Every plan is written to the server's log, as EXPLAIN (ANALYZE, BUFFERS) gives it, of all connections that
/// are made after this.
const ON: &str = "do $$ begin
    execute format('alter database %I set session_preload_libraries = auto_explain', current_database());
    execute format('alter database %I set auto_explain.log_min_duration = 0', current_database());
    execute format('alter database %I set auto_explain.log_analyze = on', current_database());
    execute format('alter database %I set auto_explain.log_buffers = on', current_database());
    execute format('alter database %I set auto_explain.log_timing = off', current_database());
    execute format('alter database %I set auto_explain.log_format = json', current_database());
end $$";

/// A server that explains what it does, until the database is left.
#[derive(Debug)]
pub struct Explained {
    log: PathBuf,
    names: Names,
}

/// What a statement looked at, over several calls.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Looked {
    /// How often it was made.
    pub calls: u64,
    /// Rows that its scans came across, whether or not they were wanted.
    pub rows: f64,
    /// Pages, in memory or on disk.
    pub pages: f64,
}

impl Explained {
    /// Opens the store anew so that all is explained; `None` where the server is not ours.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(mut opened: Opened) -> Result<(Opened, Option<Self>), Failure> {
        let At::Postgres { ours: Some(ours), .. } = opened.place() else { return Ok((opened, None)) };
        let (log, names) = (ours.log.clone(), Names::of_schema(opened.schema())?);
        let database = opened.database().ok_or("a database without a connection")?;
        sqlx::raw_sql(ON).execute(database).await?;
        Ok((opened.reopen().await?, Some(Self { log, names })))
    }

    /// What was explained since, by the statements' files; what is nobody's is left out.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn read(&self, since: usize) -> Result<BTreeMap<String, Looked>, Failure> {
        let log = fs::read(&self.log)?;
        let log = String::from_utf8_lossy(log.get(since..).unwrap_or_default());
        let mut looked: BTreeMap<String, Looked> = BTreeMap::new();
        for explained in plans(&log) {
            let name = self.names.name(explained["Query Text"].as_str().unwrap_or_default());
            if name.ends_with(".sql") {
                looked.entry(name).or_default().add(&explained["Plan"]);
            }
        }
        Ok(looked)
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    pub fn end(&self) -> Result<usize, Failure> {
        Ok(usize::try_from(fs::metadata(&self.log)?.len())?)
    }
}

impl Looked {
    fn add(&mut self, plan: &Value) {
        self.calls += 1;
        self.rows += rows(plan);
        self.pages += number(plan, "Shared Hit Blocks") + number(plan, "Shared Read Blocks");
    }
}

/// The documents in a log: each follows a line that says so, and its own lines are indented.
fn plans(log: &str) -> Vec<Value> {
    let mut plans = vec![];
    let mut document: Option<String> = None;
    for line in log.lines().chain([""]) {
        if let (Some(text), Some(inside)) = (document.as_mut(), line.strip_prefix('\t')) {
            text.push_str(inside);
            text.push('\n');
            continue;
        }
        plans.extend(document.take().and_then(|text| serde_json::from_str(&text).ok()));
        document = line.ends_with("plan:").then(String::new);
    }
    plans
}

/// Of tables and indexes; what is made up within the statement is nobody's backlog.
fn rows(plan: &Value) -> f64 {
    let own = match plan["Node Type"].as_str() {
        Some("Seq Scan" | "Index Scan" | "Index Only Scan" | "Bitmap Heap Scan" | "Tid Scan") => {
            let a_loop = number(plan, "Actual Rows")
                + number(plan, "Rows Removed by Filter")
                + number(plan, "Rows Removed by Index Recheck");
            a_loop * number(plan, "Actual Loops")
        }
        _ => 0.0,
    };
    let below = plan["Plans"].as_array();
    own + below.into_iter().flatten().map(rows).sum::<f64>()
}

fn number(plan: &Value, field: &str) -> f64 {
    plan[field].as_f64().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_in_a_log_is_read_with_all_that_its_scans_came_across() {
        let log = "x LOG:  ready\nx LOG:  duration: 1 ms  plan:\n\t{ \"Query Text\": \"select 1\",\n\t\"Plan\": \
            { \"Node Type\": \"Limit\", \"Actual Rows\": 1, \"Actual Loops\": 1, \"Shared Hit Blocks\": 7,\n\t\
            \"Shared Read Blocks\": 2, \"Plans\": [{ \"Node Type\": \"Index Scan\", \"Actual Rows\": 3,\n\t\
            \"Rows Removed by Filter\": 4, \"Actual Loops\": 2 }] } }\nx LOG:  done\n";
        let plans = plans(log);
        assert_eq!(plans.len(), 1);
        let mut looked = Looked::default();
        looked.add(&plans[0]["Plan"]);
        assert_eq!(looked, Looked { calls: 1, rows: 14.0, pages: 9.0 });
    }
}
