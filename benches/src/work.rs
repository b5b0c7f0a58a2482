//! The operations that are run, and the ledger that proves that each ran once, in order and alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use archibald_core::error::FieldError;
use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, Target};
use archibald_core::operation::{Class, NewOperation};
use archibald_runtime::{Action, ActionContext, Completion, Interrupted, ReadAction};
use async_trait::async_trait;
use futures::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Failure;
use crate::store::Three;

/// Callers that enqueue together.
const CALLERS: usize = 50;

/// The name of the kind that is run.
///
/// # Errors
/// Never: the name is a good one.
pub fn kind() -> Result<OperationKind, Failure> {
    Ok(OperationKind::new("bench")?)
}

/// An agent by number.
///
/// # Errors
/// Never: the name is a good one.
pub fn agent(number: usize) -> Result<AgentId, Failure> {
    Ok(AgentId::new(format!("agent-{number:06}"))?)
}

/// An operation that takes this long.
///
/// # Errors
/// Never: the names are good ones.
pub fn operation(agent: AgentId, key: usize, takes: Duration) -> Result<NewOperation, Failure> {
    Ok(NewOperation {
        id: OperationId(Uuid::now_v7()),
        agent,
        kind: kind()?,
        class: Class::Interactive,
        key: OperationKey::new(format!("k{key}"))?,
        target: None,
        once_per_target: false,
        payload: json!({ "micros": u64::try_from(takes.as_micros())? }),
        run_at: None,
        origin: None,
        queue_limit: 10_000_000,
        trace: false,
    })
}

/// Takes exactly so long: tokio's own timer knows whole milliseconds alone, and would make one of 20 ms take 21 or 22.
/// Cancel safe.
pub async fn takes(duration: Duration) {
    async_io::Timer::after(duration).await;
}

/// When operations were asked for.
#[derive(Debug)]
pub struct Asked {
    /// Each one.
    pub at: HashMap<OperationId, Instant>,
    /// From the first request to the last answer.
    pub took: Duration,
}

/// Enqueues all, by fifty callers at once, each agent's in order.
///
/// # Errors
/// What the store says.
pub async fn enqueue(store: &Three, all: Vec<NewOperation>) -> Result<Asked, Failure> {
    let mut lines: HashMap<AgentId, Vec<NewOperation>> = HashMap::new();
    all.into_iter().for_each(|new| lines.entry(new.agent.clone()).or_default().push(new));
    let started = Instant::now();
    let mut lines = futures::stream::iter(lines.into_values().map(|line| {
        let store = store.store.clone();
        async move {
            let mut asked = vec![];
            for new in line {
                asked.push((new.id, Instant::now()));
                store.enqueue(new).await?;
            }
            Ok::<_, Failure>(asked)
        }
    }))
    .buffer_unordered(CALLERS);
    let mut at = HashMap::new();
    while let Some(line) = lines.next().await {
        at.extend(line?);
    }
    Ok(Asked { at, took: started.elapsed() })
}

/// What was seen of the operations while they ran.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Whose operations are not among the others'.
    apart: Option<AgentId>,
    state: Mutex<State>,
    ended: watch::Sender<Ended>,
}

/// How many have ended.
#[derive(Debug, Default, Clone, Copy)]
struct Ended {
    all: usize,
    others: usize,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<AgentId, OperationId>,
    last: HashMap<AgentId, u64>,
    starts: HashMap<OperationId, (AgentId, Instant)>,
    broken: Broken,
}

/// How often a promise was broken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Two of an agent at once.
    pub overlaps: u64,
    /// A later one of an agent before an earlier one.
    pub order_breaks: u64,
    /// One that was started again.
    pub double_starts: u64,
}

impl Ledger {
    /// One that counts apart what ends of an agent.
    #[must_use]
    pub fn with_apart(agent: AgentId) -> Self {
        Self { apart: Some(agent), ..Self::default() }
    }

