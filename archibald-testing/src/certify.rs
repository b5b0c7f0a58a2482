//! A certificate for an action of one's own: it is driven through everything that can go wrong around it.
//!
//! Give [`certify`] a [`Subject`]: a fake of the ERP, and a function that puts the product together with the
//! action over the ports that it is handed. In case after case, each with a fresh store in memory and a fresh
//! ERP, one operation is struck at one place: its worker is killed and another one started over the same store, it
//! panics, its future is dropped, its lease is taken away, a call of the store fails before or after it was done,
//! an answer of the ERP is lost whether it did what it was asked to, did not, or does so late. Afterwards it must
//! have completed, having been done exactly once and in one attempt at a time, and the agent's next operation must
//! come to its end too.
//!
//! The places are the [points](crate::failpoint::POINTS) that the action itself passes: four runs that nobody
//! strikes tell which.
//!
//! The test needs no feature of the product but what is shipped; `examples/tests/embed.rs` shows a whole one.

mod case;
mod in_memory;
mod incarnation;
mod report;
mod scratch;
mod strike;
mod trial;
mod way;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::id::WorkerId;
use archibald_core::port::{
    AgentLock, BrowserPool, Clock, CredentialProvider, EventBus, OperationStore, Operations,
};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::case::{Case, Sort, Strike};
pub use self::in_memory::InMemory;
pub use self::report::{Report, Violation, Violations};

use self::case::Ways;
use self::trial::Trial;

/// Cases that run together. They wait for most of their time.
const TOGETHER: usize = 24;

/// What is certified: an action and the ERP that it works on.
pub trait Subject: Send + Sync + 'static {
    /// A fresh ERP, with what the action needs to be there.
    fn erp(&self) -> Arc<dyn Erp>;

    /// Puts the product together over these ports, as a new process would, and starts its worker. Called within
    /// a tokio runtime, which is the process: when it is to crash, that runtime goes.
    fn start(&self, ports: Ports) -> Arc<dyn Operations>;

    /// The `number`-th operation of the action, from 1: each is another one, and has to succeed.
    fn request(&self, number: u32) -> Request;

    /// An interactive operation of any kind, for which the action has to give way; `None` where it has not
    /// to, since it is interactive itself.
    fn urgent(&self) -> Option<Request> {
        None
    }
}

/// The user's fake of the ERP.
#[async_trait]
pub trait Erp: Send + Sync {
    /// Its sessions.
    fn pool(&self) -> Arc<dyn BrowserPool>;

    /// The answer to the next request that changes something is lost.
    fn lose_next_answer(&self, fate: Fate);

    /// Whatever was put off by [`Fate::Late`] is applied now. Called more than once, and also where nothing
    /// was.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn catch_up(&self);

    /// What the ERP did for the action, an entry for each time that it did.
    fn applied(&self) -> Vec<String>;
}

/// What became of the request whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It was applied.
    Applied,
    /// It was not, and never will be.
    NotApplied,
    /// It is applied with the next [`Erp::catch_up`].
    Late,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Applied, Self::NotApplied, Self::Late];
}

/// An operation as a client asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The name of its kind.
    pub kind: String,
    /// Its payload.
    pub payload: Value,
}

/// What the product is put together over in one case.
#[derive(Clone)]
pub struct Ports {
    /// Operations.
    pub store: Arc<dyn OperationStore>,
    /// Leases.
    pub lock: Arc<dyn AgentLock>,
    /// Events.
    pub bus: Arc<dyn EventBus>,
    /// Sessions of the subject's ERP.
    pub pool: Arc<dyn BrowserPool>,
    /// The store's clock.
    pub clock: Arc<dyn Clock>,
    /// One agent.
    pub credentials: Arc<dyn CredentialProvider>,
    /// This process.
    pub worker: WorkerId,
    /// How long things may take.
    pub times: Times,
}

/// What goes into the configuration of the product, each under the name that it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a lease lasts unless it is renewed.
    pub lease: Duration,
    /// What the holder's own deadline is earlier.
    pub lease_margin: Duration,
    /// From the opened gate to the answer of the ERP.
    pub act_budget: Duration,
    /// How long a request may be under way after that: `settle.request`.
    pub settle_request: Duration,
    /// How long lists may lag: `settle.lists`.
    pub settle_lists: Duration,
    /// How often expired leases are ended.
    pub sweep: Duration,
}

impl Times {
    /// Short, and long enough for a machine with other things to do.
    const SHORT: Self = Self {
        lease: Duration::from_millis(1000),
        lease_margin: Duration::from_millis(100),
        act_budget: Duration::from_millis(300),
        settle_request: Duration::from_millis(300),
        settle_lists: Duration::from_millis(50),
        sweep: Duration::from_millis(100),
    };
    /// For what the ERP does late, half-way to where it is settled: somebody looks before, and nobody acts.
    const PATIENT: Self = Self { settle_request: Duration::from_millis(3000), ..Self::SHORT };
}

/// Runs every case that there is for the subject.
///
/// # Errors
/// [`Violations`]: each names its case, what is broken, what the ERP did and the journal.
///
/// # Cancel safety
/// Cancel safe: the cases end with it.
pub async fn certify(subject: impl Subject) -> Result<Report, Violations> {
    certify_only(subject, |_| true).await
}

/// Runs the cases that `wanted` says yes to, after the four runs that nobody strikes.
///
/// # Errors
/// As [`certify`].
///
/// # Cancel safety
/// As [`certify`].
pub async fn certify_only(
    subject: impl Subject,
    wanted: impl Fn(&Case) -> bool,
) -> Result<Report, Violations> {
    let subject: Arc<dyn Subject> = Arc::new(subject);
    let ways = undisturbed(&subject).await?;
    let cases = case::all(&ways, subject.urgent().is_some()).into_iter().filter(|case| wanted(case));
    let mut report = Report::new(&ways);
    let mut broken = Vec::new();
    let mut running = side_by_side(cases.map(|case| {
        let subject = subject.clone();
        async move {
            match Trial::of(subject, case) {
                Ok(trial) => (case, trial.run().await),
                Err(violation) => (case, Err(violation)),
            }
        }
    }));
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok((case, Ok(passed))) => report.note(case, passed),
            Ok((_, Err(violation))) => broken.push(violation),
            Err(error) => broken.push(Violation::of_the_kit(&error.to_string())),
        }
    }
    if broken.is_empty() { Ok(report) } else { Err(Violations(broken)) }
}

/// What an operation passes that nobody strikes, by what becomes of the answer.
async fn undisturbed(subject: &Arc<dyn Subject>) -> Result<Ways, Violations> {
    let fates = [None, Some(Fate::Applied), Some(Fate::NotApplied), Some(Fate::Late)];
    // Side by side, and told in this order: what is wrong with the plainest comes first.
    let mut running: FuturesOrdered<_> = fates
        .into_iter()
        .map(|fate| async move { way::of(subject.clone(), fate).await.map(|way| (fate, way)) })
        .collect();
    let mut ways = Ways::new();
    while let Some(way) = running.next().await {
        let (fate, way) = way.map_err(|violation| Violations(vec![violation]))?;
        ways.insert(fate, way);
    }
    Ok(ways)
}

fn side_by_side<T: Send + 'static>(
    all: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> JoinSet<T> {
    let places = Arc::new(Semaphore::new(TOGETHER));
    let mut running = JoinSet::new();
    for one in all {
        let places = places.clone();
        running.spawn(async move {
            let _place = places.acquire().await;
            one.await
        });
    }
    running
}
