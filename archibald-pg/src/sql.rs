use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection, Postgres, SqlSafeStr, SqlStr};
use tokio::time::timeout;

use crate::tx::gone_silent;

/// The schema that the statements and migrations are written with.
const WRITTEN_WITH: &str = "archibald.";

macro_rules! statements {
    ($($name:ident),+ $(,)?) => {
        /// Every statement, for one schema; their texts are in `sql/`.
        pub(crate) struct Sql {
            $(pub(crate) $name: Statement,)+
            pub(crate) group_agents_waited: Statement,
            pub(crate) group_operations_waited: Statement,
            pub(crate) group_streams_waited: Statement,
            /// Whether a connection keeps what it prepared.
            pub(crate) prepared: bool,
        }

        impl Sql {
            pub(crate) fn of_schema(schema: &str, prepared: bool) -> Self {
                let plain = |text| Statement { text: in_schema(schema, text), prepared };
                let waited = |text| Statement { text: waited(&in_schema(schema, text)), prepared };
                Self {
                    group_agents_waited: waited(include_str!("../sql/group_agents.sql")),
                    group_operations_waited: waited(include_str!("../sql/group_operations.sql")),
                    group_streams_waited: waited(include_str!("../sql/group_streams.sql")),
                    $($name: plain(include_str!(concat!("../sql/", stringify!($name), ".sql"))),)+
                    prepared,
                }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, SqlStr)> {
                vec![$((stringify!($name), self.$name.text.clone())),+]
            }
        }
    };
}

statements! {
    agent_free,
    agent_lock,
    agent_make,
    agent_pause,
    agent_paused,
    emit,
    ended,
    epoch_events,
    epoch_lock,
    epoch_set,
    epoch_streams,
    events,
    events_prunable,
    events_prune,
    evidence_get,
    evidence_insert,
    group_agents,
    group_look,
    group_operations,
    group_standing,
    group_streams,
    group_write,
    head,
    heads,
    kept_agent_drop,
    kept_agent_get,
    kept_agent_keep,
    kept_agent_replace,
    kept_agents_list,
    kind_pause,
    kind_resume,
    notify,
    operation_get,
    operation_holder,
    operation_lock,
    operation_save,
    operations_forget,
    operations_list,
    operations_of_target,
    operations_shown,
    paused,
    pending_order_get,
    pending_orders_delete,
    pending_orders_get,
    pending_orders_list,
    pending_orders_shown,
    pending_orders_standing,
    pending_orders_write,
    renew,
    renew_noted,
    renewed_until,
    rows_delete,
    rows_get,
    rows_list,
    rows_write,
    stream_lock,
    stream_make,
    survey,
    tickets_of_agent,
    tickets_of_agents,
}

/// A text, and whether a connection prepares it once and keeps that. Where it does not, the server forgets it with
/// the next one, so that it has to be in a transaction behind a pooler that lends connections for one.
pub(crate) struct Statement {
    text: SqlStr,
    prepared: bool,
}

impl Statement {
    pub(crate) fn query(&self) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(self.text.clone()).persistent(self.prepared)
    }

    pub(crate) fn query_as<O>(&self) -> QueryAs<'static, Postgres, O, PgArguments>
    where
        O: for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_as(self.text.clone()).persistent(self.prepared)
    }

    pub(crate) fn query_scalar<O>(&self) -> QueryScalar<'static, Postgres, O, PgArguments>
    where
        (O,): for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(self.text.clone()).persistent(self.prepared)
    }
}

impl Sql {
    /// Carries out one of the statements by itself. A connection on which it failed, or took longer than `limit`, does
    /// not go back to its pool: a transaction may have begun on it that nobody ends. To be run to its end.
    pub(crate) async fn fetch_all(
        &self,
        mut connection: PoolConnection<Postgres>,
        limit: Duration,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let fetched = timeout(limit, self.fetch(&mut connection, query)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(gone_silent()));
        if fetched.is_err() {
            connection.close_on_drop();
        }
        fetched
    }

    async fn fetch(
        &self,
        connection: &mut PgConnection,
        query: Query<'static, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if self.prepared {
            return query.fetch_all(connection).await;
        }
        let mut tx = connection.begin().await?;
        let rows = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows)
    }
}

/// The same for who waits for locked rows.
fn waited(text: &SqlStr) -> SqlStr {
    AssertSqlSafe(Arc::<str>::from(text.as_str().replace(" skip locked", ""))).into_sql_str()
}

/// The text for a schema whose name [`PgOptions::check`](crate::PgOptions) has seen.
pub(crate) fn in_schema(schema: &str, text: &'static str) -> SqlStr {
    let prefix = format!("{schema}.");
    if prefix == WRITTEN_WITH {
        return SqlStr::from_static(text);
    }
    AssertSqlSafe(Arc::<str>::from(text.replace(WRITTEN_WITH, &prefix))).into_sql_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_a_statement_that_names_its_index_and_its_schema() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let all = Sql::of_schema("elsewhere", true).all();
        assert_eq!(files, all.iter().map(|(name, _)| (*name).to_owned()).collect());
        for (name, text) in all {
            let text = text.as_str();
            assert!(text.contains("Index") || text.contains("Every row"), "{name}: no word of its index");
            assert!(!text.contains(WRITTEN_WITH), "{name}");
            let mut commands = text.lines().filter(|line| !line.starts_with("--"));
            assert!(commands.all(|line| !line.contains(';')), "{name}: one statement");
        }
    }
}
