//! Between the core's values and the database's.

use archibald_core::error::StoreError;
use archibald_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// The database counts microseconds from 2000-01-01.
const FROM_1970_TO_2000: i64 = 946_684_800_000_000;

/// A [`Timestamp`] as `timestamptz`, exact to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At(pub(crate) Timestamp);

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for At {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for At {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.0.as_micros() - FROM_1970_TO_2000, buffer)
    }
}

impl Decode<'_, Postgres> for At {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("a time must come in binary".into());
        }
        let micros: i64 = Decode::<Postgres>::decode(value)?;
        Ok(Self(Timestamp::from_micros(micros.saturating_add(FROM_1970_TO_2000))))
    }
}

/// As JSON text, for a `json` column.
pub(crate) fn to_json(what: &str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::damaged(format!("{what} as JSON"), error))
}

/// From the text of a `json` column.
pub(crate) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged(what, error))
}

/// A number that grows from 0 and fits the database's.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that the database never has below 0.
pub(crate) fn to_u64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Words for a person, in a `text` column: U+0000 cannot be stored there.
pub(crate) fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Where a value has something that could not be read back, and what that is: U+0000, which no text of
/// PostgreSQL can have, so that nobody could look into the payload by SQL; or nesting beyond what a JSON
/// reader takes.
pub(crate) fn unstorable(value: &Value) -> Option<(String, &'static str)> {
    find_unstorable(value, &mut String::new(), 0)
}

/// Well below the 128 of the JSON reader.
const DEEPEST: usize = 100;

fn find_unstorable(value: &Value, pointer: &mut String, depth: usize) -> Option<(String, &'static str)> {
    const NUL: &str = "must not contain the character U+0000";
    if depth > DEEPEST {
        return Some((pointer.clone(), "must not be nested deeper than 100 levels"));
    }
    let mut step = |name: &str, part: &Value| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1").replace('\0', "\u{fffd}"));
        let found = match name.contains('\0') {
            true => Some((pointer.clone(), NUL)),
            false => find_unstorable(part, pointer, depth + 1),
        };
        pointer.truncate(length);
        found
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
        Value::String(text) => text.contains('\0').then(|| (pointer.clone(), NUL)),
        Value::Array(parts) => parts.iter().enumerate().find_map(|(n, part)| step(&n.to_string(), part)),
        Value::Object(fields) => fields.iter().find_map(|(name, part)| step(name, part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn says_where_a_payload_cannot_be_stored() {
        let place = |value: Value| unstorable(&value).map(|(pointer, _)| pointer);
        assert_eq!(place(json!({ "lines": [{ "product": "A\u{1}" }] })), None);
        assert_eq!(place(json!({ "lines": [1, { "a/b": "A\0" }] })), Some("/lines/1/a~1b".into()));
        assert_eq!(place(json!({ "k\0": 1 })), Some("/k\u{fffd}".into()));
        assert_eq!(place(json!("\0")), Some(String::new()));
        let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(place(deep(100)), None);
        assert!(place(deep(101)).is_some());
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        for number in [json!(1e16), json!(0.1), json!(1.0), json!(9.071992547409917e16), json!(u64::MAX)] {
            let text = to_json("a number", &number).unwrap();
            assert_eq!(from_json::<Value>("a number", &text).unwrap(), number);
        }
    }
}
