use archibald_core::id::AgentId;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::{AuthError, Authenticator, Principal};

/// A token as a file names it: `value`, and `agent` or `scope = "operator"`.
///
/// Not `Debug`: the value is a secret.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// The token itself, as it is sent: printable ASCII without spaces.
    pub value: String,
    /// Whose it is; needed unless `scope` says operator.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// What it reaches; `agent` when absent.
    #[serde(default)]
    pub scope: TokenScope,
    /// What audits call its holder; the agent, or `operator`, when absent.
    #[serde(default)]
    pub name: Option<String>,
}

/// What a token reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// One agent.
    #[default]
    Agent,
    /// Everything.
    Operator,
}

impl TokenEntry {
    /// A token of an agent.
    pub fn agent(agent: AgentId, value: impl Into<String>) -> Self {
        Self { value: value.into(), agent: Some(agent), scope: TokenScope::Agent, name: None }
    }

    /// A token that reaches everything.
    pub fn operator(value: impl Into<String>) -> Self {
        Self { value: value.into(), agent: None, scope: TokenScope::Operator, name: None }
    }
}

/// A token that cannot be used. `number` counts from 1, as a reader of the file would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It could never be sent.
    #[error("token {number}: value must be printable ASCII without spaces, and not empty")]
    Value {
        /// Which one.
        number: usize,
    },
    /// It says too little or too much.
    #[error("token {number}: give either agent, or scope = \"operator\"")]
    Scope {
        /// Which one.
        number: usize,
    },
    /// Two holders of one token cannot be told apart.
    #[error("token {number}: the same value as token {earlier}")]
    Repeated {
        /// Which one.
        number: usize,
        /// The one before it.
        earlier: usize,
    },
}

/// Opaque tokens, kept as SHA-256 digests and compared in constant time.
#[derive(Clone)]
pub struct TokenSet {
    known: Vec<([u8; 32], Principal)>,
}

impl TokenSet {
    /// Checks and takes tokens.
    ///
    /// # Errors
    /// [`InvalidToken`] names the first that cannot be used.
    pub fn new(entries: impl IntoIterator<Item = TokenEntry>) -> Result<Self, InvalidToken> {
        let mut known: Vec<([u8; 32], Principal)> = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let number = index + 1;
            if entry.value.is_empty() || !entry.value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(InvalidToken::Value { number });
            }
            let digest = digest(&entry.value);
            if let Some(earlier) = known.iter().position(|(other, _)| *other == digest) {
                return Err(InvalidToken::Repeated { number, earlier: earlier + 1 });
            }
            known.push((digest, holder(entry).ok_or(InvalidToken::Scope { number })?));
        }
        Ok(Self { known })
    }
}

#[async_trait]
impl Authenticator for TokenSet {
    async fn authenticate(&self, token: &str) -> Result<Principal, AuthError> {
        let digest = digest(token);
        // Every token is compared, also after a match: the time tells nothing of which one it was.
        let mut found = None;
        for (known, principal) in &self.known {
            let same: Choice = known[..].ct_eq(&digest[..]);
            if bool::from(same) {
                found = Some(principal);
            }
        }
        found.cloned().ok_or(AuthError::Refused)
    }
}

fn holder(entry: TokenEntry) -> Option<Principal> {
    let principal = match (entry.scope, entry.agent) {
        (TokenScope::Agent, Some(agent)) => Principal::agent(agent),
        (TokenScope::Operator, None) => Principal::operator("operator"),
        (TokenScope::Agent, None) | (TokenScope::Operator, Some(_)) => return None,
    };
    Some(Principal { name: entry.name.unwrap_or_else(|| principal.name.clone()), ..principal })
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nancy() -> AgentId {
        AgentId::new("nancy").unwrap()
    }

    #[tokio::test]
    async fn a_token_names_its_holder_and_nothing_else_does() {
        let tokens =
            TokenSet::new([TokenEntry::agent(nancy(), "of-nancy"), TokenEntry::operator("of-all")]).unwrap();
        assert_eq!(tokens.authenticate("of-nancy").await.unwrap(), Principal::agent(nancy()));
        assert_eq!(tokens.authenticate("of-all").await.unwrap(), Principal::operator("operator"));
        for wrong in ["", "of-nanc", "of-nancyy", "OF-NANCY"] {
            assert!(matches!(tokens.authenticate(wrong).await, Err(AuthError::Refused)), "{wrong}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_used_is_named() {
        let check = |entries: Vec<TokenEntry>| TokenSet::new(entries).err().unwrap();
        let good = TokenEntry::operator("a");
        assert_eq!(check(vec![TokenEntry::operator("a b")]), InvalidToken::Value { number: 1 });
        assert_eq!(check(vec![good.clone(), good.clone()]), InvalidToken::Repeated { number: 2, earlier: 1 });
        let both = TokenEntry { agent: Some(nancy()), ..good.clone() };
        assert_eq!(check(vec![both]), InvalidToken::Scope { number: 1 });
        let neither = TokenEntry { scope: TokenScope::Agent, ..good };
        assert_eq!(check(vec![neither]).to_string(), "token 1: give either agent, or scope = \"operator\"");
    }

    #[test]
    fn an_entry_reads_as_the_file_has_it() {
        let entry: TokenEntry = serde_json::from_str(r#"{"value":"x","scope":"operator"}"#).unwrap();
        assert_eq!(entry.scope, TokenScope::Operator);
        assert!(serde_json::from_str::<TokenEntry>(r#"{"value":"x","agnet":"nancy"}"#).is_err());
    }
}
