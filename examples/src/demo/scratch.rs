//! The folder of one run: what the programs are configured with, their logs, the store.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use archibald_core::id::AgentId;
use archibald_testing::data::{DataSet, password_of};
use rand::RngExt;
use serde::Serialize;
use tempfile::TempDir;

use super::error::DemoError;

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

/// Who may ask the server what.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// By agent.
    pub(crate) agents: BTreeMap<AgentId, String>,
    /// Reaches everything.
    pub(crate) operator: String,
}

#[derive(Serialize)]
struct AgentsFile<'a> {
    agent: Vec<AgentEntry<'a>>,
}

#[derive(Serialize)]
struct AgentEntry<'a> {
    id: &'a str,
    user: &'a str,
    password: String,
}

#[derive(Serialize)]
struct TokensFile<'a> {
    token: Vec<TokenEntry<'a>>,
}

#[derive(Serialize)]
struct TokenEntry<'a> {
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
}

impl Scratch {
    /// A folder that only we can enter.
    ///
    /// # Errors
    /// [`DemoError::Io`].
    pub(crate) fn create() -> Result<Self, DemoError> {
        let ours = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("archibald-demo-").permissions(ours).tempdir();
        folder.map(Self).map_err(DemoError::io("a temporary folder cannot be made"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A folder in it that only we can enter.
    ///
    /// # Errors
    /// [`DemoError::Io`].
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, DemoError> {
        let path = self.path(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map(|()| path).map_err(DemoError::io("a temporary folder cannot be made"))
    }

    /// Writes the agents file.
    ///
    /// # Errors
    /// [`DemoError::Io`].
    pub(crate) fn write_agents(&self, data: &DataSet) -> Result<PathBuf, DemoError> {
        let users = data.agents.iter().map(|agent| agent.user.as_str());
        let entry = |user| AgentEntry { id: user, user, password: password_of(user) };
        self.write("agents.toml", &AgentsFile { agent: users.map(entry).collect() })
    }

    /// Writes the tokens file.
    ///
    /// # Errors
    /// [`DemoError::Io`].
    pub(crate) fn write_tokens(&self, tokens: &Tokens) -> Result<PathBuf, DemoError> {
        let agents = tokens.agents.iter();
        let mut entries: Vec<TokenEntry<'_>> =
            agents.map(|(id, value)| TokenEntry { value, agent: Some(id.as_str()), scope: None }).collect();
        entries.push(TokenEntry { value: &tokens.operator, agent: None, scope: Some("operator") });
        self.write("tokens.toml", &TokensFile { token: entries })
    }

    fn write(&self, name: &str, content: &impl Serialize) -> Result<PathBuf, DemoError> {
        let path = self.path(name);
        let text = toml::to_string(content).map_err(std::io::Error::other);
        let written = text.and_then(|text| write_secret(&path, &text));
        written.map_err(DemoError::io(format!("{} cannot be written", path.display())))?;
        Ok(path)
    }
}

impl Tokens {
    /// New ones, for these agents.
    pub(crate) fn random(agents: &[AgentId]) -> Self {
        let agents = agents.iter().map(|agent| (agent.clone(), random_token())).collect();
        Self { agents, operator: random_token() }
    }

    /// One more, which no server knows.
    pub(crate) fn one() -> String {
        random_token()
    }

    pub(crate) fn of(&self, agent: &AgentId) -> &str {
        self.agents.get(agent).map_or("", String::as_str)
    }
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn random_token() -> String {
    let bytes: [u8; 16] = rand::rng().random();
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_ours_alone_and_gone_with_the_run() {
        let scratch = Scratch::create().unwrap();
        let folder = scratch.path("").clone();
        let agent = AgentId::new("nancy").unwrap();
        let tokens = Tokens::random(std::slice::from_ref(&agent));
        let agents = scratch.write_agents(&DataSet::generate(1, 2, 4)).unwrap();
        let file = scratch.write_tokens(&tokens).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&agents), mode(&file)), (0o700, 0o600, 0o600));
        let text = std::fs::read_to_string(&agents).unwrap();
        assert!(
            text.contains("[[agent]]\nid = \"nancy\"\nuser = \"nancy\"\npassword = \"nancy-secret\"\n"),
            "{text}"
        );
        let text = std::fs::read_to_string(&file).unwrap();
        let nancy = tokens.of(&agent);
        assert!(text.contains(&format!("[[token]]\nvalue = \"{nancy}\"\nagent = \"nancy\"\n")), "{text}");
        assert!(text.contains("scope = \"operator\""), "{text}");
        assert_eq!(nancy.len(), 32);
        drop(scratch);
        assert!(!folder.exists());
    }
}
