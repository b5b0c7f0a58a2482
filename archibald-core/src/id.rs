//! Identifiers: small validated values, cheap to clone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that cannot be an identifier of this sort.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {expected}, got {got:?}")]
pub struct InvalidId {
    /// Which identifier was meant.
    pub what: &'static str,
    /// What would have been accepted.
    pub expected: &'static str,
    /// What was given, cut to 80 characters.
    pub got: String,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $expected:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and takes it.
            ///
            /// # Errors
            /// [`InvalidId`] says what would have been accepted.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                let allowed: fn(char) -> bool = $allowed;
                if text.is_empty() || text.chars().count() > $max || !text.chars().all(allowed) {
                    let got = text.chars().take(80).collect();
                    return Err(InvalidId { what: $what, expected: $expected, got });
                }
                Ok(Self(text.into()))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

text_id!(
    /// A sales agent: the unit of exclusion.
    AgentId, "agent", 64, "1 to 64 characters of a-z, 0-9, '.', '_' and '-'",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-')
);
text_id!(
    /// The name of a sort of operation, such as `submit-order`.
    OperationKind, "kind", 64, "1 to 64 characters of a-z, 0-9 and '-'",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
text_id!(
    /// The name of a schedule, such as `sync-orders`.
    ScheduleName, "schedule", 64, "1 to 64 characters of a-z, 0-9 and '-'",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
text_id!(
    /// The caller's own name for an operation: the same key twice is one operation (per agent).
    OperationKey, "key", 200, "1 to 200 characters without control characters",
    |c| !c.is_control()
);
text_id!(
    /// What an operation works on: a draft, an order or a customer, as `order:1042`.
    Target, "target", 200, "1 to 200 characters without control characters",
    |c| !c.is_control()
);
text_id!(
    /// A process that runs operations.
    WorkerId, "worker", 100, "1 to 100 characters of a-z, A-Z, 0-9, '.', '_', ':' and '-'",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-')
);
text_id!(
    /// The name of an effect within its operation, such as `save-order`.
    EffectName, "effect", 64, "1 to 64 characters of a-z, 0-9 and '-'",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
text_id!(
    /// A set of local rows that operations bring or write, such as `customers`.
    Collection, "collection", 64, "1 to 64 characters of a-z, 0-9, '_' and '-'",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-')
);

/// An operation; UUIDv7, made by whoever enqueues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub Uuid);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for OperationId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId {
            what: "operation",
            expected: "a UUID",
            got: text.chars().take(80).collect(),
        })
    }
}

/// A pending order; UUIDv7, made by whoever creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PendingOrderId(pub Uuid);

impl PendingOrderId {
    /// What operations on it wait for each other by.
    #[must_use]
    pub fn target(self) -> Target {
        Target::new(format!("{DRAFT}{self}")).expect("a UUID is short and has no control characters")
    }

    /// The pending order that a target names, if it names one.
    #[must_use]
    pub fn of_target(target: &Target) -> Option<Self> {
        target.as_str().strip_prefix(DRAFT)?.parse().ok()
    }
}

/// How the target of a draft begins.
const DRAFT: &str = "draft:";

impl fmt::Display for PendingOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for PendingOrderId {
    type Err = InvalidId;

    /// Only as it prints, so that one pending order has one target.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = Uuid::try_parse(text).ok().map(Self).filter(|id| id.to_string() == text);
        id.ok_or_else(|| InvalidId {
            what: "pending order",
            expected: "a UUID in lower case, with hyphens",
            got: text.chars().take(80).collect(),
        })
    }
}

/// Grows with every start of an operation of the agent; a write with an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_identifier_says_what_was_expected() {
        let error = AgentId::new("Nancy D").unwrap_err();
        assert_eq!(
            error.to_string(),
            "agent must be 1 to 64 characters of a-z, 0-9, '.', '_' and '-', got \"Nancy D\""
        );
        assert!(OperationKey::new("a\u{0}b").is_err());
        assert!(OperationKind::new("").is_err());
        assert!(serde_json::from_str::<AgentId>("\"nancy\"").is_ok());
        assert!(serde_json::from_str::<AgentId>("\"NANCY\"").is_err());
    }

    #[test]
    fn a_target_names_a_pending_order_in_one_way() {
        let id = PendingOrderId(Uuid::from_u128(0xabcdef));
        assert_eq!(PendingOrderId::of_target(&id.target()), Some(id));
        let simple = format!("draft:{}", id.0.simple());
        for other in ["draft:7", "order:7", simple.as_str(), &id.target().as_str().to_uppercase()] {
            assert_eq!(PendingOrderId::of_target(&Target::new(other).unwrap()), None, "{other}");
        }
    }
}
