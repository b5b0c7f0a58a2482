use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// The schema that the statements and migrations are written with.
const WRITTEN_WITH: &str = "archibald.";

macro_rules! statements {
    ($($name:ident),+ $(,)?) => {
        /// Every statement, for one schema; their texts are in `sql/`.
        pub(crate) struct Sql {
            $(pub(crate) $name: SqlStr,)+
            pub(crate) group_agents_waited: SqlStr,
            pub(crate) group_operations_waited: SqlStr,
            pub(crate) group_streams_waited: SqlStr,
        }

        impl Sql {
            pub(crate) fn of_schema(schema: &str) -> Self {
                let waited = |text| waited(&in_schema(schema, text));
                Self {
                    group_agents_waited: waited(include_str!("../sql/group_agents.sql")),
                    group_operations_waited: waited(include_str!("../sql/group_operations.sql")),
                    group_streams_waited: waited(include_str!("../sql/group_streams.sql")),
                    $($name: in_schema(schema, include_str!(concat!("../sql/", stringify!($name), ".sql")))),+
                }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<(&'static str, SqlStr)> {
                vec![$((stringify!($name), self.$name.clone())),+]
            }
        }
    };
}

statements! {
    agent_free,
    agent_lock,
    agent_make,
    agent_pause,
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
    group_operations,
    group_standing,
    group_streams,
    group_write,
    head,
    heads,
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
        let all = Sql::of_schema("elsewhere").all();
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
