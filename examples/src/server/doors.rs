//! Who may come in: the tokens file, the key of JSON Web Tokens, or one token for this run.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use archibald_core::id::AgentId;
use archibald_http::{Authenticator, JwtKey, Principal, TokenEntry, TokenSet};
use serde::Deserialize;

use super::agents::refuse_readable;
use super::{Failure, FileError, Settings, TokenWish, read_toml};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    token: Vec<TokenEntry>,
}

/// Whether anybody has a token who did not read it off the screen.
pub(super) fn configured(settings: &Settings) -> bool {
    settings.get("tokens").is_some() || settings.get("jwt-key").is_some()
}

/// All that the settings name; with none, the server is open to this machine's user alone, by one random
/// token that is printed once.
pub(super) fn authenticator(settings: &Settings) -> Result<Arc<dyn Authenticator>, Failure> {
    let mut all: Vec<Arc<dyn Authenticator>> = vec![];
    if let Some(file) = settings.get("tokens") {
        all.push(Arc::new(read_tokens(Path::new(file))?));
    }
    if let Some(key) = jwt_key(settings)? {
        all.push(Arc::new(key));
    }
    if all.is_empty() {
        all.push(Arc::new(set(local_token())?));
    }
    Ok(Arc::new(all))
}

/// Reads a tokens file.
///
/// # Errors
/// [`Failure::File`] names the file and what was expected, and so does a file that others may read;
/// [`Failure::Tokens`] names the token.
pub fn read_tokens(path: &Path) -> Result<TokenSet, Failure> {
    let file: TokensFile = read_toml(path)?;
    refuse_readable(path)?;
    set(file.token)
}

/// A token as it was wished for, on one line.
pub(super) fn token(settings: &Settings, wish: &TokenWish) -> Result<String, Failure> {
    let key = jwt_key(settings)?
        .ok_or_else(|| Failure::NoToken("--jwt-key names the key that it is made with".to_owned()))?;
    let principal = match &wish.agent {
        Some(agent) => {
            let agent = AgentId::new(agent).map_err(|error| Failure::NoToken(error.to_string()))?;
            Principal::agent(agent)
        }
        None => Principal::operator("operator"),
    };
    key.sign(&principal, SystemTime::now(), wish.ttl).map_err(|error| Failure::NoToken(error.to_string()))
}

fn jwt_key(settings: &Settings) -> Result<Option<JwtKey>, Failure> {
    let Some(path) = settings.get("jwt-key").map(Path::new) else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| FileError::new(path, error.to_string()))?;
    let key = JwtKey::new(&text).map_err(|error| FileError::new(path, error.to_string()))?;
    if !key.is_public() {
        refuse_readable(path)?;
    }
    Ok(Some(key))
}

fn set(tokens: Vec<TokenEntry>) -> Result<TokenSet, Failure> {
    TokenSet::new(tokens).map_err(|error| Failure::Tokens(error.to_string()))
}

fn local_token() -> Vec<TokenEntry> {
    let value = uuid::Uuid::new_v4().simple().to_string();
    eprintln!("operator token for this run: {value}");
    vec![TokenEntry::operator(value)]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_with_tokens_must_be_ones_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[[token]]\nvalue = \"secret\"\nscope = \"operator\"\n").unwrap();
        let read = |mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            read_tokens(file.path()).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(read(0o600), Ok(()));
        for mode in [0o644, 0o640, 0o604] {
            let told = read(mode).unwrap_err();
            assert!(told.contains(&format!("may be read by others (mode {mode:o}); chmod 600 it")), "{told}");
        }
    }

    fn settings(key: &Path) -> Settings {
        let key = key.to_str().unwrap().to_owned();
        Settings::read(["server".to_owned(), "--jwt-key".to_owned(), key]).unwrap()
    }

    fn wish(agent: Option<&str>) -> TokenWish {
        TokenWish { agent: agent.map(str::to_owned), ttl: Duration::from_secs(60) }
    }

    #[tokio::test]
    async fn the_server_lets_those_in_for_whom_it_makes_tokens() {
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), "a secret that is long enough for it\n").unwrap();
        let settings = settings(key.path());
        assert!(configured(&settings));
        let doors = authenticator(&settings).unwrap();
        for (agent, name) in [(Some("nancy"), "nancy"), (None, "operator")] {
            let token = token(&settings, &wish(agent)).unwrap();
            assert_eq!(doors.authenticate(&token).await.unwrap().name, name);
        }
        let refused = token(&settings, &wish(Some("NANCY"))).unwrap_err().to_string();
        assert!(refused.starts_with("no token can be made: agent must be"), "{refused}");
        std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        let readable = token(&settings, &wish(None)).unwrap_err().to_string();
        assert!(readable.contains("chmod 600"), "{readable}");
    }
}
