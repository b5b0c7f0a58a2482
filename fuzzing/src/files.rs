//! The server's files of agents and tokens, and its configuration with its schedules. The first line says which.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use archibald_core::port::CredentialProvider;
use archibald_examples::server::{Agents, Settings, read_tokens};
use archibald_http::{AuthError, Authenticator};
use futures::FutureExt;

pub(super) const WORDS: &[&str] = &[
    "[[agent]]\n",
    "[[token]]\n",
    "[[schedule]]\n",
    "\n",
    "=",
    "\"",
    "\"\"\"",
    "'",
    "#",
    "password",
    "password_env = \"PATH\"\n",
    "scope = \"operator\"\n",
    "value = ",
    "agent = ",
    "cron = \"0 6 * * *\"\n",
    "every = \"18446744073709551615h\"\n",
    "time_zone",
    "{ a = 1 }",
    "[1, 2]",
    "1e400",
    "1979-05-27T07:32:00Z",
    "\\u0000",
    "\0",
    "\u{e8}",
];

pub(super) fn read(bytes: &[u8]) {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (kind, content) = (&bytes[..end], &bytes[end + 1..]);
    let Some(path) = file(content) else { return };
    let refused = match kind {
        b"agents" => agents(&path),
        b"tokens" => tokens(&path),
        b"config" => config(&path),
        _ => return,
    };
    if let Some(words) = refused {
        assert!(words.contains(&format!("{}", path.display())) || words.contains("token"), "{words}");
        shows_no_secret(&words, content);
    }
}

/// Its owner's alone, so that it is not refused for that.
fn file(content: &[u8]) -> Option<tempfile::TempPath> {
    let path = tempfile::NamedTempFile::new().ok()?.into_temp_path();
    std::fs::write(&path, content).ok()?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).ok()?;
    Some(path)
}

fn agents(path: &Path) -> Option<String> {
    match Agents::read(path) {
        Ok(agents) => {
            for agent in agents.agents() {
                assert!(agents.knows(&agent) && agents.credentials(&agent).is_some(), "{agent}");
            }
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

fn tokens(path: &Path) -> Option<String> {
    match read_tokens(path) {
        Ok(tokens) => {
            for token in ["", "\0"] {
                let known = tokens.authenticate(token).now_or_never();
                assert!(matches!(known, Some(Err(AuthError::Refused))), "{token:?} is no token");
            }
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

fn config(path: &Path) -> Option<String> {
    let path = path.to_str()?.to_owned();
    match Settings::read(["server".to_owned(), "--config".to_owned(), path]) {
        Ok(settings) => {
            let printed = settings.print();
            for schedule in settings.schedules() {
                let name = schedule.kind.as_str();
                assert!(printed.contains(name), "{name} is not in {printed}");
            }
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// What is wrong is named, and no value of which nobody knows whether it is a secret.
fn shows_no_secret(words: &str, content: &[u8]) {
    let content = String::from_utf8_lossy(content);
    for (key, value) in content.lines().filter_map(|line| line.split_once('=')) {
        let value = value.trim().trim_matches('"');
        let is_secret = ["password", "value", "scope"].contains(&key.trim());
        let is_elsewhere = content.matches(value).count() > 1;
        if is_secret && !is_elsewhere && (value.starts_with("s3cret") || value.starts_with("5313")) {
            assert!(!words.contains(value), "{words}");
        }
    }
}
