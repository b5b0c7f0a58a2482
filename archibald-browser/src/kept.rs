//! Agents that were added while the service ran, beside those that it was started with.
//!
//! How they log in is encrypted here and kept by an [`AgentStore`], which cannot read it. What is kept opens only
//! with the key and under the agent's own name, so that a row that was copied to another agent is no login of
//! that one. The key is the same for all processes of a store; without it the passwords are lost and have to be
//! given again. One that does not open counts as not there for logins, and can be removed.
//!
//! Who the agents are is asked all the time, so each process remembers it and looks again every few seconds. A
//! login is rare and a wrong password locks an account, so for each use of a session the store itself is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::port::{
    AgentStore, CredentialError, CredentialProvider, CredentialStore, Credentials, ListedAgent, Sealed,
};
use async_trait::async_trait;
use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use crate::vault::VaultKey;

/// Before everything else; another layout gets another name.
const MAGIC: &[u8] = b"archibald agent 1\n";
const NONCE: usize = 24;
/// Agents that may be kept: each process remembers all of them.
const MOST: usize = 10_000;
/// How often a change of a password is tried anew that another came before.
const TRIES: u32 = 5;

/// Agents from two places: those that the service was started with, which nobody changes here, and those that an
/// [`AgentStore`] keeps. Where both have one of the same name, the first counts. Cheap to clone.
#[derive(Clone)]
pub struct KeptCredentials {
    inner: Arc<Inner>,
}

struct Inner {
    fixed: BTreeMap<AgentId, Credentials>,
    store: Arc<dyn AgentStore>,
    cipher: XChaCha20Poly1305,
    seen: RwLock<Seen>,
}

/// What this process saw last of those that are kept.
#[derive(Default)]
struct Seen {
    agents: BTreeMap<AgentId, Row>,
    /// How often that changed: what was read before a change is older than it.
    changes: u64,
}

/// What is kept of an agent, and what it says, where this key opens it.
type Row = (Sealed, Option<Credentials>);

/// What is encrypted.
#[derive(Serialize, Deserialize)]
struct Plain {
    user: String,
    password: String,
}

impl KeptCredentials {
    /// Reads what is kept, and then looks `every` so often who came and went in other processes, as long as any
    /// clone of it lives.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where agents are kept and this key opens none of them, as another key would not;
    /// [`StoreError::Unavailable`]. Where it opens some, the others are logged, and are listed without a user.
    ///
    /// # Cancel safety
    /// Cancel safe: it only reads.
    pub async fn open(
        fixed: impl IntoIterator<Item = (AgentId, Credentials)>,
        store: Arc<dyn AgentStore>,
        key: &VaultKey,
        every: Duration,
    ) -> Result<Self, StoreError> {
        let cipher = XChaCha20Poly1305::new(&Key::from(*key.bytes()));
        let inner =
            Arc::new(Inner { fixed: fixed.into_iter().collect(), store, cipher, seen: RwLock::default() });
        inner.look().await?;
        inner.refuse_wrong_key()?;
        tokio::spawn(follow(Arc::downgrade(&inner), every));
        Ok(Self { inner })
    }
}

/// Looks again and again; what cannot be read now is what it was.
async fn follow(inner: Weak<Inner>, every: Duration) {
    let mut looking = interval(every.max(Duration::from_millis(10)));
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_out = false;
    loop {
        looking.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        let looked = inner.look().await;
        match &looked {
            Err(error) if !is_out => tracing::warn!(%error, "it could not be read which agents were added"),
            Ok(()) if is_out => tracing::info!("it is read again which agents were added"),
            Ok(()) | Err(_) => {}
        }
        is_out = looked.is_err();
    }
}

impl Inner {
    /// Reads all that are kept, and opens those that are new.
    async fn look(&self) -> Result<(), StoreError> {
        loop {
            let before = self.seen().changes;
            let mut agents = BTreeMap::new();
            for (agent, sealed) in self.store.kept_agents("", u32::MAX).await? {
                let row = self.known(&agent, sealed);
                agents.insert(agent, row);
            }
            let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
            if seen.changes != before {
                continue;
            }
            if seen.agents != agents {
                self.warn_of_new(&seen.agents, &agents);
                seen.agents = agents;
                seen.changes += 1;
            }
            return Ok(());
        }
    }

