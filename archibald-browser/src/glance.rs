//! Small pictures of a session in use, for an operator who looks on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::driver::{Limit, Looked, Peephole};

/// Between two looks at the page; whoever asks sooner gets the last picture.
const BETWEEN: Duration = Duration::from_secs(1);
/// What a look may take.
const LOOKING: Duration = Duration::from_secs(1);
/// A page that did not answer in time is left alone for so long, so that what was asked of it does not pile up.
const AFTER_SILENCE: Duration = Duration::from_secs(10);

/// What may be seen of one session. There is nothing to see while nobody uses it, and so nobody who logs in: a
/// session is made before anybody uses it, and whoever uses it types no password. Should the ERP ask for one all the
/// same at the address of its login, that is not seen either.
#[derive(Debug)]
pub(crate) struct Glances {
    /// Where the site's login is.
    login: Option<Url>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows with every use.
    uses: u64,
    peephole: Option<Peephole>,
    /// No look before.
    not_before: Option<Instant>,
    last: Option<Arc<[u8]>>,
}

/// Without what customers would not want in a log.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("uses", &self.uses).finish_non_exhaustive()
    }
}

impl Glances {
    /// Of a site with this address and this path of its login.
    pub(crate) fn at(base: &Url, login: &str) -> Self {
        Self { login: base.join(login).ok(), state: Mutex::default() }
    }

    /// Somebody uses this page from now on.
    pub(crate) fn begin(&self, peephole: Peephole) {
        let mut state = self.state();
        let (uses, not_before) = (state.uses + 1, state.not_before);
        *state = State { uses, peephole: Some(peephole), not_before, last: None };
    }

    /// Nobody does any more.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        (state.peephole, state.last) = (None, None);
    }

    /// What is shown now, or was when it was last looked at.
    pub(crate) async fn picture(&self) -> Option<Arc<[u8]>> {
        let Some((uses, peephole)) = self.turn() else { return self.state().last.clone() };
        let began = Instant::now();
        let looked = peephole.look(&Limit::budget(LOOKING), |shown| self.is_login(shown)).await;
        let mut state = self.state();
        if state.uses != uses || state.peephole.is_none() {
            return None;
        }
        match looked {
            Ok(looked) => {
                state.not_before = Some(began + BETWEEN);
                match looked {
                    Looked::Seen(picture) => state.last = Some(picture.into()),
                    Looked::Hidden | Looked::TooLarge => state.last = None,
                    Looked::Missed => {}
                }
            }
            Err(error) => tracing::debug!(%error, "no picture of a page in use"),
        }
        state.last.clone()
    }

    /// Whether to look now, and at what. Whoever gets it has the only one for a while.
    fn turn(&self) -> Option<(u64, Peephole)> {
        let mut state = self.state();
        let now = Instant::now();
        if state.not_before.is_some_and(|time| now < time) {
            return None;
        }
        let peephole = state.peephole.clone()?;
        // Unless the page answers, also where nobody waits for that any more.
        state.not_before = Some(now + AFTER_SILENCE);
        Some((state.uses, peephole))
    }

    /// Also where the site does not care for upper and lower case.
    fn is_login(&self, shown: &str) -> bool {
        let path = |url: &Url| url.path().to_lowercase();
        match (Url::parse(shown), &self.login) {
            (Ok(shown), Some(login)) => path(&shown) == path(login),
            _ => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_told_by_its_path() {
        let glances = Glances::at(&Url::parse("http://erp.example/app/").unwrap(), "Login.aspx");
        let table = [
            ("http://erp.example/app/Login.aspx", true),
            ("http://erp.example/app/login.aspx?ReturnUrl=%2fOrder.aspx", true),
            ("http://erp.example/app/Order.aspx", false),
            ("about:blank", false),
            ("", true),
        ];
        for (shown, expected) in table {
            assert_eq!(glances.is_login(shown), expected, "{shown}");
        }
    }
}
