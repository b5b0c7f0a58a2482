//! Who changes things: through the ports, and in transactions of their own.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::error::{EnqueueError, FenceError};
use archibald_core::id::{AgentId, OperationId, OperationKey, OperationKind, PendingOrderId, WorkerId};
use archibald_core::operation::{Class, NewOperation};
use archibald_core::pending_order::{NewPendingOrder, OrderContent, PendingOrderEdit, PendingOrderError};
use archibald_core::port::{AdminError, LeaseError, LeaseRequest};
use archibald_core::record::Disposition;
use archibald_pg::PgStore;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::chance::Chance;
use super::ledger::{Change, Outcome, Verb};
use super::server::Hands;
use super::stage::Stage;
use crate::Failure;

/// How long a writer waits that cannot know what became of its change.
const AGAIN: Duration = Duration::from_millis(20);
/// How long a change may take before its writer gives up on it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Operations or pending orders that a writer has open at most.
const MOST: usize = 12;

/// Changes what one agent has until so many changes are made by all.
pub(crate) struct Writer {
    stage: Arc<Stage>,
    agent: AgentId,
    chance: Chance,
    operations: Vec<OperationId>,
    drafts: Vec<(PendingOrderId, u64)>,
}

impl Writer {
    pub(crate) fn new(stage: Arc<Stage>, agent: AgentId, chance: Chance) -> Self {
        Self { stage, agent, chance, operations: vec![], drafts: vec![] }
    }

    pub(crate) async fn work(mut self, until: u64) {
        while *self.stage.done.borrow() < until {
            let stage = self.stage.clone();
            let gate = stage.gate.read().await;
            let Some(hands) = stage.hands().await else { return };
            let outcome = match self.chance.happens(60) {
                true => self.operate(&hands).await,
                false => self.draft(&hands).await,
            };
            drop(gate);
            if outcome == Outcome::Unknown {
                sleep(AGAIN).await;
            }
        }
    }

    /// Asks for one more thing, whatever there is.
    pub(crate) async fn once(&mut self) {
        let stage = self.stage.clone();
        if let Some(hands) = stage.hands().await {
            self.enqueue(&hands).await;
        }
    }

    async fn operate(&mut self, hands: &Hands) -> Outcome {
        let few = self.operations.len() < 3 || (self.operations.len() < MOST && self.chance.happens(50));
        if few {
            return self.enqueue(hands).await;
        }
        let operation = self.operations.swap_remove(self.chance.place(self.operations.len()));
        match self.chance.happens(25) {
            true => self.carry_out(hands, operation).await,
            false => self.cancel(hands, operation).await,
        }
    }

    async fn enqueue(&mut self, hands: &Hands) -> Outcome {
        let new = no_op(&self.agent);
        let (id, store) = (new.id, hands.store.clone());
        let call = async move { store.enqueue(new).await.map(drop).map_err(|error| asked_in_vain(&error)) };
        let outcome = self.ask(hands, of_operation(Verb::Queued, id), call).await;
        if outcome == Outcome::Done {
            self.operations.push(id);
        }
        outcome
    }

    async fn cancel(&mut self, hands: &Hands, id: OperationId) -> Outcome {
        let (store, agent) = (hands.store.clone(), self.agent.clone());
        let call = async move {
            store.cancel(&agent, id, "chaos").await.map(drop).map_err(|error| match error {
                AdminError::Store(_) => Outcome::Unknown,
                _ => Outcome::Refused,
            })
        };
        self.ask(hands, of_operation(Verb::Cancelled, id), call).await
    }

    /// As a worker would.
    async fn carry_out(&mut self, hands: &Hands, id: OperationId) -> Outcome {
        let request = LeaseRequest {
            agent: self.agent.clone(),
            operation: id,
            worker: WorkerId::new("chaos").expect("letters alone"),
            ttl: Duration::from_secs(60),
        };
        let lock = hands.lock.clone();
        let (leased, lease) = tokio::sync::oneshot::channel();
        let call = async move {
            let got = lock.lease(&request).await.map_err(|error| match error {
                LeaseError::Store(_) => Outcome::Unknown,
                _ => Outcome::Refused,
            })?;
            leased.send(got.lease).ok();
            Ok(())
        };
        let outcome = self.ask(hands, of_operation(Verb::Started, id), call).await;
        let Ok(lease) = lease.await else {
            // Another one of the agent runs, or ran when its server was killed.
            return if outcome == Outcome::Refused { self.cancel(hands, id).await } else { outcome };
        };
        let store = hands.store.clone();
        let call = async move {
            let done = Disposition::Complete { result: json!({}) };
            store.settle(&lease, done.into()).await.map(drop).map_err(|error| match error {
                FenceError::Store(_) => Outcome::Unknown,
                _ => Outcome::Refused,
            })
        };
        self.ask(hands, of_operation(Verb::Completed, id), call).await
    }

    async fn draft(&mut self, hands: &Hands) -> Outcome {
        if self.drafts.len() < 2 || (self.drafts.len() < MOST && self.chance.happens(10)) {
            return self.create(hands).await;
        }
        let (id, version) = self.drafts.swap_remove(self.chance.place(self.drafts.len()));
        match self.chance.happens(80) {
            true => self.edit(hands, id, version).await,
            false => self.discard(hands, id, version).await,
        }
    }

