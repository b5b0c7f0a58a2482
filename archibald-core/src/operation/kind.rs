use serde::{Deserialize, Serialize};

/// Who goes first within an agent. It comes with the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody waits for it.
    Interactive,
    /// A sync: gives way to interactive operations of its agent.
    Background,
}
