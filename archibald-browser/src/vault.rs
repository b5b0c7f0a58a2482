//! Sessions that outlive the process: an agent's cookies, encrypted at rest.
//!
//! A deploy would else log every agent in again, one slow page after another, and at the same moment. What
//! is kept opens only with the key, for the same ERP, agent, user and password: all of these are part of what
//! is authenticated, so that a session whose password changed cannot be read any more, and no password is
//! kept to compare with. Whatever cannot be read, for whatever reason, is no session: then there is a login.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_core::port::Credentials;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use url::Url;

use crate::driver::Cookie;

/// Before everything else in the file; another layout gets another name.
const MAGIC: &[u8] = b"archibald session 1\n";
const NONCE: usize = 24;
const KEY: usize = 32;
const ENDING: &str = "session";
/// What was not used for so long is removed at the next start: no ERP keeps a session for a month.
const STALE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A key that sessions are encrypted with, or credentials that a store keeps. Prints without itself.
#[derive(Clone)]
pub struct VaultKey([u8; KEY]);

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultKeyError {
    /// The file cannot be read.
    #[error("the key {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Others could read it.
    #[error("the key {path} can be read by others (mode {mode:o}); make it readable by its owner only")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not a key.
    #[error("a key must be 64 hexadecimal digits, got {length} characters")]
    Malformed {
        /// How long it is.
        length: usize,
    },
}

impl VaultKey {
    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Reads a key from a file that its owner alone can read.
    ///
    /// # Errors
    /// [`VaultKeyError`] says what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, VaultKeyError> {
        let unreadable = |source| VaultKeyError::Unreadable { path: path.into(), source };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultKeyError::Open { path: path.into(), mode });
        }
        fs::read_to_string(path).map_err(unreadable)?.parse()
    }
}

impl std::str::FromStr for VaultKey {
    type Err = VaultKeyError;

    fn from_str(text: &str) -> Result<Self, VaultKeyError> {
        let text = text.trim();
        let malformed = || VaultKeyError::Malformed { length: text.chars().count() };
        if text.len() != 2 * KEY || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        let mut key = [0; KEY];
        for (place, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| malformed())?;
        }
        Ok(Self(key))
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultKey")
    }
}

/// Where sessions are kept, a file each. One process at a time for a folder; what it cannot read or write it
/// goes without.
#[derive(Clone)]
pub struct SessionVault {
    folder: PathBuf,
    cipher: XChaCha20Poly1305,
}

impl SessionVault {
    /// A folder for sessions, made if it is not there, which its owner alone can read.
    ///
    /// # Errors
    /// The system's, when the folder cannot be made.
    pub fn open(folder: impl Into<PathBuf>, key: &VaultKey) -> io::Result<Self> {
        let folder = folder.into();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let cipher = XChaCha20Poly1305::new(&Key::from(key.0));
        let vault = Self { folder, cipher };
        vault.remove_stale();
        Ok(vault)
    }

    /// Keeps the cookies in place of what was kept.
    pub(crate) fn keep(&self, whose: &Whose<'_>, cookies: &[Cookie]) {
        if let Err(error) = self.write(whose, cookies) {
            tracing::warn!(agent = %whose.agent, %error, "a session could not be kept; its next start is a login");
        }
    }

    /// What is kept, if it can be read and is this user's.
    pub(crate) fn find(&self, whose: &Whose<'_>) -> Option<Vec<Cookie>> {
        let bytes = fs::read(self.path(whose.agent)).ok()?;
        let (nonce, sealed) = bytes.strip_prefix(MAGIC)?.split_at_checked(NONCE)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let plain = self.cipher.decrypt(&nonce, Payload { msg: sealed, aad: &whose.bound() });
        match plain {
            Ok(plain) => serde_json::from_slice(&plain).ok(),
            Err(_) => {
                tracing::info!(agent = %whose.agent, "a kept session cannot be read with this key and password");
                None
            }
        }
    }

    /// The session is over.
    pub(crate) fn forget(&self, agent: &AgentId) {
        let removed = fs::remove_file(self.path(agent));
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%agent, %error, "a session that is over could not be removed");
        }
    }

    /// Forgets the sessions of all others.
    pub(crate) fn keep_only(&self, is_known: impl Fn(&AgentId) -> bool) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for agent in entries.flatten().filter_map(|entry| agent_of(&entry.path())) {
            if !is_known(&agent) {
                self.forget(&agent);
            }
        }
    }

    fn write(&self, whose: &Whose<'_>, cookies: &[Cookie]) -> io::Result<()> {
        let plain = serde_json::to_vec(cookies)?;
        let nonce = XNonce::generate();
        let payload = Payload { msg: &plain, aad: &whose.bound() };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| io::Error::other("not encrypted"))?;
        // Whole or not at all under its name; a temporary file is its owner's alone.
        let mut file = tempfile::Builder::new().suffix(".new").tempfile_in(&self.folder)?;
        for part in [MAGIC, &nonce[..], &sealed] {
            file.write_all(part)?;
        }
        file.persist(self.path(whose.agent))?;
        Ok(())
    }

    /// An id may hold characters that mean something in a path.
    fn path(&self, agent: &AgentId) -> PathBuf {
        let name: String = agent.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name).with_extension(ENDING)
    }

    fn remove_stale(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let ours = path.extension().is_some_and(|ending| ending == ENDING || ending == "new");
            let age = path.metadata().and_then(|it| it.modified()).ok().and_then(|it| it.elapsed().ok());
            if ours && age.is_some_and(|age| age > STALE) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whose file it is, by the name that [`SessionVault::path`] gave it.
fn agent_of(path: &Path) -> Option<AgentId> {
    let name = path.file_stem()?.to_str()?;
    if path.extension()? != ENDING || name.len() % 2 != 0 || !name.is_ascii() {
        return None;
    }
    let bytes = (0..name.len()).step_by(2).map(|place| u8::from_str_radix(&name[place..place + 2], 16).ok());
    AgentId::new(String::from_utf8(bytes.collect::<Option<_>>()?).ok()?).ok()
}

impl fmt::Debug for SessionVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionVault").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Whose session it is, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) agent: &'a AgentId,
    pub(crate) who: &'a Credentials,
    pub(crate) base: &'a Url,
}