    /// Once for each: who cannot log in, and whom the fixed ones hide.
    fn warn_of_new(&self, was: &BTreeMap<AgentId, Row>, now: &BTreeMap<AgentId, Row>) {
        let new = || now.iter().filter(|(agent, row)| was.get(*agent) != Some(*row));
        let names =
            |agents: Vec<&AgentId>| agents.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ");
        let unreadable: Vec<_> =
            new().filter(|(_, (_, who))| who.is_none()).map(|(agent, _)| agent).collect();
        if !unreadable.is_empty() {
            let agents = names(unreadable);
            tracing::warn!(
                agents,
                "these were added with another key; they do not log in and can be removed"
            );
        }
        let hidden = new().filter(|(agent, _)| self.fixed.contains_key(*agent) && !was.contains_key(*agent));
        let hidden: Vec<_> = hidden.map(|(agent, _)| agent).collect();
        if !hidden.is_empty() {
            let agents = names(hidden);
            tracing::warn!(agents, "these were added and stand among the fixed ones too; those count");
        }
    }

    /// Where it opens nothing, the key is that of something else.
    fn refuse_wrong_key(&self) -> Result<(), StoreError> {
        let seen = self.seen();
        if seen.agents.is_empty() || seen.agents.values().any(|(_, who)| who.is_some()) {
            return Ok(());
        }
        let what = format!(
            "none of the {} agents that were added can be read with this key; give the key that they were added \
             with, or, if it is lost, delete all rows of the table kept_agents and add the agents again",
            seen.agents.len()
        );
        Err(StoreError::Damaged { what, cause: None })
    }

    /// One that is kept, as it is now, which this process knows then: unless something changed while it was read,
    /// and that may be newer.
    async fn ask(&self, agent: &AgentId) -> Result<Option<Row>, StoreError> {
        let before = self.seen().changes;
        let now = self.store.kept_agent(agent).await?.map(|sealed| self.opened(agent, sealed));
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.changes == before {
            seen.note(agent, now.clone());
        }
        drop(seen);
        Ok(now)
    }

    fn note(&self, agent: &AgentId, now: Option<Row>) {
        self.seen.write().unwrap_or_else(PoisonError::into_inner).note(agent, now);
    }

    /// What it says, opened if it was not before.
    fn known(&self, agent: &AgentId, sealed: Sealed) -> Row {
        let known = self.seen().agents.get(agent).filter(|(seen, _)| *seen == sealed).cloned();
        known.unwrap_or_else(|| self.opened(agent, sealed))
    }

    fn opened(&self, agent: &AgentId, sealed: Sealed) -> Row {
        let who = self.unseal(agent, &sealed);
        (sealed, who)
    }

    fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seal(&self, agent: &AgentId, who: &Credentials) -> Result<Sealed, StoreError> {
        let failed = || StoreError::Unavailable { what: "encrypting credentials".into(), cause: None };
        let plain = Plain { user: who.user.clone(), password: who.password.clone() };
        let plain = serde_json::to_vec(&plain).map_err(|_| failed())?;
        let nonce = XNonce::generate();
        let payload = Payload { msg: &plain, aad: &bound(agent) };
        let sealed = self.cipher.encrypt(&nonce, payload).map_err(|_| failed())?;
        Ok(Sealed([MAGIC, &nonce[..], &sealed].concat()))
    }

    /// `None`: it is of another key or another agent, or damaged.
    fn unseal(&self, agent: &AgentId, sealed: &Sealed) -> Option<Credentials> {
        let (nonce, text) = sealed.0.strip_prefix(MAGIC)?.split_at_checked(NONCE)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let plain = self.cipher.decrypt(&nonce, Payload { msg: text, aad: &bound(agent) }).ok()?;
        let Plain { user, password } = serde_json::from_slice(&plain).ok()?;
        Some(Credentials { user, password })
    }
}

impl Seen {
    fn note(&mut self, agent: &AgentId, now: Option<Row>) {
        if self.agents.get(agent) == now.as_ref() {
            return;
        }
        self.changes += 1;
        match now {
            Some(now) => drop(self.agents.insert(agent.clone(), now)),
            None => drop(self.agents.remove(agent)),
        }
    }
}

/// What a kept value is bound to.
fn bound(agent: &AgentId) -> Vec<u8> {
    [MAGIC, agent.as_str().as_bytes()].concat()
}

#[async_trait]
impl CredentialProvider for KeptCredentials {
    fn credentials(&self, agent: &AgentId) -> Option<Credentials> {
        let fixed = self.inner.fixed.get(agent).cloned();
        fixed.or_else(|| self.inner.seen().agents.get(agent).and_then(|(_, who)| who.clone()))
    }

    fn knows(&self, agent: &AgentId) -> bool {
        let is_kept = || self.inner.seen().agents.get(agent).is_some_and(|(_, who)| who.is_some());
        self.inner.fixed.contains_key(agent) || is_kept()
    }

    fn agents(&self) -> Vec<AgentId> {
        let seen = self.inner.seen();
        let readable = seen.agents.iter().filter(|(_, (_, who))| who.is_some()).map(|(agent, _)| agent);
        let added = readable.filter(|agent| !self.inner.fixed.contains_key(*agent));
        self.inner.fixed.keys().chain(added).cloned().collect()
    }

