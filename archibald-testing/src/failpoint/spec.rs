use std::fmt;
use std::str::FromStr;

use archibald_core::id::AgentId;

use super::points::{POINTS, Point};

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The process dies as by kill -9.
    Kill,
    /// The process stands still as by SIGSTOP, until somebody sends SIGCONT.
    Stop,
    /// What passes panics.
    Panic,
    /// The call fails as if the connection to the store were lost: before, it is not made; after, its answer is.
    Cut,
    /// What passes is held until the file is removed.
    Hold,
    /// The same, and the agent's lease counts as lost from here on: what can be dropped is dropped.
    Drop,
    /// The agent's lease is taken away in the store, and what passes goes on.
    Revoke,
}

/// A point, what happens there, and whose call it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Which point.
    pub point: &'static Point,
    /// What happens.
    pub kind: Kind,
    /// Only in calls for this agent.
    pub agent: Option<AgentId>,
}

/// A text that is no spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Too few or too many parts.
    #[error("a failpoint must be NAME:KIND or NAME:KIND:AGENT, got {0:?}")]
    Shape(String),
    /// No such point.
    #[error("there is no failpoint {0:?}")]
    Point(String),
    /// No such kind.
    #[error("a failpoint's kind must be one of {known}, got {got:?}", known = names(), got = .0)]
    Kind(String),
    /// No name of an agent.
    #[error("a failpoint's agent must be the id of one, got {0:?}")]
    Agent(String),
}

const KINDS: [(Kind, &str); 7] = [
    (Kind::Kill, "kill"),
    (Kind::Stop, "stop"),
    (Kind::Panic, "panic"),
    (Kind::Cut, "cut"),
    (Kind::Hold, "hold"),
    (Kind::Drop, "drop"),
    (Kind::Revoke, "revoke"),
];

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (name, kind, agent) = match parts.as_slice() {
            [name, kind] => (*name, *kind, None),
            [name, kind, agent] => (*name, *kind, Some(*agent)),
            _ => return Err(SpecError::Shape(text.to_owned())),
        };
        let point = POINTS.iter().find(|point| point.name == name);
        let point = point.ok_or_else(|| SpecError::Point(name.to_owned()))?;
        let known = KINDS.iter().find(|(_, known)| *known == kind);
        let (kind, _) = *known.ok_or_else(|| SpecError::Kind(kind.to_owned()))?;
        let agent = agent.map(|agent| AgentId::new(agent).map_err(|_| SpecError::Agent(agent.to_owned())));
        Ok(Self { point, kind, agent: agent.transpose()? })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.point.name, self.kind)?;
        self.agent.as_ref().map_or(Ok(()), |agent| write!(f, ":{agent}"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

fn names() -> String {
    KINDS.map(|(_, name)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_reads_as_it_is_written() {
        for text in ["store.intend.before:kill", "page.1:panic:nancy", "effect.released:drop"] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        let cases = [
            ("store.intend.before", "NAME:KIND"),
            ("a:b:c:d", "NAME:KIND"),
            ("store.intend:kill", "no failpoint \"store.intend\""),
            ("page.1:explode", "one of kill, stop"),
            ("page.1:kill:Nancy", "agent"),
        ];
        for (text, said) in cases {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
