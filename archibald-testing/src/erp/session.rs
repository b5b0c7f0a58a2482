//! Sessions: two cookies, one turn at a time, an end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Cookie that names the session; issued at the first request.
pub(crate) const SESSION_COOKIE: &str = "ASP.NET_SessionId";
/// Cookie that proves the login.
pub(crate) const TICKET_COOKIE: &str = ".ASPXAUTH";

/// Requests of one session are served one after another: whoever serves one holds this.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug)]
struct Session {
    turn: Turn,
    seen: Instant,
    login: Option<Login>,
}

#[derive(Debug)]
struct Login {
    user: String,
    ticket: String,
}

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: Mutex<HashMap<String, Session>>,
}

impl Sessions {
    /// The session of this cookie, or a new one where there is none or it has been idle for too long.
    pub(crate) fn enter(&self, cookie: Option<&str>, idle: Duration) -> (String, Turn) {
        let mut by_id = self.lock();
        let now = Instant::now();
        by_id.retain(|_, session| now.duration_since(session.seen) <= idle);
        let id = match cookie {
            Some(id) if by_id.contains_key(id) => id.to_owned(),
            _ => token(),
        };
        let session = by_id.entry(id.clone()).or_insert_with(|| Session::new(now));
        session.seen = now;
        (id, Arc::clone(&session.turn))
    }

    /// Who is logged in; nobody, if the session ended meanwhile or the ticket is another's.
    pub(crate) fn user(&self, id: &str, ticket: Option<&str>) -> Option<String> {
        let by_id = self.lock();
        let login = by_id.get(id)?.login.as_ref()?;
        (Some(login.ticket.as_str()) == ticket).then(|| login.user.clone())
    }

    /// Who is logged in, whatever the ticket: for counting only.
    pub(crate) fn user_of(&self, id: &str) -> Option<String> {
        self.lock().get(id)?.login.as_ref().map(|login| login.user.clone())
    }

    /// Logs in and answers the ticket. With `single`, the user's other sessions end.
    pub(crate) fn log_in(&self, id: &str, user: &str, single: bool) -> String {
        let mut by_id = self.lock();
        if single {
            by_id.retain(|other, session| other == id || !session.is_of(user));
        }
        let ticket = token() + &token();
        let session = by_id.entry(id.to_owned()).or_insert_with(|| Session::new(Instant::now()));
        session.login = Some(Login { user: user.to_owned(), ticket: ticket.clone() });
        ticket
    }

    pub(crate) fn end(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Ends the user's sessions, or everybody's; answers how many.
    pub(crate) fn expire(&self, user: Option<&str>) -> usize {
        let mut by_id = self.lock();
        let before = by_id.len();
        by_id.retain(|_, session| user.is_some_and(|user| !session.is_of(user)));
        before - by_id.len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn new(now: Instant) -> Self {
        Self { turn: Turn::default(), seen: now, login: None }
    }

    fn is_of(&self, user: &str) -> bool {
        self.login.as_ref().is_some_and(|login| login.user == user)
    }
}

/// Not from the seed: a cookie of an earlier run must not open a session of this one.
fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}
