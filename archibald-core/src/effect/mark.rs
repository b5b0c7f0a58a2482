use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::OperationId;

/// Characters of the mark itself: 45 bits in Crockford's base 32.
pub const MARK_LENGTH: usize = 9;
/// Characters that the ERP's reference field holds.
pub const REFERENCE_LIMIT: usize = 40;
/// Characters of it that the agent's own text may have; the rest is the separator and the mark.
pub const OWN_TEXT_LIMIT: usize = REFERENCE_LIMIT - MARK_LENGTH - 1;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SEPARATOR: char = '~';

/// What an order carries in its reference at the ERP so that it is recognised as one operation's.
///
/// Derived from the operation's id alone and so stable over retries and redrives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(String);

/// The agent's own reference text leaves no room for the mark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the reference may have {OWN_TEXT_LIMIT} characters, got {0}")]
pub struct ReferenceTooLong(pub usize);

impl Mark {
    /// The mark of an operation.
    #[must_use]
    pub fn of(operation: OperationId) -> Self {
        let digest = Sha256::digest(operation.0.as_bytes());
        let bits = digest.iter().take(8).fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let text = (0..MARK_LENGTH)
            .map(|place| char::from(ALPHABET[((bits >> (place * 5)) & 31) as usize]))
            .collect();
        Self(text)
    }

    /// The mark behind the agent's own text.
    ///
    /// # Errors
    /// [`ReferenceTooLong`] when the text has more than [`OWN_TEXT_LIMIT`] characters; it is never cut.
    pub fn stamp(&self, own: &str) -> Result<String, ReferenceTooLong> {
        let length = own.chars().count();
        if length > OWN_TEXT_LIMIT {
            return Err(ReferenceTooLong(length));
        }
        Ok(format!("{own}{SEPARATOR}{}", self.0))
    }

    /// The mark that a reference ends with, if it ends with one.
    #[must_use]
    pub fn read(reference: &str) -> Option<Self> {
        let (_, text) = reference.rsplit_once(SEPARATOR)?;
        let whole = text.len() == MARK_LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte));
        whole.then(|| Self(text.to_owned()))
    }

    /// The mark with its separator, as it can be searched for in the reference field.
    #[must_use]
    pub fn search_text(&self) -> String {
        format!("{SEPARATOR}{}", self.0)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_mark_is_read_back_from_behind_the_agents_text() {
        let mark = Mark::of(OperationId(Uuid::from_u128(1)));
        assert_eq!(mark, Mark::of(OperationId(Uuid::from_u128(1))));
        assert_ne!(mark, Mark::of(OperationId(Uuid::from_u128(2))));
        for own in ["", "Fiera ~ Verona", "è così"] {
            assert_eq!(Mark::read(&mark.stamp(own).unwrap()), Some(mark.clone()));
        }
        let longest = "x".repeat(OWN_TEXT_LIMIT);
        assert_eq!(mark.stamp(&longest).unwrap().chars().count(), REFERENCE_LIMIT);
        assert_eq!(mark.stamp(&format!("{longest}x")), Err(ReferenceTooLong(31)));
        for foreign in ["", "~", "~short", "Fiera~abcdefghi", "no mark"] {
            assert_eq!(Mark::read(foreign), None, "{foreign}");
        }
    }
}
