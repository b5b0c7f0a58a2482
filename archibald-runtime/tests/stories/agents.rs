//! Agents that come, go and change while the service runs, and what a refused login leaves.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, OperationId, WorkerId};
use archibald_core::operation::OperationState;
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::{
    AgentAdmin, AgentLock, CredentialError, CredentialProvider, CredentialStore, Credentials, EnqueueRequest,
    LeaseRequest, ListedAgent, LoginError, OperationStore, Operations,
};
use archibald_core::record::{Disposition, Resolution};
use archibald_runtime::{Archibald, Ports, Worker};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::support::{agent, order, quick};

const PATIENCE: Duration = Duration::from_secs(20);

struct Office {
    store: Arc<MemoryStore>,
    erp: Arc<FakeErp>,
    credentials: Arc<FixedCredentials>,
    archibald: Archibald,
    _worker: Option<Worker>,
}

fn submission(who: &str) -> EnqueueRequest {
    EnqueueRequest {
        agent: agent(who),
        kind: "submit-order".to_owned(),
        payload: order(),
        key: uuid::Uuid::now_v7().to_string().parse().unwrap(),
        run_at: None,
        origin: None,
        trace: false,
    }
}

impl Office {
    fn open() -> Self {
        let office = Self::without_worker();
        let worker = office.archibald.start();
        Self { _worker: worker, ..office }
    }

    fn without_worker() -> Self {
        let (store, erp) = (Arc::new(MemoryStore::default()), FakeErp::new(4));
        let credentials = Arc::new(FixedCredentials::new().with(agent("nancy"), "nancy", "secret"));
        let archibald = Archibald::builder(Ports::new(store.clone(), erp.clone(), credentials.clone()))
            .kept_agents(credentials.clone())
            .config(quick())
            .build()
            .unwrap();
        Self { store, erp, credentials, archibald, _worker: None }
    }

    fn admin(&self) -> Arc<dyn AgentAdmin> {
        self.archibald.agent_admin().unwrap()
    }

    async fn submit(&self, who: &str) -> OperationId {
        self.archibald.enqueue(submission(who)).await.unwrap().record.operation.id
    }

    async fn ended(&self, who: &str, id: OperationId) -> OperationState {
        self.archibald.wait(&agent(who), id, PATIENCE).await.unwrap().unwrap().operation.state
    }

    /// Why the agent is paused.
    async fn why_paused(&self, who: &str) -> Option<String> {
        let scope = PauseScope::from(agent(who));
        let paused = self.store.paused().await.unwrap();
        paused.into_iter().find(|pause| pause.scope == scope).map(|pause| pause.why)
    }

