use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use super::Principal;

/// The cookie that stands for a session.
pub(crate) const COOKIE: &str = "archibald_session";

/// What a session is known by here: the digest of its id, so that nothing that is kept opens a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey([u8; 32]);

/// Who signed in with a browser. They live in memory: after a restart people sign in again.
///
/// Bounded for each holder and altogether; one more ends the one that began first.
pub(crate) struct Sessions {
    longest: Duration,
    of_one: usize,
    in_all: usize,
    open: Mutex<HashMap<SessionKey, Session>>,
}

struct Session {
    principal: Principal,
    began: SystemTime,
    ends: SystemTime,
}

/// A session that just began.
pub(crate) struct Begun {
    /// The cookie's value. A secret.
    pub(crate) id: String,
    pub(crate) ends: SystemTime,
    /// Those that had to end for it.
    pub(crate) replaced: Vec<SessionKey>,
}

impl Sessions {
    pub(crate) fn new(longest: Duration, of_one: usize, in_all: usize) -> Self {
        Self { longest, of_one: of_one.max(1), in_all: in_all.max(1), open: Mutex::default() }
    }

    /// Begins one that ends no later than the principal's token.
    pub(crate) fn begin(&self, principal: Principal, now: SystemTime) -> Begun {
        let id = new_id();
        let latest = now.checked_add(self.longest).unwrap_or(now);
        let ends = principal.expires_at.map_or(latest, |token_ends| token_ends.min(latest));
        let mut open = self.lock();
        open.retain(|_, session| session.ends > now);
        let own = |session: &Session| session.principal.is_same(&principal);
        let mut replaced = vec![];
        while open.values().filter(|session| own(session)).count() >= self.of_one {
            replaced.extend(remove_first(&mut open, own));
        }
        while open.len() >= self.in_all {
            replaced.extend(remove_first(&mut open, |_| true));
        }
        open.insert(key_of(&id), Session { principal, began: now, ends });
        Begun { id, ends, replaced }
    }

    /// Whose session it is, with its end as theirs.
    pub(crate) fn find(&self, id: &str, now: SystemTime) -> Option<(SessionKey, Principal)> {
        let key = key_of(id);
        let open = self.lock();
        let session = open.get(&key).filter(|session| session.ends > now)?;
        Some((key, Principal { expires_at: Some(session.ends), ..session.principal.clone() }))
    }

    pub(crate) fn is_open(&self, key: &SessionKey) -> bool {
        self.lock().contains_key(key)
    }

    /// Ends one; whether there was one.
    pub(crate) fn end(&self, key: &SessionKey) -> bool {
        self.lock().remove(key).is_some()
    }

    /// Ends all of these people; how many there were.
    pub(crate) fn end_of(&self, whose: impl Fn(&Principal) -> bool) -> usize {
        let mut open = self.lock();
        let before = open.len();
        open.retain(|_, session| !whose(&session.principal));
        before - open.len()
    }

    /// What it guards is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session id that a request brings.
pub(crate) fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn remove_first(
    open: &mut HashMap<SessionKey, Session>,
    among: impl Fn(&Session) -> bool,
) -> Option<SessionKey> {
    let candidates = open.iter().filter(|(_, session)| among(session));
    let key = *candidates.min_by_key(|(_, session)| session.began)?.0;
    open.remove(&key);
    Some(key)
}

/// 256 bits, so that none can be guessed.
fn new_id() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key_of(id: &str) -> SessionKey {
    SessionKey(Sha256::digest(id.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn operator(name: &str) -> Principal {
        Principal::operator(name)
    }

    #[test]
    fn a_session_ends_with_its_time_or_with_its_token() {
        let sessions = Sessions::new(HOUR, 2, 10);
        let now = SystemTime::now();
        let whole = sessions.begin(operator("a"), now);
        let token = Principal { expires_at: Some(now + HOUR / 2), ..operator("b") };
        let short = sessions.begin(token, now);
        assert_ne!(whole.id, short.id);
        let found = |id: &str, at| sessions.find(id, at).map(|(_, principal)| principal.name);
        assert_eq!(found(&whole.id, now + HOUR / 2), Some("a".into()));
        assert_eq!(found(&short.id, now + HOUR / 2), None);
        assert_eq!(found(&whole.id, now + HOUR), None);
        assert_eq!(found("", now), None);
    }

    #[test]
    fn one_too_many_ends_the_first() {
        let sessions = Sessions::new(HOUR, 2, 3);
        let now = SystemTime::now();
        let at = |minutes: u64| now + Duration::from_secs(60 * minutes);
        let begin = |name, minutes| sessions.begin(operator(name), at(minutes));
        let key = |begun: &Begun| key_of(&begun.id);
        let (first, second) = (begin("a", 0), begin("a", 1));
        let third = begin("a", 2);
        assert_eq!(third.replaced, [key(&first)]);
        let other = begin("b", 3);
        assert_eq!(other.replaced, []);
        assert_eq!(begin("c", 4).replaced, [key(&second)]);
        assert!(sessions.is_open(&key(&third)) && sessions.is_open(&key(&other)));
        assert_eq!(sessions.end_of(|principal| principal.name == "a"), 1);
        assert!(!sessions.end(&key(&third)) && sessions.end(&key(&other)));
        // What is over makes room by itself.
        assert_eq!(sessions.begin(operator("d"), now + 3 * HOUR).replaced, []);
        assert_eq!(sessions.lock().len(), 1);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let check = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            cookie_of(&headers).map(str::to_owned)
        };
        assert_eq!(check("archibald_session=abc"), Some("abc".into()));
        assert_eq!(check("a=b; archibald_session=abc; c=d"), Some("abc".into()));
        assert_eq!(check("archibald_sessions=abc"), None);
        assert_eq!(check("x_archibald_session=abc"), None);
    }
}
