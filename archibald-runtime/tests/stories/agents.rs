//! Agents that come, go and change while the service runs, and what a refused login leaves.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, OperationId, WorkerId};
use archibald_core::operation::OperationState;
use archibald_core::pause::PauseScope;
use archibald_core::port::{
    AgentAdmin, AgentLock, CredentialError, CredentialProvider, CredentialStore, Credentials, EnqueueRequest,
    LeaseRequest, ListedAgent, OperationStore, Operations,
};
use archibald_core::record::{Disposition, Resolution};
use archibald_runtime::{Archibald, Ports, Worker};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::FakeErp;
use archibald_testing::memory::MemoryStore;
use async_trait::async_trait;

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
    async fn list(&self) -> Result<Vec<ListedAgent>, StoreError> {
        self.credentials.list().await
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
