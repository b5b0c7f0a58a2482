//! What the ERP counted since it started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ledger::EffectKind;

/// Counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErpStats {
    /// Requests, of all kinds.
    pub requests: u64,
    /// Logins that succeeded.
    pub logins: u64,
    /// Logins with a wrong user or password.
    pub logins_refused: u64,
    /// Requests sent to the login page, since nobody was logged in.
    pub sent_to_login: u64,
    /// Postbacks whose view state was not of that session, page and key.
    pub view_states_refused: u64,
    /// POSTs by page and control, the harmless and the writing.
    pub posts: BTreeMap<String, BTreeMap<String, u64>>,
    /// Effects by kind, without those of the control port.
    pub effects: BTreeMap<String, u64>,
    /// `order.saved` among them.
    pub saves: u64,
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
    /// Most requests in service at one time.
    pub max_parallel: u64,
    /// The same for each user; more than 1 means several sessions at once.
    pub max_parallel_by_user: BTreeMap<String, u64>,
    /// The same for the busiest session; never more than 1.
    pub max_parallel_of_a_session: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: ErpStats,
    serving: u64,
    by_user: BTreeMap<String, u64>,
    by_session: BTreeMap<String, u64>,
}

/// A request in service; the counts go down when this is dropped.
pub(crate) struct Serving {
    stats: Arc<Stats>,
    user: Option<String>,
    session: String,
}

impl Stats {
    /// Counts a request; answers its number, from 1.
    pub(crate) fn request(&self) -> u64 {
        let mut inner = self.lock();
        inner.counts.requests += 1;
        inner.counts.requests
    }

    /// A request's turn has come.
    pub(crate) fn serve(self: &Arc<Self>, session: &str, user: Option<String>) -> Serving {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.serving += 1;
        inner.counts.max_parallel = inner.counts.max_parallel.max(inner.serving);
        let of_session = inner.by_session.entry(session.to_owned()).or_default();
        *of_session += 1;
        let most = &mut inner.counts.max_parallel_of_a_session;
        *most = (*most).max(*of_session);
        if let Some(user) = &user {
            let of_user = inner.by_user.entry(user.clone()).or_default();
            *of_user += 1;
            let most = inner.counts.max_parallel_by_user.entry(user.clone()).or_default();
            *most = (*most).max(*of_user);
        }
        Serving { stats: Arc::clone(self), user, session: session.to_owned() }
    }

    pub(crate) fn posted(&self, page: &str, control: &str) {
        let mut inner = self.lock();
        let page = inner.counts.posts.entry(page.to_owned()).or_default();
        *page.entry(control.to_owned()).or_default() += 1;
    }

    pub(crate) fn applied(&self, kind: EffectKind) {
        let mut inner = self.lock();
        *inner.counts.effects.entry(kind.to_string()).or_default() += 1;
        inner.counts.saves += u64::from(kind == EffectKind::OrderSaved);
    }

    pub(crate) fn struck(&self, fault: Fault) {
        *self.lock().counts.faults.entry(fault.name().to_owned()).or_default() += 1;
    }

    pub(crate) fn logged_in(&self, fits: bool) {
        let mut inner = self.lock();
        let count = if fits { &mut inner.counts.logins } else { &mut inner.counts.logins_refused };
        *count += 1;
    }

    pub(crate) fn sent_to_login(&self) {
        self.lock().counts.sent_to_login += 1;
    }

    pub(crate) fn view_state_refused(&self) {
        self.lock().counts.view_states_refused += 1;
    }

    pub(crate) fn read(&self) -> ErpStats {
        self.lock().counts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut inner = self.stats.lock();
        inner.serving -= 1;
        take_one(&mut inner.by_session, &self.session);
        if let Some(user) = &self.user {
            take_one(&mut inner.by_user, user);
        }
    }
}

fn take_one(counts: &mut BTreeMap<String, u64>, key: &str) {
    let left = counts.get(key).map_or(0, |count| count - 1);
    if left == 0 {
        counts.remove(key);
    } else {
        counts.insert(key.to_owned(), left);
    }
}
