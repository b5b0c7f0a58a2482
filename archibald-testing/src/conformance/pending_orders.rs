use std::collections::HashSet;

use archibald_core::event::Origin;
use archibald_core::id::{AgentId, OperationKey, PendingOrderId};
use archibald_core::pending_order::{
    NewPendingOrder, OPEN_LIMIT, OrderContent, PendingOrder, PendingOrderEdit, PendingOrderError,
};
use futures::future::join_all;
use uuid::Uuid;

use super::checks::{agent, kinds};
use super::{Ports, StoreUnderTest};

/// The same key twenty times at once is one pending order with one event, and stays that after it was edited; with
/// other content it is refused.
pub async fn a_pending_order_is_created_once(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let calls = (0..20).map(|_| {
        let (store, new) = (ports.pending_orders.clone(), new(&nancy, "k"));
        tokio::spawn(async move { store.create(new).await.expect("created") })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let ids: HashSet<_> = answers.iter().map(|answer| answer.order.id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1, "one of them made it");
    let events = ports.log(&nancy).await;
    assert_eq!(kinds(&events), ["pending_order.created"]);
    assert_eq!(events[0].event.origin, by("tablet", "k"));

    let edited = ports.edited(&answers[0].order, "ANATR").await;
    let again = ports.pending_orders.create(new(&nancy, "k")).await.unwrap();
    assert_eq!((again.order, again.replayed), (edited, true), "as it is now");
    let other = NewPendingOrder { content: content("AROUT"), ..new(&nancy, "k") };
    let refused = ports.pending_orders.create(other).await;
    assert!(matches!(refused, Err(PendingOrderError::KeyReused { .. })), "{refused:?}");
    ports.created(&agent("andrew"), "k").await;
}

/// Two devices that edit the same version: one of them wins, the other one gets what there is now, and nobody is
/// told of what was refused.
pub async fn who_edits_an_old_version_overwrites_nothing(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let order = ports.created(&nancy, "k").await;
    let calls = ["ANATR", "AROUT", "BERGS", "BLAUS"].map(|customer| {
        let (store, nancy, edit) = (ports.pending_orders.clone(), nancy.clone(), edit(&order, customer));
        tokio::spawn(async move { store.edit(&nancy, order.id, &edit).await })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let won: Vec<_> = won.into_iter().map(Result::unwrap).collect();
    let [winner] = won.as_slice() else { panic!("one of four wins: {won:?}") };
    assert_eq!((winner.version, winner.created_at), (2, order.created_at));
    for refused in lost {
        let Err(PendingOrderError::Conflict { expected: 1, current }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(*current, *winner);
    }
    let stale = ports.pending_orders.discard(&nancy, order.id, 1, None).await;
    assert!(matches!(stale, Err(PendingOrderError::Conflict { .. })), "{stale:?}");
    assert_eq!(ports.pending_order(winner).await.as_ref(), Some(winner));
    let events = ports.log(&nancy).await;
    assert_eq!(kinds(&events), ["pending_order.created", "pending_order.updated"]);
    assert_eq!(events[1].event.data["version"], 2);
    assert_eq!(events[1].event.data["content"]["customer"], winner.content.customer.clone().unwrap());

    ports.pending_orders.discard(&nancy, order.id, 2, by("phone", "d")).await.unwrap();
    assert_eq!(ports.pending_order(winner).await, None);
    let gone = ports.pending_orders.edit(&nancy, order.id, &edit(winner, "ALFKI")).await;
    assert!(matches!(gone, Err(PendingOrderError::NotFound(_))), "{gone:?}");
    let last = ports.log(&nancy).await.pop().unwrap();
    assert_eq!((last.event.kind.as_str(), last.event.origin), ("pending_order.deleted", by("phone", "d")));
}

/// A device that did not get its answer asks again.
pub async fn a_mutation_that_is_repeated_is_one_change(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let order = ports.created(&nancy, "k").await;
    let edit = edit(&order, "ANATR");
    let first = ports.pending_orders.edit(&nancy, order.id, &edit).await.unwrap();
    let again = ports.pending_orders.edit(&nancy, order.id, &edit).await.unwrap();
    assert_eq!(again, first);
    let nothing_new = PendingOrderEdit { expected: 2, origin: None, ..edit.clone() };
    assert_eq!(ports.pending_orders.edit(&nancy, order.id, &nothing_new).await.unwrap(), first);
    assert_eq!(ports.log(&nancy).await.len(), 2);
    ports.edited(&first, "AROUT").await;
    let late = ports.pending_orders.edit(&nancy, order.id, &edit).await;
    assert!(matches!(late, Err(PendingOrderError::Conflict { .. })), "{late:?}");
}

/// Nobody reaches what is another agent's.
pub async fn pending_orders_of_agents_are_their_own(under: &mut dyn StoreUnderTest) {
    let (ports, nancy, andrew) = (under.ports(), agent("nancy"), agent("andrew"));
    let order = ports.created(&nancy, "k").await;
    let foreign = PendingOrder { agent: andrew.clone(), ..order.clone() };
    assert_eq!(ports.pending_order(&foreign).await, None);
    assert_eq!(ports.pending_orders.page(&andrew, None, 10).await.unwrap().orders, []);
    let edited = ports.pending_orders.edit(&andrew, order.id, &edit(&order, "ANATR")).await;
    assert!(matches!(edited, Err(PendingOrderError::NotFound(_))), "{edited:?}");
    let deleted = ports.pending_orders.discard(&andrew, order.id, 1, None).await;
    assert!(matches!(deleted, Err(PendingOrderError::NotFound(_))), "{deleted:?}");
    assert_eq!(ports.bus.snapshot(&andrew, 10).await.unwrap().pending_orders, []);
    assert_eq!(ports.log(&andrew).await, []);
    assert_eq!(ports.pending_order(&order).await, Some(order));
}

/// Pages neither repeat nor leave out.
pub async fn pending_orders_are_paged_newest_first(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let mut made = vec![];
    for n in 0..5 {
        made.push(ports.created(&nancy, &format!("k{n}")).await);
    }
    made.reverse();
    let (mut seen, mut before) = (vec![], None);
    loop {
        let page = ports.pending_orders.page(&nancy, before, 2).await.unwrap();
        seen.extend(page.orders);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
}

/// One more than is allowed is refused; a deletion makes room, and a repeat is no new one.
pub async fn open_pending_orders_have_a_limit(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let first = ports.created(&nancy, "k0").await;
    let others = (1..OPEN_LIMIT).map(|n| {
        let (ports, nancy) = (ports.clone(), nancy.clone());
        tokio::spawn(async move { ports.created(&nancy, &format!("k{n}")).await })
    });
    for other in join_all(others).await {
        other.unwrap();
    }
    let refused = ports.pending_orders.create(new(&nancy, "more")).await;
    assert!(matches!(refused, Err(PendingOrderError::Full { .. })), "{refused:?}");
    assert!(ports.pending_orders.create(new(&nancy, "k0")).await.unwrap().replayed);
    ports.created(&agent("andrew"), "k").await;
    ports.pending_orders.discard(&nancy, first.id, 1, None).await.unwrap();
    ports.created(&nancy, "more").await;
}

/// Writers of one agent beside each other, some of whose writes are refused: one number after the other, and of each
/// pending order its versions in order.
pub async fn changes_of_a_pending_order_are_told_without_a_hole(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let writers = (0..4).map(|writer| {
        let (ports, nancy) = (ports.clone(), nancy.clone());
        tokio::spawn(async move {
            let mut order = ports.created(&nancy, &format!("k{writer}")).await;
            for n in 0..10 {
                let stale = edit(&PendingOrder { version: 99, ..order.clone() }, "STALE");
                assert!(ports.pending_orders.edit(&nancy, order.id, &stale).await.is_err());
                order = ports.edited(&order, &format!("C{n}")).await;
            }
            ports.pending_orders.discard(&nancy, order.id, order.version, None).await.unwrap();
            order.id
        })
    });
    let ids: Vec<_> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    let log = ports.log(&nancy).await;
    assert_eq!(log.len(), 4 * 12, "a refused write tells nobody");
    for id in ids {
        let of_this = log.iter().filter(|event| event.event.data["pending_order"] == id.to_string());
        let versions: Vec<_> = of_this.filter_map(|event| event.event.data["version"].as_u64()).collect();
        assert_eq!(versions, (1..=11).chain([11]).collect::<Vec<_>>());
    }
}

/// What a device that begins with a snapshot sees is what one sees that followed the log.
pub async fn a_snapshot_has_the_pending_orders_of_its_place(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let writer = {
        let (ports, nancy) = (ports.clone(), nancy.clone());
        tokio::spawn(async move {
            for n in 0..20 {
                let order = ports.created(&nancy, &format!("k{n}")).await;
                let order = ports.edited(&order, "ANATR").await;
                if n % 2 == 0 {
                    ports.pending_orders.discard(&nancy, order.id, order.version, None).await.unwrap();
                }
            }
        })
    };
    let mut snapshots = vec![];
    while !writer.is_finished() {
        snapshots.push(ports.bus.snapshot(&nancy, 10).await.unwrap());
    }
    writer.await.unwrap();
    snapshots.push(ports.bus.snapshot(&nancy, 10).await.unwrap());
    let log = ports.log(&nancy).await;
    for snapshot in snapshots {
        let mut shown = std::collections::BTreeMap::new();
        for event in log.iter().filter(|event| event.seq <= snapshot.cursor.seq) {
            let data = &event.event.data;
            let id = data["pending_order"].as_str().unwrap().to_owned();
            match event.event.kind.as_str() {
                "pending_order.deleted" => shown.remove(&id),
                _ => shown.insert(id, data["version"].as_u64().unwrap()),
            };
        }
        let had = snapshot.pending_orders.iter().map(|order| (order.id.to_string(), order.version));
        assert_eq!(had.rev().collect::<Vec<_>>(), shown.into_iter().collect::<Vec<_>>(), "newest first");
    }
}

/// What was answered is there after the process was started again.
pub async fn pending_orders_outlive_a_restart(under: &mut dyn StoreUnderTest) {
    let nancy = agent("nancy");
    let ports = under.ports();
    let order = ports.created(&nancy, "k").await;
    let order = ports.edited(&order, "ANATR").await;
    drop(ports);
    under.reopen().await;
    let ports = under.ports();
    assert_eq!(ports.pending_order(&order).await.as_ref(), Some(&order));
    assert!(ports.pending_orders.create(new(&nancy, "k")).await.unwrap().replayed);
    assert_eq!(ports.edited(&order, "AROUT").await.version, 3);
}

pub(super) fn by(device: &str, mutation: &str) -> Option<Origin> {
    Some(Origin { device: Some(device.to_owned()), mutation: Some(mutation.to_owned()) })
}

pub(super) fn content(customer: &str) -> OrderContent {
    OrderContent { customer: Some(customer.to_owned()), ..OrderContent::default() }
}

pub(super) fn new(agent: &AgentId, key: &str) -> NewPendingOrder {
    NewPendingOrder {
        id: PendingOrderId(Uuid::now_v7()),
        agent: agent.clone(),
        key: OperationKey::new(key).unwrap(),
        content: content("ALFKI"),
        origin: by("tablet", key),
    }
}

pub(super) fn edit(order: &PendingOrder, customer: &str) -> PendingOrderEdit {
    let origin = by("phone", &format!("{customer} of {}", order.version));
    PendingOrderEdit { expected: order.version, content: content(customer), origin }
}

impl Ports {
    pub(super) async fn created(&self, agent: &AgentId, key: &str) -> PendingOrder {
        let created = self.pending_orders.create(new(agent, key)).await.expect("created");
        assert!(!created.replayed, "a new pending order");
        created.order
    }

    pub(super) async fn edited(&self, order: &PendingOrder, customer: &str) -> PendingOrder {
        let edited = self.pending_orders.edit(&order.agent, order.id, &edit(order, customer)).await;
        edited.expect("edited")
    }

    pub(super) async fn pending_order(&self, order: &PendingOrder) -> Option<PendingOrder> {
        self.pending_orders.find(&order.agent, order.id).await.unwrap()
    }
}
