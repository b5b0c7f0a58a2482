//! Between rows of the file and words of the core.

use archibald_core::error::{Cause, StoreError};
use archibald_core::time::Timestamp;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Error, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a statement that failed means to the caller.
pub(crate) fn failed(error: Error) -> StoreError {
    if is_damage(&error) {
        return StoreError::damaged("the SQLite file", error);
    }
    StoreError::unavailable("the SQLite file", error)
}

/// Whether SQLite says that the file is damaged.
pub(crate) fn is_damage(error: &Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// SQLite's code of an error, without what it adds for details.
pub(crate) fn primary_code(error: &Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code & 0xff)
}

const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// Runs a statement that returns nothing: how many rows it changed.
pub(crate) fn execute(
    conn: &Connection,
    sql: &'static str,
    values: impl Params,
) -> Result<usize, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(failed)?;
    statement.execute(values).map_err(failed)
}

/// The first row, if there is one.
pub(crate) fn optional<T>(
    conn: &Connection,
    sql: &'static str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(values).map_err(failed)?;
    rows.next().map_err(failed)?.map(read).transpose()
}

/// The first row of a statement that always has one.
pub(crate) fn required<T>(
    conn: &Connection,
    sql: &'static str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    optional(conn, sql, values, read)?.ok_or_else(|| failed(Error::QueryReturnedNoRows))
}

/// All rows.
pub(crate) fn all<T>(
    conn: &Connection,
    sql: &'static str,
    values: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(values).map_err(failed)?;
    let mut found = vec![];
    while let Some(row) = rows.next().map_err(failed)? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(crate) fn column<T: FromSql>(row: &Row<'_>, n: usize) -> Result<T, StoreError> {
    row.get(n).map_err(|error| damaged_column(n, error))
}

pub(crate) fn column_u64(row: &Row<'_>, n: usize) -> Result<u64, StoreError> {
    u64::try_from(column::<i64>(row, n)?).map_err(|error| damaged_column(n, error))
}

pub(crate) fn column_time(row: &Row<'_>, n: usize) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(column(row, n)?))
}

/// A text where it lies.
pub(crate) fn column_text<'r>(row: &'r Row<'_>, n: usize) -> Result<&'r str, StoreError> {
    let value = row.get_ref(n).map_err(|error| damaged_column(n, error))?;
    value.as_str().map_err(|error| damaged_column(n, error))
}

fn damaged_column(n: usize, cause: impl Into<Cause>) -> StoreError {
    StoreError::damaged(format!("column {n} of a row"), cause)
}

/// The document in the first column.
pub(crate) fn doc<T: DeserializeOwned>(row: &Row<'_>) -> Result<T, StoreError> {
    from_json(column_text(row, 0)?)
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged("a stored document", error))
}

/// A column with the text of something that has a name.
pub(crate) fn parsed<T>(row: &Row<'_>, n: usize) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err: Into<Cause>>,
{
    parsed_text(column_text(row, n)?)
}

pub(crate) fn parsed_text<T>(text: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr<Err: Into<Cause>>,
{
    text.parse().map_err(|error| StoreError::damaged(format!("the stored name {text:?}"), error))
}

pub(crate) fn written(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::damaged("a document to be stored", error))
}

/// A unit variant's name on the wire.
pub(crate) fn name_of(value: &impl Serialize) -> Result<String, StoreError> {
    Ok(written(value)?.trim_matches('"').to_owned())
}

/// SQLite's integers have a sign; nothing here counts that far.
pub(crate) fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