    /// The action whose runs it notes.
    #[must_use]
    pub fn action(self: &Arc<Self>) -> Action {
        Action::Read(Arc::new(Noted(self.clone())))
    }

    /// Waits until so many have ended.
    ///
    /// # Errors
    /// When the time is over before.
    pub async fn until(&self, count: usize, limit: Duration) -> Result<(), Failure> {
        self.until_of(|ended| ended.all, count, limit).await
    }

    /// Waits until so many have ended that are not of the agent apart.
    ///
    /// # Errors
    /// When the time is over before.
    pub async fn until_others(&self, count: usize, limit: Duration) -> Result<(), Failure> {
        self.until_of(|ended| ended.others, count, limit).await
    }

    async fn until_of(
        &self,
        which: fn(&Ended) -> usize,
        count: usize,
        limit: Duration,
    ) -> Result<(), Failure> {
        let mut ended = self.ended.subscribe();
        let enough = tokio::time::timeout(limit, ended.wait_for(|ended| which(ended) >= count)).await;
        match enough {
            Ok(_) => Ok(()),
            Err(_) => {
                let so_far = which(&self.ended.borrow());
                Err(format!("{so_far} of {count} operations ended within {limit:?}").into())
            }
        }
    }

    /// When each was first started.
    #[must_use]
    pub fn starts(&self) -> HashMap<OperationId, (AgentId, Instant)> {
        self.state().starts.clone()
    }

    /// Which promises were broken.
    #[must_use]
    pub fn broken(&self) -> Broken {
        self.state().broken
    }

    fn start(&self, agent: &AgentId, operation: OperationId, position: u64) {
        let mut state = self.state();
        if state.running.insert(agent.clone(), operation).is_some() {
            state.broken.overlaps += 1;
        }
        if state.last.insert(agent.clone(), position).is_some_and(|last| last > position) {
            state.broken.order_breaks += 1;
        }
        if state.starts.insert(operation, (agent.clone(), Instant::now())).is_some() {
            state.broken.double_starts += 1;
        }
    }

    fn end(&self, agent: &AgentId) {
        self.state().running.remove(agent);
        let is_other = self.apart.as_ref() != Some(agent);
        self.ended.send_modify(|ended| {
            ended.all += 1;
            ended.others += usize::from(is_other);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broken {
    /// An error that names what was broken, if anything was.
    ///
    /// # Errors
    /// That one.
    pub fn check(self) -> Result<(), Failure> {
        if self == Self::default() { Ok(()) } else { Err(format!("the run does not count: {self:?}").into()) }
    }
}

struct Noted(Arc<Ledger>);

#[async_trait]
impl ReadAction for Noted {
    fn kind(&self) -> OperationKind {
        OperationKind::new("bench").expect("letters alone")
    }

    fn class(&self) -> Class {
        Class::Interactive
    }

    fn validate(&self, _: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        Ok(None)
    }

    async fn run(&self, context: &ActionContext<'_>) -> Result<Completion, Interrupted> {
        let operation = context.operation;
        self.0.start(&operation.agent, operation.id, operation.position);
        let micros = operation.payload["micros"].as_u64().unwrap_or(0);
        if micros > 0 {
            takes(Duration::from_micros(micros)).await;
        }
        self.0.end(&operation.agent);
        Ok(Completion { result: json!({}), rows: vec![] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broken_promise_is_counted() {
        let (ledger, nancy) = (Ledger::default(), agent(1).unwrap());
        let ids = [1, 2, 3].map(|n| OperationId(Uuid::from_u128(n)));
        ledger.start(&nancy, ids[0], 1);
        ledger.end(&nancy);
        ledger.start(&nancy, ids[2], 3);
        ledger.end(&nancy);
        assert_eq!(ledger.broken(), Broken::default());
        ledger.start(&nancy, ids[1], 2);
        ledger.start(&nancy, ids[2], 3);
        assert_eq!(ledger.broken(), Broken { overlaps: 1, order_breaks: 1, double_starts: 1 });
        assert!(ledger.broken().check().is_err());
    }
}
