//! Kill -9 while orders are made, submitted and done: a pending order and its operation never disagree.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod child;

use std::collections::BTreeMap;

use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::OperationState;
use archibald_core::pending_order::{PendingOrder, PendingOrderState};
use archibald_core::port::{EventBus, EventRead, OperationFilter, OperationStore, PendingOrderStore};
use archibald_core::{event::Cursor, record::OperationRecord};
use archibald_sqlite::{SqliteOptions, SqliteStore};

use child::{Child, pending_orders::agents};

const ROUNDS: u32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_order_and_its_operation_never_disagree() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archibald.db");
    // The last version of each that was acknowledged.
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = [0; 3];
    for round in 0..ROUNDS {
        let mut child = Child::start_round("pending-orders", &file, round);
        let mut lines = vec![];
        for _ in 0..(40 + round * 17) {
            lines.push(child.line().expect("the child works until it is killed"));
        }
        lines.extend(child.kill());
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            let ["has", id, version] = words[..] else { continue };
            acknowledged.insert(id.to_owned(), version.parse().unwrap());
        }
        let store = SqliteStore::open(&file, SqliteOptions::default()).await.unwrap();
        let mut there = BTreeMap::new();
        for agent in agents() {
            let (operations, told) = (operations(&store, &agent).await, told(&store, &agent).await);
            for order in pending_orders(&store, &agent).await {
                seen[agree(&order, &operations)] += 1;
                assert_eq!(told.get(&order.id.to_string()), Some(&order.version), "{order:?}");
                there.insert(order.id.to_string(), order.version);
            }
        }
        let lost = acknowledged.iter().find(|(id, version)| there.get(*id).is_none_or(|kept| kept < version));
        assert_eq!(lost, None, "round {round}");
        store.close().await;
    }
    println!("{ROUNDS} kills; seen editing, submitting, submitted: {seen:?}");
    assert!(seen.iter().all(|seen| *seen > 0), "every state was seen: {seen:?}");
}

#[test]
fn the_child() {
    child::main();
}

/// Whether both say the same: which of the three states it is.
fn agree(order: &PendingOrder, operations: &BTreeMap<OperationId, OperationRecord>) -> usize {
    let of_this = |record: &&OperationRecord| record.operation.pending_order() == Some(order.id);
    let holder = operations.values().filter(of_this).find(|record| record.operation.state.holds_target());
    let state = holder.map(|record| &record.operation.state);
    match (&order.state, holder.map(|record| record.operation.id)) {
        (PendingOrderState::Editing { .. }, None) => 0,
        (PendingOrderState::Submitting { operation }, Some(id)) if *operation == id => {
            assert!(!state.is_some_and(OperationState::is_final), "{order:?} {state:?}");
            1
        }
        (PendingOrderState::Submitted { operation, .. }, Some(id)) if *operation == id => {
            assert!(matches!(state, Some(OperationState::Completed { .. })), "{order:?} {state:?}");
            2
        }
        _ => panic!("{order:?} {holder:?}"),
    }
}

async fn operations(store: &SqliteStore, agent: &AgentId) -> BTreeMap<OperationId, OperationRecord> {
    let mut all = BTreeMap::new();
    let mut filter = OperationFilter { limit: 500, ..OperationFilter::default() };
    loop {
        let page = store.list(agent, &filter).await.unwrap();
        all.extend(page.records.into_iter().map(|record| (record.operation.id, record)));
        filter.before = page.next;
        if filter.before.is_none() {
            return all;
        }
    }
}

async fn pending_orders(store: &SqliteStore, agent: &AgentId) -> Vec<PendingOrder> {
    let (mut all, mut before) = (vec![], None);
    loop {
        let page = store.page(agent, before, 500).await.unwrap();
        all.extend(page.orders);
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

/// The last version of each that the agent's log tells of.
async fn told(store: &SqliteStore, agent: &AgentId) -> BTreeMap<String, u64> {
    let head = store.head(agent).await.unwrap();
    let start = Cursor { epoch: head.epoch, seq: 0 };
    let EventRead::Batch { events, .. } = store.read(agent, start, u32::MAX).await.unwrap() else {
        panic!("the whole log is there")
    };
    let versions = events.iter().filter_map(|event| {
        let data = &event.event.data;
        Some((data.get("pending_order")?.as_str()?.to_owned(), data.get("version")?.as_u64()?))
    });
    versions.collect()
}