    async fn current(&self, agent: &AgentId) -> Result<Option<Credentials>, StoreError> {
        if let Some(fixed) = self.inner.fixed.get(agent) {
            return Ok(Some(fixed.clone()));
        }
        Ok(self.inner.ask(agent).await?.and_then(|(_, who)| who))
    }
}

#[async_trait]
impl CredentialStore for KeptCredentials {
    async fn list(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, StoreError> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut page = self.added_after(after, limit).await?;
        let fixed = self.inner.fixed.iter().filter(|(agent, _)| agent.as_str() > after).take(most);
        page.extend(fixed.map(|(agent, who)| listed(agent, Some(who), false)));
        page.sort_by(|one, other| one.agent.cmp(&other.agent));
        page.truncate(most);
        Ok(page)
    }

    async fn find(&self, agent: &AgentId) -> Result<Option<ListedAgent>, StoreError> {
        if let Some(who) = self.inner.fixed.get(agent) {
            return Ok(Some(listed(agent, Some(who), false)));
        }
        Ok(self.inner.ask(agent).await?.map(|(_, who)| listed(agent, who.as_ref(), true)))
    }

    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError> {
        credentials.check()?;
        if self.inner.fixed.contains_key(agent) {
            return Err(CredentialError::Exists(agent.clone()));
        }
        let is_full = || {
            let agents = &self.inner.seen().agents;
            agents.len() >= MOST && !agents.contains_key(agent)
        };
        if is_full() {
            return Err(CredentialError::Full { limit: MOST });
        }
        let sealed = self.inner.seal(agent, credentials)?;
        if !self.inner.store.keep_agent(agent, &sealed).await? {
            return match self.inner.ask(agent).await? {
                Some((_, Some(who))) if who == *credentials => Ok(()),
                _ => Err(CredentialError::Exists(agent.clone())),
            };
        }
        self.inner.note(agent, Some((sealed, Some(credentials.clone()))));
        Ok(())
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError> {
        self.refuse_fixed(agent)?;
        let was_there = self.inner.store.drop_agent(agent).await?;
        self.inner.note(agent, None);
        if was_there { Ok(()) } else { Err(CredentialError::Unknown(agent.clone())) }
    }

    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError> {
        self.refuse_fixed(agent)?;
        for _ in 0..TRIES {
            let Some((was, who)) = self.inner.ask(agent).await? else {
                return Err(CredentialError::Unknown(agent.clone()));
            };
            let who = who.ok_or_else(|| CredentialError::Unreadable(agent.clone()))?;
            let who = Credentials { password: password.to_owned(), ..who };
            who.check()?;
            let becomes = self.inner.seal(agent, &who)?;
            if self.inner.store.replace_agent(agent, &was, &becomes).await? {
                self.inner.note(agent, Some((becomes, Some(who))));
                return Ok(());
            }
        }
        let what = format!("others change agent {agent} all the time");
        Err(StoreError::Unavailable { what, cause: None }.into())
    }
}

impl KeptCredentials {
    /// At least so many of those that were added, if there are, without those that the fixed ones hide.
    async fn added_after(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, StoreError> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut added, mut after) = (Vec::new(), after.to_owned());
        loop {
            let rows = self.inner.store.kept_agents(&after, limit).await?;
            let is_last = rows.len() < most;
            after = rows.last().map(|(agent, _)| agent.to_string()).unwrap_or(after);
            for (agent, sealed) in rows.into_iter().filter(|(agent, _)| !self.inner.fixed.contains_key(agent))
            {
                let (_, who) = self.inner.known(&agent, sealed);
                added.push(listed(&agent, who.as_ref(), true));
            }
            if is_last || added.len() >= most {
                return Ok(added);
            }
        }
    }

    fn refuse_fixed(&self, agent: &AgentId) -> Result<(), CredentialError> {
        match self.inner.fixed.contains_key(agent) {
            true => Err(CredentialError::Fixed(agent.clone())),
            false => Ok(()),
        }
    }
}

fn listed(agent: &AgentId, who: Option<&Credentials>, kept: bool) -> ListedAgent {
    ListedAgent { agent: agent.clone(), user: who.map(|who| who.user.clone()), kept }
}

/// Says who is fixed, and how many are kept.
impl fmt::Debug for KeptCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed: Vec<_> = self.inner.fixed.keys().collect();
        let kept = self.inner.seen().agents.len();
        f.debug_struct("KeptCredentials").field("fixed", &fixed).field("kept", &kept).finish_non_exhaustive()
    }
}
