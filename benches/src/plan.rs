//! What statements look at, as the database explains those that the store really makes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::Failure;
use crate::statements::Names;
use crate::store::{At, Opened};
use crate::wait::rounded;

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
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Looked {
    /// How often it was made.
    pub calls: u64,
    /// Rows that its scans came across, whether or not they were wanted.
    pub rows: f64,
    /// The same by their indexes, or by the tables that were read whole.
    pub by: BTreeMap<String, f64>,
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
    /// The part of one of so many.
    #[must_use]
    pub fn share(&self, of: u64) -> Self {
        let share = |whole: f64| rounded(whole / of as f64);
        let by = self.by.iter().map(|(name, rows)| (name.clone(), share(*rows)));
        Self {
            calls: self.calls.div_ceil(of),
            rows: share(self.rows),
            by: by.collect(),
            pages: share(self.pages),
        }
    }

    fn add(&mut self, plan: &Value) {
        self.calls += 1;
        self.pages += number(plan, "Shared Hit Blocks") + number(plan, "Shared Read Blocks");
        self.add_scans(plan);
    }

    /// Of tables and indexes; what is made up within the statement is nobody's backlog.
    fn add_scans(&mut self, plan: &Value) {
        if let Some("Seq Scan" | "Index Scan" | "Index Only Scan" | "Bitmap Heap Scan" | "Tid Scan") =
            plan["Node Type"].as_str()
        {
            let a_loop = number(plan, "Actual Rows")
                + number(plan, "Rows Removed by Filter")
                + number(plan, "Rows Removed by Index Recheck");
            let rows = a_loop * number(plan, "Actual Loops");
            let name = plan["Index Name"].as_str().or(plan["Relation Name"].as_str()).unwrap_or_default();
            self.rows += rows;
            *self.by.entry(name.to_owned()).or_default() += rows;
        }
        plan["Plans"].as_array().into_iter().flatten().for_each(|below| self.add_scans(below));
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
            \"Shared Read Blocks\": 2, \"Plans\": [{ \"Node Type\": \"Index Scan\", \"Index Name\": \"i\", \"Actual Rows\": 3,\n\t\
            \"Rows Removed by Filter\": 4, \"Actual Loops\": 2 }] } }\nx LOG:  done\n";
        let plans = plans(log);
        assert_eq!(plans.len(), 1);
        let mut looked = Looked::default();
        looked.add(&plans[0]["Plan"]);
        let by = |rows| BTreeMap::from([("i".to_owned(), rows)]);
        assert_eq!(looked, Looked { calls: 1, rows: 14.0, by: by(14.0), pages: 9.0 });
        assert_eq!(looked.share(2), Looked { calls: 1, rows: 7.0, by: by(7.0), pages: 4.5 });
    }
}