    async fn create(&mut self, hands: &Hands) -> Outcome {
        let id = PendingOrderId(Uuid::now_v7());
        let new = NewPendingOrder {
            id,
            agent: self.agent.clone(),
            key: key(id.0),
            content: self.content(),
            origin: None,
        };
        let orders = hands.orders.clone();
        let call = async move { orders.create(new).await.map(drop).map_err(|error| drafted_in_vain(&error)) };
        let outcome = self.ask(hands, of_order(Verb::Created, id, 1), call).await;
        if outcome == Outcome::Done {
            self.drafts.push((id, 1));
        }
        outcome
    }

    async fn edit(&mut self, hands: &Hands, id: PendingOrderId, version: u64) -> Outcome {
        let edit = PendingOrderEdit { expected: version, content: self.content(), origin: None };
        let (orders, agent) = (hands.orders.clone(), self.agent.clone());
        let call = async move {
            orders.edit(&agent, id, &edit).await.map(drop).map_err(|error| drafted_in_vain(&error))
        };
        let outcome = self.ask(hands, of_order(Verb::Updated, id, version + 1), call).await;
        if outcome == Outcome::Done {
            self.drafts.push((id, version + 1));
        }
        outcome
    }

    async fn discard(&mut self, hands: &Hands, id: PendingOrderId, version: u64) -> Outcome {
        let (orders, agent) = (hands.orders.clone(), self.agent.clone());
        let call = async move {
            orders.discard(&agent, id, version, None).await.map_err(|error| drafted_in_vain(&error))
        };
        self.ask(hands, of_order(Verb::Deleted, id, version), call).await
    }

    /// Never the same twice, which would be no change.
    fn content(&mut self) -> OrderContent {
        OrderContent { note: Some(format!("{:016x}", self.chance.next())), ..OrderContent::default() }
    }

    async fn ask(
        &self,
        hands: &Hands,
        change: Change,
        call: impl Future<Output = Result<(), Outcome>> + Send + 'static,
    ) -> Outcome {
        self.stage.ledger.ask(change);
        let answered = timeout(PATIENCE, hands.run(call)).await.ok().flatten();
        let outcome = match answered {
            Some(Ok(())) => Outcome::Done,
            Some(Err(outcome)) => outcome,
            None => Outcome::Unknown,
        };
        self.stage.ledger.answer(change, outcome);
        if outcome == Outcome::Done {
            self.stage.did(&self.agent);
        }
        outcome
    }
}

/// Accepts operations in transactions of its own, some of which it rolls back.
pub(crate) struct Foreigner {
    pub(crate) stage: Arc<Stage>,
    pub(crate) store: PgStore,
    pub(crate) url: String,
    pub(crate) chance: Chance,
}

impl Foreigner {
    pub(crate) async fn work(mut self, until: u64) {
        while *self.stage.done.borrow() < until {
            let stage = self.stage.clone();
            let gate = stage.gate.read().await;
            let worked = self.once().await;
            drop(gate);
            // A connection that was cut, as all of them are now and then.
            if worked.is_err() {
                sleep(AGAIN).await;
            }
        }
    }

    async fn once(&mut self) -> Result<(), Failure> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let agent = self.stage.agents[self.chance.place(self.stage.agents.len())].clone();
        let new = no_op(&agent);
        let change = of_operation(Verb::Queued, new.id);
        self.stage.ledger.ask(change);
        let mut tx = connection.begin().await?;
        if let Err(error) = self.store.enqueue_within(&mut tx, new).await {
            // What was never committed never was.
            self.stage.ledger.answer(change, Outcome::Refused);
            return Err(error.into());
        }
        sleep(self.chance.millis(0..5)).await;
        if self.chance.happens(30) {
            self.stage.ledger.answer(change, Outcome::Refused);
            return Ok(tx.rollback().await?);
        }
        tx.commit().await?;
        self.stage.ledger.answer(change, Outcome::Done);
        self.stage.did(&agent);
        // Where it is left out, it is found by a look at the logs.
        if self.chance.happens(70) {
            self.store.committed(&agent);
        }
        Ok(connection.close().await?)
    }
}

fn of_operation(what: Verb, id: OperationId) -> Change {
    Change { what, about: id.0, version: 0 }
}

fn of_order(what: Verb, id: PendingOrderId, version: u64) -> Change {
    Change { what, about: id.0, version }
}

fn asked_in_vain(error: &EnqueueError) -> Outcome {
    if matches!(error, EnqueueError::Store(_)) { Outcome::Unknown } else { Outcome::Refused }
}

fn drafted_in_vain(error: &PendingOrderError) -> Outcome {
    if matches!(error, PendingOrderError::Store(_)) { Outcome::Unknown } else { Outcome::Refused }
}

fn key(id: Uuid) -> OperationKey {
    OperationKey::new(id.to_string()).expect("a UUID is a key")
}

fn no_op(agent: &AgentId) -> NewOperation {
    let id = OperationId(Uuid::now_v7());
    NewOperation {
        id,
        agent: agent.clone(),
        kind: OperationKind::new("bench").expect("letters alone"),
        class: Class::Interactive,
        key: key(id.0),
        target: None,
        once_per_target: false,
        payload: json!({}),
        run_at: None,
        origin: None,
        queue_limit: 1_000_000,
        trace: false,
    }
}
