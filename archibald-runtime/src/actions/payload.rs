//! Reading payloads and journals, with complaints that name the field.

use archibald_core::error::FieldError;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::action::Interrupted;

/// Reads a payload; what is missing, unknown or of the wrong type is named by its JSON pointer.
pub(super) fn read<T: DeserializeOwned>(payload: &Value) -> Result<T, Vec<FieldError>> {
    serde_path_to_error::deserialize(payload).map_err(|error| {
        let pointer = pointer(error.path());
        vec![FieldError::new(pointer, error.into_inner().to_string())]
    })
}

/// What is left of a payload that has nothing more to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Takes a text of 1 to `max` characters out of a payload, for those who read the rest without it. What is no
/// object stays as it is: whoever reads the rest says so.
pub(super) fn take_text(
    payload: &mut Value,
    field: &str,
    max: usize,
) -> Result<Option<String>, Vec<FieldError>> {
    let Some(value) = payload.as_object_mut().and_then(|fields| fields.remove(field)) else {
        return Ok(None);
    };
    let pointer = format!("/{field}");
    let Value::String(text) = value else {
        return Err(vec![FieldError::new(pointer, "must be a text")]);
    };
    let mut complaints = Complaints::default();
    complaints.text(&pointer, &text, 1, max);
    complaints.result(Some(text))
}

/// Two parts of a payload, with the complaints of both.
pub(super) fn both<A, B>(
    first: Result<A, Vec<FieldError>>,
    second: Result<B, Vec<FieldError>>,
) -> Result<(A, B), Vec<FieldError>> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(mut errors), Err(more)) => {
            errors.extend(more);
            Err(errors)
        }
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}

/// Complaints for a person.
pub(super) fn in_words(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect::<Vec<_>>().join("; ")
}

/// A payload that was accepted once and cannot be read any more.
pub(super) fn rejected(errors: Vec<FieldError>) -> Interrupted {
    Interrupted::Rejected(in_words(&errors))
}

/// What an earlier attempt kept in the journal. An error says that another version wrote it.
pub(super) fn kept<T: DeserializeOwned>(journal: &Value) -> Result<T, String> {
    serde_json::from_value(journal.clone()).map_err(|error| format!("the journal cannot be read: {error}"))
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{key}"),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Collects complaints, so that a client learns of all of them at once.
#[derive(Default)]
pub(super) struct Complaints(Vec<FieldError>);

impl Complaints {
    /// A text that the ERP's field can hold and a form can carry.
    pub(super) fn text(&mut self, pointer: &str, text: &str, min: usize, max: usize) {
        let length = text.chars().count();
        if length < min || length > max {
            self.add(pointer, format!("must have {min} to {max} characters, got {length}"));
        } else if text.chars().any(char::is_control) {
            self.add(pointer, "must not contain control characters".to_owned());
        } else if text.trim() != text {
            // The ERP trims what is typed, and what it shows could then never equal what was wanted.
            self.add(pointer, "must not begin or end with white space".to_owned());
        }
    }

    /// A share of a hundred, as the ERP keeps it.
    pub(super) fn per_cent(&mut self, pointer: &str, value: Decimal) {
        if value < Decimal::ZERO || value > Decimal::ONE_HUNDRED {
            self.add(pointer, format!("must be 0 to 100, got {value}"));
        } else if value.normalize().scale() > 2 {
            self.add(pointer, format!("must have at most 2 decimals, got {value}"));
        }
    }

    pub(super) fn add(&mut self, pointer: &str, detail: String) {
        self.0.push(FieldError::new(pointer, detail));
    }

    pub(super) fn result<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}
