//! Orders that somebody places on the page, each asked for until it is acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archibald_core::id::AgentId;
use archibald_testing::data::Order;
use serde_json::json;
use tokio::time::sleep;

use super::super::api::CallError;
use super::super::report::progress;
use super::super::submit::{Acceptance, payload};
use super::Props;

const LONGEST_PAUSE: Duration = Duration::from_millis(500);
static PLACED: AtomicU64 = AtomicU64::new(0);

/// Tells that an order of the agent's is placed, and places it in a task of its own.
pub(super) fn place_one(props: &Props, agent: AgentId) {
    props.stage.update(|scene| scene.tell("order.placed", json!({ "agent": agent })));
    tokio::spawn(place(props.clone(), agent));
}

/// Places an order of the agent's, the way a device does: the same body under the same key until a server has it on
/// disk, however often the server goes away meanwhile.
pub(super) async fn place(props: Props, agent: AgentId) {
    let number = PLACED.fetch_add(1, Ordering::Relaxed);
    let Some(order) = next(&props, &agent, number) else {
        return progress(&format!("the data has no order for {agent}"));
    };
    props.stage.update(|scene| scene.figures.asked += 1);
    let key = format!("{}placed-{number}", props.prefix);
    let body = json!({ "kind": "submit-order", "payload": payload(&order), "key": key });
    let mut pause = Duration::from_millis(20);
    loop {
        match props.api.submit(0, &agent, &body).await {
            Ok(accepted) => {
                let operation = accepted.id;
                return props.submitted.add(Acceptance { operation, agent, order: Some(order) });
            }
            Err(CallError::Refused(status, text)) => {
                props.stage.update(|scene| scene.figures.asked -= 1);
                return progress(&format!("an order of {agent} was refused with {status}: {text}"));
            }
            Err(CallError::Unavailable(_)) => {}
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One like those of the data, under an id of its own.
fn next(props: &Props, agent: &AgentId, number: u64) -> Option<Order> {
    let data = &props.workload;
    let good = |order: &&Order| order.agent == agent.as_str() && !data.is_refusable(order);
    let orders: Vec<&Order> = data.orders.iter().filter(good).collect();
    let index = usize::try_from(number).unwrap_or(0) % orders.len().max(1);
    orders.get(index).map(|order| Order { id: 1_000_000 + number, ..(*order).clone() })
}