impl Whose<'_> {
    /// What a kept session is bound to; each part with its length, so that no two read the same.
    fn bound(&self) -> Vec<u8> {
        let parts = [self.base.as_str(), self.agent.as_str(), &self.who.user, &self.who.password];
        let sized =
            parts.iter().flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.bytes()));
        sized.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digit: &str) -> VaultKey {
        digit.repeat(64).parse().unwrap()
    }

    fn cookies() -> Vec<Cookie> {
        let cookie = |name: &str| Cookie {
            name: name.into(),
            value: "s3cret".into(),
            domain: "erp.test".into(),
            path: "/".into(),
            http_only: true,
            secure: false,
        };
        vec![cookie("session"), cookie("ticket")]
    }

    struct Case {
        agent: AgentId,
        who: Credentials,
        base: Url,
    }

    impl Case {
        fn new(agent: &str, password: &str, base: &str) -> Self {
            let who = Credentials { user: "nancy".into(), password: password.into() };
            Self { agent: AgentId::new(agent).unwrap(), who, base: base.parse().unwrap() }
        }

        fn whose(&self) -> Whose<'_> {
            Whose { agent: &self.agent, who: &self.who, base: &self.base }
        }
    }

    #[test]
    fn what_is_kept_opens_for_the_same_key_erp_agent_and_password_only() {
        let folder = tempfile::tempdir().unwrap();
        let vault = SessionVault::open(folder.path().join("new/sessions"), &key("a")).unwrap();
        let nancy = Case::new("nancy", "first", "http://erp.test/");
        vault.keep(&nancy.whose(), &cookies());
        assert_eq!(vault.find(&nancy.whose()), Some(cookies()));
        assert_eq!(vault.find(&Case::new("nancy", "second", "http://erp.test/").whose()), None);
        assert_eq!(vault.find(&Case::new("nancy", "first", "http://other.test/").whose()), None);
        assert_eq!(vault.find(&Case::new("andrew", "first", "http://erp.test/").whose()), None);
        let other = SessionVault::open(&vault.folder, &key("b")).unwrap();
        assert_eq!(other.find(&nancy.whose()), None);
        // A file that another agent's was renamed to is not that agent's session.
        let andrew = Case::new("andrew", "first", "http://erp.test/");
        fs::copy(vault.path(&nancy.agent), vault.path(&andrew.agent)).unwrap();
        assert_eq!(vault.find(&andrew.whose()), None);
        vault.forget(&nancy.agent);
        vault.forget(&nancy.agent);
        assert_eq!(vault.find(&nancy.whose()), None);
    }

    #[test]
    fn those_who_are_gone_are_forgotten_and_nobody_elses_file() {
        let folder = tempfile::tempdir().unwrap();
        let vault = SessionVault::open(folder.path(), &key("a")).unwrap();
        let (nancy, andrew) =
            (Case::new("nancy", "p", "http://e.t/"), Case::new("a.1_-b", "p", "http://e.t/"));
        vault.keep(&nancy.whose(), &cookies());
        vault.keep(&andrew.whose(), &cookies());
        for strange in ["6e.session", "zz.session", "6.session", "ä.session", "6e616e6379.other", "session"]
        {
            fs::write(folder.path().join(strange), "").unwrap();
        }
        vault.keep_only(|agent| *agent == nancy.agent || agent.as_str() == "n");
        assert_eq!((vault.find(&nancy.whose()), vault.find(&andrew.whose())), (Some(cookies()), None));
        assert_eq!(folder.path().read_dir().unwrap().count(), 7);
        vault.keep_only(|agent| agent.as_str() == "n");
        assert_eq!(vault.find(&nancy.whose()), None);
        assert_eq!(folder.path().read_dir().unwrap().count(), 6);
    }

    #[test]
    fn a_damaged_file_is_no_session_and_none_is_readable() {
        let folder = tempfile::tempdir().unwrap();
        let vault = SessionVault::open(folder.path(), &key("a")).unwrap();
        let nancy = Case::new("..", "first", "http://erp.test/");
        vault.keep(&nancy.whose(), &cookies());
        let path = vault.path(&nancy.agent);
        assert_eq!(path.parent(), Some(folder.path()));
        let whole = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!String::from_utf8_lossy(&whole).contains("s3cret"));
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(vault.find(&nancy.whose()), None, "byte {place}");
            fs::write(&path, &whole[..place]).unwrap();
            assert_eq!(vault.find(&nancy.whose()), None, "cut at {place}");
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(vault.find(&nancy.whose()), Some(cookies()));
    }

    #[test]
    fn a_key_is_its_owners_and_64_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let error = || VaultKey::read(&path).unwrap_err().to_string();
        assert!(error().ends_with("key cannot be read"), "{}", error());
        fs::write(&path, "ab".repeat(32) + "\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(error().contains("can be read by others (mode 644)"), "{}", error());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(VaultKey::read(&path).unwrap().0, [0xab; 32]);
        for bad in ["", "ab", &"ä".repeat(32), &"xy".repeat(32)] {
            let told = bad.parse::<VaultKey>().unwrap_err().to_string();
            assert!(told.starts_with("a key must be 64 hexadecimal digits, got "), "{told}");
            assert!(bad.is_empty() || !told.contains(bad), "{told}");
        }
    }
}
