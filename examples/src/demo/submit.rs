//! Submits: first every agent's sync as background work, then the agent's orders, each until it is acknowledged.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use archibald_core::id::{AgentId, OperationId};
use archibald_testing::data::Order;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::api::{Api, CallError};
use super::error::DemoError;
use super::sightings::Sightings;

/// How long an agent's orders wait for the agent's sync to run, so that it has to give way.
const SYNC_START: Duration = Duration::from_secs(5);

/// What the servers acknowledged.
#[derive(Debug, Default)]
pub(super) struct Submitted {
    acceptances: Mutex<Vec<Acceptance>>,
    redriven: AtomicU64,
}

/// An acknowledged operation.
#[derive(Debug, Clone)]
pub(super) struct Acceptance {
    pub(super) operation: OperationId,
    pub(super) agent: AgentId,
    /// `None` for a sync.
    pub(super) order: Option<Order>,
}

/// Submits for one agent.
#[derive(Debug)]
pub(super) struct Submitter {
    pub(super) agent: AgentId,
    pub(super) orders: Vec<Order>,
    pub(super) api: Api,
    pub(super) sightings: Arc<Sightings>,
    pub(super) submitted: Arc<Submitted>,
    /// Kinds of syncs that are asked for after the orders.
    pub(super) after: &'static [&'static str],
    /// Decides which server is asked.
    pub(super) seed: u64,
    /// Put before each key; empty where the store is new.
    pub(super) prefix: String,
    /// When to give up; never, where whoever waits for it ends it.
    pub(super) until: Option<Instant>,
}

impl Submitted {
    /// All so far.
    pub(super) fn all(&self) -> Vec<Acceptance> {
        self.acceptances.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One more was sent again after a refusal.
    pub(super) fn add_redriven(&self) {
        self.redriven.fetch_add(1, Relaxed);
    }

    /// How often something was sent again after a refusal.
    pub(super) fn redriven(&self) -> u64 {
        self.redriven.load(Relaxed)
    }

    /// One more was acknowledged.
    pub(super) fn add(&self, acceptance: Acceptance) {
        self.acceptances.lock().unwrap_or_else(PoisonError::into_inner).push(acceptance);
    }
}

impl Submitter {
    /// Submits everything. What was acknowledged before the future is dropped stays in `submitted`.
    ///
    /// # Errors
    /// [`DemoError::Refused`] and [`DemoError::GaveUp`] name the operation, [`DemoError::UsedStore`] too.
    pub(super) async fn run(mut self) -> Result<(), DemoError> {
        let mut dice = StdRng::seed_from_u64(self.seed);
        let sync =
            json!({ "kind": "sync-customers", "payload": {}, "key": format!("{}sync-1", self.prefix) });
        let sync = self.submit(&sync, None, &mut dice).await?;
        let started = self.sightings.until(|report| report.timeline.has_started(sync));
        // Whether it runs by then or not, the orders are what matters.
        let _ = timeout(SYNC_START, started).await;
        for order in std::mem::take(&mut self.orders) {
            let key = format!("{}order-{}", self.prefix, order.id);
            let body = json!({ "kind": "submit-order", "payload": payload(&order), "key": key });
            self.submit(&body, Some(order), &mut dice).await?;
        }
        for kind in self.after {
            let sync = json!({ "kind": kind, "payload": {}, "key": format!("{}{kind}", self.prefix) });
            self.submit(&sync, None, &mut dice).await?;
        }
        Ok(())
    }

    /// The same body again and again until a server has it on disk.
    async fn submit(
        &self,
        body: &Value,
        order: Option<Order>,
        dice: &mut StdRng,
    ) -> Result<OperationId, DemoError> {
        let began = Instant::now();
        let key = body["key"].as_str().unwrap_or_default();
        let what = format!("submitting {key} of {}", self.agent);
        let mut pause = Duration::from_millis(20);
        let mut first = true;
        loop {
            let server = dice.random_range(0..self.api.servers().max(1));
            let last = match self.api.submit(server, &self.agent, body).await {
                Ok(accepted) if accepted.replayed && first => {
                    return Err(DemoError::UsedStore { agent: self.agent.to_string(), key: key.to_owned() });
                }
                Ok(accepted) => {
                    let (operation, agent) = (accepted.id, self.agent.clone());
                    self.submitted.add(Acceptance { operation, agent, order });
                    return Ok(operation);
                }
                Err(CallError::Refused(status, text)) => {
                    return Err(DemoError::Refused { what, status: status.as_u16(), text });
                }
                Err(CallError::Unavailable(last)) => last,
            };
            if self.until.is_some_and(|until| Instant::now() + pause >= until) {
                return Err(DemoError::GaveUp { what, within: began.elapsed(), last });
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
            first = false;
        }
    }
}

/// What `submit-order` takes.
pub(super) fn payload(order: &Order) -> Value {
    let line = |line: &archibald_testing::data::Line| json!({ "product": line.product, "quantity": line.quantity, "discount": line.discount });
    let lines: Vec<Value> = order.lines.iter().map(line).collect();
    json!({ "customer": order.customer, "date": order.date, "lines": lines })
}

#[cfg(test)]
mod tests {
    use super::*;
    use archibald_core::erp::WantedOrder;
    use archibald_testing::data::DataSet;

    #[test]
    fn a_payload_is_what_the_kind_expects() {
        let data = DataSet::generate(1, 1, 3);
        for order in &data.orders {
            let wanted: WantedOrder = serde_json::from_value(payload(order)).unwrap();
            assert_eq!(
                (wanted.customer.as_str(), wanted.lines.len()),
                (order.customer.as_str(), order.lines.len())
            );
            assert_eq!(wanted.date.to_string(), order.date.to_string());
            assert_eq!(wanted.lines[0].discount.to_string(), order.lines[0].discount.to_string());
        }
    }
}
