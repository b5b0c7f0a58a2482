//! Between rows of the file and words of the core.

use archibald_core::error::{Cause, StoreError};
use archibald_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// What a statement that failed means to the caller.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    if is_damage(&error) {
        return StoreError::damaged("the SQLite file", error);
    }
    StoreError::unavailable("the SQLite file", error)
}

/// Whether SQLite says that the file is damaged.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// SQLite's code of an error, without what it adds for details.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

const SQLITE_CORRUPT: u32 = 11;
const SQLITE_NOTADB: u32 = 26;

pub(crate) fn column<'r, T>(row: &'r SqliteRow, n: usize) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(n).map_err(|error| StoreError::damaged(format!("column {n} of a row"), error))
}

pub(crate) fn column_u64(row: &SqliteRow, n: usize) -> Result<u64, StoreError> {
    let value: i64 = column(row, n)?;
    u64::try_from(value).map_err(|error| StoreError::damaged(format!("column {n} of a row"), error))
}

pub(crate) fn column_time(row: &SqliteRow, n: usize) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(column(row, n)?))
}

/// The document in the first column.
pub(crate) fn doc<T: DeserializeOwned>(row: &SqliteRow) -> Result<T, StoreError> {
    from_json(column(row, 0)?)
}

pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged("a stored document", error))
}

pub(crate) fn optional_doc<T: DeserializeOwned>(
    row: Result<Option<SqliteRow>, sqlx::Error>,
) -> Result<Option<T>, StoreError> {
    row.map_err(failed)?.map(|row| doc(&row)).transpose()
}

pub(crate) fn parsed<T>(text: String) -> Result<T, StoreError>
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
