//! What is held back by hand, or because nothing else would help.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, OperationKind};
use crate::port::LoginError;
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

impl Pause {
    /// What is kept when it is asked for while another of the same scope stands: the newer counts, but of an agent's
    /// lock-out and anything else neither ends the other.
    #[must_use]
    pub fn over(self, standing: Option<Self>) -> Self {
        let is_of_agent = matches!(self.scope, PauseScope::Agent { .. });
        let standing = standing.filter(|standing| is_of_agent && standing.scope == self.scope);
        let Some(standing) = standing else { return self };
        let (older, newer) = (PauseReasons::read(&standing.why), PauseReasons::read(&self.why));
        if newer.lockout.is_none() && older.lockout.is_none() {
            return self;
        }
        let both =
            PauseReasons { other: newer.other.or(older.other), lockout: newer.lockout.or(older.lockout) };
        let why = both.to_string();
        match (newer.other, older.other) {
            (None, Some(_)) => Self { why, ..standing },
            _ => Self { why, ..self },
        }
    }

    /// What stays of it once its agent is locked out no more.
    #[must_use]
    pub fn unlocked(self) -> Option<Self> {
        let why = PauseReasons::read(&self.why).other.map(str::to_owned);
        why.map(|why| Self { why, ..self })
    }
}

/// Why an agent is paused: since its [login was refused](LoginError::is_lockout), for another reason, or for both.
/// They are one text, the lock-out last, and end one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PauseReasons<'a> {
    /// What a person said, or whoever else paused it.
    pub other: Option<&'a str>,
    /// What its login said.
    pub lockout: Option<&'a str>,
}

/// Between the two.
const AND: &str = "; ";

impl<'a> PauseReasons<'a> {
    /// The reasons in the text of a pause.
    #[must_use]
    pub fn read(why: &'a str) -> Self {
        let is_lockout = |text: &str| LoginError::LOCKOUTS.iter().any(|begins| text.starts_with(begins));
        if is_lockout(why) {
            return Self { other: None, lockout: Some(why) };
        }
        let mut ends = why.match_indices(AND).map(|(place, _)| (&why[..place], &why[place + AND.len()..]));
        match ends.find(|(_, behind)| is_lockout(behind)) {
            Some((other, lockout)) => Self { other: Some(other), lockout: Some(lockout) },
            None => Self { other: Some(why), lockout: None },
        }
    }
}

impl fmt::Display for PauseReasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { other, lockout } = self;
        f.write_str(other.unwrap_or_default())?;
        let between = if other.is_some() && lockout.is_some() { AND } else { "" };
        write!(f, "{between}{}", lockout.unwrap_or_default())
    }
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

    const LOCKED: &str = "the ERP refused the login of user \"nancy\": Account bloccato; no; the ERP refused the \
                          login of user \"nancy\"";

    #[test]
    fn a_lock_out_and_another_reason_stand_beside_each_other_and_end_one_by_one() {
        let at = |why: &str, drains, micros| Pause {
            scope: AgentId::new("nancy").unwrap().into(),
            why: why.to_owned(),
            drains,
            since: Timestamp::from_micros(micros),
        };
        let locked = at(LOCKED, false, 2);
        for by_hand in ["holidays; until Monday", "", "; ", "away, no credentials for agent nancy"] {
            let by_hand = at(by_hand, true, 1);
            assert_eq!(by_hand.clone().unlocked(), Some(by_hand.clone()));
            let both = locked.clone().over(Some(by_hand.clone()));
            assert_eq!((both.drains, both.since), (true, by_hand.since), "the person's stays as it was");
            assert!(LoginError::is_lockout(&both.why) && !LoginError::is_lockout(&by_hand.why));
            assert_eq!(locked.clone().over(Some(both.clone())), both, "once more is no more");
            assert_eq!(both.unlocked(), Some(by_hand.clone()));
            let both = by_hand.clone().over(Some(locked.clone()));
            assert_eq!(
                at("till noon", false, 3).over(Some(both.clone())).unlocked(),
                Some(at("till noon", false, 3))
            );
            assert_eq!(both.unlocked(), Some(by_hand.clone()), "and the same the other way round");
            assert_eq!(at("till noon", false, 3).over(Some(by_hand)), at("till noon", false, 3));
        }
        let newer = at("no credentials for agent nancy", false, 3);
        assert_eq!(newer.clone().over(Some(locked.clone())), newer);
        assert_eq!(locked.clone().over(None), locked);
        assert_eq!(locked.unlocked(), None);
    }
}