    async fn until_paused(&self, who: &str) -> String {
        let paused = async {
            loop {
                match self.why_paused(who).await {
                    Some(why) => return why,
                    None => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, paused).await.expect("it is not paused")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_ends_a_lock_out_and_the_waiting_order_is_done() {
    let (office, nancy) = (Office::open(), agent("nancy"));
    office.erp.refuse_login(&nancy, Some("wrong password"));
    let waiting = office.submit("nancy").await;
    let why = office.until_paused("nancy").await;
    assert!(why.contains("wrong password"), "{why}");
    office.erp.refuse_login(&nancy, None);
    let unknown = office.admin().change_password(&agent("nobody"), "new").await;
    assert!(matches!(unknown, Err(CredentialError::Unknown(_))), "{unknown:?}");
    assert!(office.why_paused("nancy").await.is_some(), "nobody unlocked her");
    office.admin().change_password(&nancy, "new").await.unwrap();
    assert_eq!(office.credentials.credentials(&nancy).unwrap().password, "new");
    assert_eq!(office.why_paused("nancy").await, None);
    assert!(matches!(office.ended("nancy", waiting).await, OperationState::Completed { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unlocking_tries_the_same_password_again_and_a_persons_pause_stays() {
    let (office, nancy) = (Office::open(), agent("nancy"));
    office.erp.refuse_login(&nancy, Some("Account bloccato"));
    let waiting = office.submit("nancy").await;
    office.until_paused("nancy").await;
    office.erp.refuse_login(&nancy, None);
    office.admin().unlock(&nancy).await.unwrap();
    assert!(matches!(office.ended("nancy", waiting).await, OperationState::Completed { .. }));
    office.admin().unlock(&nancy).await.unwrap();
    let unknown = office.admin().unlock(&agent("nobody")).await;
    assert!(matches!(unknown, Err(CredentialError::Unknown(_))), "{unknown:?}");
    office.archibald.pause(&nancy.clone().into(), "holidays", false).await.unwrap();
    office.admin().unlock(&nancy).await.unwrap();
    office.admin().change_password(&nancy, "new").await.unwrap();
    assert_eq!(office.why_paused("nancy").await.as_deref(), Some("holidays"));
}

/// Says what holds, and before the first answer arrives something happens.
struct JustThen {
    credentials: Arc<FixedCredentials>,
    then: Mutex<Option<BoxFuture<'static, ()>>>,
    asked: AtomicU32,
}

#[async_trait]
impl CredentialProvider for JustThen {
    fn credentials(&self, agent: &AgentId) -> Option<Credentials> {
        self.credentials.credentials(agent)
    }

    fn agents(&self) -> Vec<AgentId> {
        self.credentials.agents()
    }

    async fn current(&self, agent: &AgentId) -> Result<Option<Credentials>, StoreError> {
        let was = self.credentials.credentials(agent);
        self.asked.fetch_add(1, SeqCst);
        let then = self.then.lock().unwrap().take();
        if let Some(then) = then {
            then.await;
        }
        Ok(was)
    }
}

/// An office whose worker asks for credentials only when a login was refused.
fn office_of(then: &Arc<JustThen>) -> (Arc<MemoryStore>, Arc<FakeErp>, Archibald) {
    let (store, erp) = (Arc::new(MemoryStore::default()), FakeErp::new(4));
    let archibald = Archibald::builder(Ports::new(store.clone(), erp.clone(), then.clone()))
        .kept_agents(then.credentials.clone())
        .config(quick())
        .build()
        .unwrap();
    (store, erp, archibald)
}

fn just_then() -> Arc<JustThen> {
    let credentials = Arc::new(FixedCredentials::new().with(agent("nancy"), "nancy", "old"));
    Arc::new(JustThen { credentials, then: Mutex::default(), asked: AtomicU32::new(0) })
}

/// Else the new password would lie untried until somebody says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_out_is_of_the_password_that_was_tried_and_not_of_the_one_that_came_meanwhile() {
    // Before the lock-out is stored; and before the ERP said no, so that there is none.
    for is_later in [true, false] {
        let (nancy, provider) = (agent("nancy"), just_then());
        let (store, erp, archibald) = office_of(&provider);
        let old = provider.credentials.credentials(&nancy).unwrap();
        erp.refuse_login_with(&nancy, old, "wrong password");
        let (admin, changed) = (archibald.agent_admin().unwrap(), nancy.clone());
        let change = async move { admin.change_password(&changed, "new").await.unwrap() };
        if is_later {
            *provider.then.lock().unwrap() = Some(change.boxed());
        } else {
            change.await;
        }
        let worker = archibald.start();
        let waiting = archibald.enqueue(submission("nancy")).await.unwrap().record.operation.id;
        let looked_twice = async {
            while provider.asked.load(SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looked_twice).await.expect("the lock-out is not looked at again");
        erp.refuse_login(&nancy, None);
        let ended = archibald.wait(&nancy, waiting, PATIENCE).await.unwrap().unwrap().operation.state;
        assert!(matches!(ended, OperationState::Completed { .. }), "{ended:?}");
        assert_eq!(store.paused().await.unwrap(), []);
        drop(worker);
    }
}

/// A person said so before, and says so still when the ERP lets her in again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_out_leaves_a_persons_pause_as_it_was() {
    let (nancy, provider) = (agent("nancy"), just_then());
    let (store, erp, archibald) = office_of(&provider);
    let old = provider.credentials.credentials(&nancy).unwrap();
    erp.refuse_login_with(&nancy, old, "Account bloccato");
    // The ERP has said no, and it is not stored yet.
    let (other, scope) = (archibald.clone(), PauseScope::from(nancy.clone()));
    let pause = async move { other.pause(&scope, "holidays", true).await.unwrap() };
    *provider.then.lock().unwrap() = Some(pause.boxed());
    let _worker = archibald.start();
    let waiting = archibald.enqueue(submission("nancy")).await.unwrap().record.operation.id;
    let why = |pauses: Vec<Pause>| pauses.into_iter().next().map(|pause| (pause.why, pause.drains));
    let locked = async {
        loop {
            match why(store.paused().await.unwrap()) {
                Some(why) if LoginError::is_lockout(&why.0) => return why,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let (reason, drains) = tokio::time::timeout(PATIENCE, locked).await.expect("it is not locked out");
    assert!(reason.starts_with("holidays; the ERP refused the login of user"), "{reason}");
    assert!(drains, "the person's pause is as it was");
    erp.refuse_login(&nancy, None);
    archibald.agent_admin().unwrap().unlock(&nancy).await.unwrap();
    assert_eq!(why(store.paused().await.unwrap()), Some(("holidays".to_owned(), true)));
    let waits = archibald.get(&nancy, waiting).await.unwrap().unwrap().operation.state;
    assert!(!matches!(waits, OperationState::Completed { .. }), "{waits:?}");
    archibald.resume(&nancy.clone().into()).await.unwrap();
    let ended = archibald.wait(&nancy, waiting, PATIENCE).await.unwrap().unwrap().operation.state;
    assert!(matches!(ended, OperationState::Completed { .. }), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_of_an_agent_that_is_removed_ends_with_it() {
    let (office, nancy) = (Office::open(), agent("nancy"));
    let done = office.submit("nancy").await;
    assert!(matches!(office.ended("nancy", done).await, OperationState::Completed { .. }));
    assert_eq!(office.erp.ended(), []);
    office.admin().remove(&nancy).await.unwrap();
    assert_eq!(office.erp.ended(), std::slice::from_ref(&nancy));
    // Somebody removed her in another process: this one still may have a session.
    assert!(matches!(office.admin().remove(&nancy).await, Err(CredentialError::Unknown(_))));
    assert_eq!(office.erp.ended(), [nancy.clone(), nancy]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_added_works_and_one_with_something_to_do_is_not_removed() {
    let (office, janet) = (Office::open(), agent("janet"));
    assert!(!office.archibald.knows(&janet));
    let unknown = office.admin().remove(&janet).await;
    assert!(matches!(unknown, Err(CredentialError::Unknown(_))), "{unknown:?}");
    let credentials = Credentials { user: "janet".into(), password: "secret".into() };
    office.admin().add(&janet, &credentials).await.unwrap();
    let done = office.submit("janet").await;
    assert!(matches!(office.ended("janet", done).await, OperationState::Completed { .. }));

    office.archibald.pause(&janet.clone().into(), "by hand", false).await.unwrap();
    let waiting = office.submit("janet").await;
    let busy = office.admin().remove(&janet).await.unwrap_err();
    let is_named =
        matches!(&busy, CredentialError::Busy { operation, state: "available", .. } if *operation == waiting);
    assert!(is_named, "{busy}");
    assert!(office.archibald.knows(&janet));
    office.archibald.cancel(&janet, waiting, "operator").await.unwrap();
    office.admin().remove(&janet).await.unwrap();
    assert!(!office.archibald.knows(&janet));
    assert!(office.archibald.get(&janet, done).await.unwrap().is_some(), "what it did stays");
}

/// What runs or is in doubt is not final: a person has to decide a doubt while there is somebody whose it is.
#[tokio::test]
async fn an_agent_with_a_doubt_is_not_removed() {
    let (office, nancy) = (Office::without_worker(), agent("nancy"));
    let operation = office.submit("nancy").await;
    let worker = WorkerId::new("w1").unwrap();
    let request = LeaseRequest { agent: nancy.clone(), operation, worker, ttl: Duration::from_secs(60) };
    let lease = office.store.lease(&request).await.unwrap().lease;
    let busy = office.admin().remove(&nancy).await.unwrap_err();
    assert!(matches!(&busy, CredentialError::Busy { state: "running", .. }), "{busy}");
    office.store.settle(&lease, Disposition::Doubt { evidence: "who knows".into() }.into()).await.unwrap();
    let busy = office.admin().remove(&nancy).await.unwrap_err();
    assert!(matches!(&busy, CredentialError::Busy { state: "in_doubt", .. }), "{busy}");
    let abandon = Resolution::Abandon;
    office.archibald.resolve(&nancy, operation, "operator", &abandon).await.unwrap();
    office.admin().remove(&nancy).await.unwrap();
}

/// In the moment in which an agent is removed one more operation of it is accepted.
struct Meanwhile {
    credentials: Arc<FixedCredentials>,
    archibald: OnceLock<Archibald>,
}

#[async_trait]
impl CredentialStore for Meanwhile {
    async fn list(&self, after: &str, limit: u32) -> Result<Vec<ListedAgent>, StoreError> {
        self.credentials.list(after, limit).await
    }

    async fn find(&self, agent: &AgentId) -> Result<Option<ListedAgent>, StoreError> {
        self.credentials.find(agent).await
    }

    async fn add(&self, agent: &AgentId, credentials: &Credentials) -> Result<(), CredentialError> {
        self.credentials.add(agent, credentials).await
    }

    async fn remove(&self, agent: &AgentId) -> Result<(), CredentialError> {
        self.archibald.get().unwrap().enqueue(submission(agent.as_str())).await.unwrap();
        CredentialStore::remove(self.credentials.as_ref(), agent).await
    }

    async fn change_password(&self, agent: &AgentId, password: &str) -> Result<(), CredentialError> {
        self.credentials.change_password(agent, password).await
    }
}

#[tokio::test]
async fn an_agent_that_is_asked_for_something_while_it_is_removed_is_there_again() {
    let (store, erp, nancy) = (Arc::new(MemoryStore::default()), FakeErp::new(4), agent("nancy"));
    let credentials = Arc::new(FixedCredentials::new().with(nancy.clone(), "nancy", "secret"));
    let meanwhile = Arc::new(Meanwhile { credentials: credentials.clone(), archibald: OnceLock::new() });
    let archibald = Archibald::builder(Ports::new(store, erp, credentials.clone()))
        .kept_agents(meanwhile.clone())
        .config(quick())
        .build()
        .unwrap();
    assert!(meanwhile.archibald.set(archibald.clone()).is_ok());
    let busy = archibald.agent_admin().unwrap().remove(&nancy).await.unwrap_err();
    assert!(matches!(&busy, CredentialError::Busy { state: "available", .. }), "{busy}");
    assert_eq!(credentials.credentials(&nancy).unwrap().password, "secret");
}
