//! What is held back by hand, or because nothing else would help.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, OperationKind};
use crate::time::Timestamp;

/// What a pause is about. Pauses of different scopes have nothing to do with each other: an operation starts when
/// none is about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum PauseScope {
    /// Every operation.
    Everything,
    /// The operations of one kind, whoever's they are. Those of other kinds go past them, unless they are for the
    /// same target and came later.
    Kind {
        /// Which kind.
        kind: OperationKind,
    },
    /// The operations of one agent.
    Agent {
        /// Whose.
        agent: AgentId,
    },
}

impl PauseScope {
    /// The kind, if it is about one.
    #[must_use]
    pub fn kind(&self) -> Option<&OperationKind> {
        match self {
            Self::Kind { kind } => Some(kind),
            Self::Everything | Self::Agent { .. } => None,
        }
    }

    /// Whether it is about an operation of this agent and kind.
    #[must_use]
    pub fn is_about(&self, of: &AgentId, what: &OperationKind) -> bool {
        match self {
            Self::Everything => true,
            Self::Kind { kind } => kind == what,
            Self::Agent { agent } => agent == of,
        }
    }
}

impl From<AgentId> for PauseScope {
    fn from(agent: AgentId) -> Self {
        Self::Agent { agent }
    }
}

impl From<OperationKind> for PauseScope {
    fn from(kind: OperationKind) -> Self {
        Self::Kind { kind }
    }
}

impl fmt::Display for PauseScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Kind { kind } => write!(f, "kind {kind}"),
            Self::Agent { agent } => write!(f, "agent {agent}"),
        }
    }
}

/// Nothing that it is about is started until it is resumed; what runs goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What it is about.
    #[serde(flatten)]
    pub scope: PauseScope,
    /// For those who ask why.
    pub why: String,
    /// Whether what runs in the background is also asked to give way, unless it may have changed the ERP.
    pub drains: bool,
    /// Since when.
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_back_as_it_was_written() {
        let kind = OperationKind::new("sync-orders").unwrap();
        let agent = AgentId::new("nancy").unwrap();
        for (scope, words) in [
            (PauseScope::Everything, r#"{"scope":"everything","#),
            (kind.into(), r#"{"scope":"kind","kind":"sync-orders","#),
            (agent.into(), r#"{"scope":"agent","agent":"nancy","#),
        ] {
            let pause = Pause { scope, why: "by hand".to_owned(), drains: true, since: Timestamp::EPOCH };
            let text = serde_json::to_string(&pause).unwrap();
            assert!(text.starts_with(words), "{text}");
            assert_eq!(serde_json::from_str::<Pause>(&text).unwrap(), pause);
        }
    }
}
