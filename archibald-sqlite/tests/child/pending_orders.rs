use std::sync::Arc;

use archibald_core::id::{AgentId, OperationKey, PendingOrderId};
use archibald_core::operation::NewOperation;
use archibald_core::pending_order::{NewPendingOrder, OrderContent, PendingOrder, PendingOrderEdit};
use archibald_core::port::{AgentLock, OperationStore, PendingOrderStore};
use archibald_core::record::Disposition;
use archibald_sqlite::SqliteStore;
use serde_json::json;
use uuid::Uuid;

use super::{lease_request, new_operation, say};

pub(crate) fn agents() -> impl Iterator<Item = AgentId> {
    (0..4).map(|n| AgentId::new(format!("agent-{n}")).unwrap())
}

/// Four agents that make orders, submit every second one, and have every second of those done and the others
/// rejected. Each line says which version was acknowledged before it was written.
pub(super) async fn work(store: Arc<SqliteStore>, round: u32) {
    let agents = agents().map(|agent| tokio::spawn(work_as(store.clone(), agent, round)));
    futures::future::join_all(agents).await;
}

async fn work_as(store: Arc<SqliteStore>, agent: AgentId, round: u32) {
    for n in 0u32.. {
        let key = format!("{round}-{n}");
        let new = NewPendingOrder {
            id: PendingOrderId(Uuid::now_v7()),
            agent: agent.clone(),
            key: OperationKey::new(&key).unwrap(),
            content: content("ALFKI"),
            origin: None,
        };
        let order = store.create(new).await.unwrap().order;
        told(&order);
        let edit = PendingOrderEdit { expected: order.version, content: content("ANATR"), origin: None };
        let order = store.edit(&agent, order.id, &edit).await.unwrap();
        told(&order);
        if n % 2 == 0 {
            submit(&store, &order, &key, n).await;
        }
    }
}

async fn submit(store: &SqliteStore, order: &PendingOrder, key: &str, n: u32) {
    let new = NewOperation {
        target: Some(order.id.target()),
        once_per_target: true,
        payload: order.payload(),
        ..new_operation(order.agent.as_str(), key)
    };
    let id = store.submit(new).await.unwrap().record.operation.id;
    let told_of = async || told(&store.find(&order.agent, order.id).await.unwrap().unwrap());
    told_of().await;
    let lease = store.lease(&lease_request(order.agent.as_str(), id)).await.unwrap().lease;
    let end = match n % 4 {
        0 => Disposition::Complete { result: json!({ "order": key }) },
        _ => Disposition::Reject { why: "no such customer".to_owned(), refused: None },
    };
    store.settle(&lease, end.into()).await.unwrap();
    told_of().await;
}

fn content(customer: &str) -> OrderContent {
    OrderContent { customer: Some(customer.to_owned()), ..OrderContent::default() }
}

fn told(order: &PendingOrder) {
    say(&format!("has {} {}", order.id, order.version));
}
