//! The files that name agents and tokens.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use archibald_core::id::AgentId;
use archibald_core::port::{CredentialProvider, Credentials};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct FileError {
    path: String,
    what: String,
}

impl FileError {
    pub(super) fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.display().to_string(), what: what.into() }
    }
}

/// The agents of this process and how they log in.
#[derive(Debug, Clone, Default)]
pub struct Agents(BTreeMap<AgentId, Credentials>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentsFile {
    agent: Vec<AgentEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentEntry {
    id: AgentId,
    user: String,
    password: Option<String>,
    password_env: Option<String>,
}

impl Agents {
    /// Reads an agents file.
    ///
    /// # Errors
    /// [`FileError`] names the file, the agent and what was expected; a file with passwords that others may
    /// read is refused.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let file: AgentsFile = read_toml(path)?;
        let mut agents = BTreeMap::new();
        for entry in file.agent {
            let password = password_of(path, &entry)?;
            let credentials = Credentials { user: entry.user, password };
            if agents.insert(entry.id.clone(), credentials).is_some() {
                return Err(FileError::new(path, format!("agent {} is named twice", entry.id)));
            }
        }
        Ok(Self(agents))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (AgentId, Credentials)> {
        self.0.clone().into_iter()
    }

    /// With these.
    #[must_use]
    pub fn of(agents: impl IntoIterator<Item = (AgentId, Credentials)>) -> Self {
        Self(agents.into_iter().collect())
    }
}

impl CredentialProvider for Agents {
    fn credentials(&self, agent: &AgentId) -> Option<Credentials> {
        self.0.get(agent).cloned()
    }

    fn knows(&self, agent: &AgentId) -> bool {
        self.0.contains_key(agent)
    }

    fn agents(&self) -> Vec<AgentId> {
        self.0.keys().cloned().collect()
    }
}

fn password_of(path: &Path, entry: &AgentEntry) -> Result<String, FileError> {
    let agent = &entry.id;
    match (&entry.password, &entry.password_env) {
        (Some(password), None) => {
            refuse_readable(path)?;
            Ok(password.clone())
        }
        (None, Some(name)) => std::env::var(name).map_err(|_| {
            FileError::new(path, format!("agent {agent}: the environment variable {name} is not set"))
        }),
        _ => Err(FileError::new(path, format!("agent {agent} must have either password or password_env"))),
    }
}

/// Secrets in a file that others may read are no secrets.
pub(super) fn refuse_readable(path: &Path) -> Result<(), FileError> {
    let mode = std::fs::metadata(path)
        .map_err(|error| FileError::new(path, error.to_string()))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(FileError::new(
        path,
        format!("holds secrets and may be read by others (mode {:o}); chmod 600 it", mode & 0o777),
    ))
}

/// Reads a TOML file.
///
/// # Errors
/// [`FileError`] names the file and what is wrong with it.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    let text = std::fs::read_to_string(path).map_err(|error| FileError::new(path, error.to_string()))?;
    toml::from_str(&text).map_err(|error| FileError::new(path, in_words(&text, &error)))
}

/// Where it is and what is wrong, without the line itself: it may hold a secret.
pub(super) fn in_words(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    format!("line {line}: {}", without_value(error.message()).replace('\n', ", "))
}

/// What was expected, without what stands there instead.
fn without_value(message: &str) -> String {
    let of_values = ["invalid type", "invalid value", "unknown variant"];
    let Some(what) = of_values.into_iter().find(|what| message.starts_with(what)) else {
        return message.to_owned();
    };
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| format!(", expected {expected}"));
    format!("{what}{}", expected.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    const NANCY: &str = "[[agent]]\nid = \"nancy\"\nuser = \"nancy\"\npassword = \"secret\"\n";

    #[test]
    fn a_file_with_passwords_must_be_ones_own() {
        let agents = Agents::read(file(NANCY, 0o600).path()).unwrap();
        assert_eq!(agents.agents().len(), 1);
        let error = Agents::read(file(NANCY, 0o644).path()).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_not_shown() {
        let broken = NANCY.replace("\"secret\"", "\"secret");
        let told = Agents::read(file(&broken, 0o600).path()).unwrap_err().to_string();
        assert!(told.contains(": line 4: ") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| Agents::read(file(text, 0o600).path()).unwrap_err().to_string();
        assert!(error(&format!("{NANCY}{NANCY}")).contains("agent nancy is named twice"));
        assert!(
            error("[[agent]]\nid = \"nancy\"\nuser = \"n\"\n").contains("either password or password_env")
        );
        let unset =
            "[[agent]]\nid = \"nancy\"\nuser = \"n\"\npassword_env = \"ARCHIBALD_NO_SUCH_VARIABLE\"\n";
        assert!(error(unset).contains("ARCHIBALD_NO_SUCH_VARIABLE is not set"));
        assert!(error("[[agent]]\nid = \"Nancy\"\nuser = \"n\"\n").contains("agent must be"));
        assert!(
            Agents::read(Path::new("no-such-file")).unwrap_err().to_string().starts_with("no-such-file: ")
        );
    }
}
