use archibald_core::effect::{EffectState, IntentBasis};
use archibald_core::error::FenceError;
use archibald_core::id::FencingToken;
use archibald_core::lease::Lease;
use archibald_core::operation::Step;
use archibald_core::record::{Evidence, Settlement};
use serde_json::json;

use super::checks::{
    AFTER_SHORT, LONG, SHORT, agent, all_customers, available, completed, effect, intent_request, kinds,
    receipt, row, submit,
};
use super::{Ports, StoreUnderTest};

/// A renewal answers with the leases that are still held, one by one. Catches a count in place of names.
pub async fn renewal_returns_the_survivors(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (_, settled) = ports.running(submit(&agent("nancy"), "k"), LONG).await;
    let (_, held) = ports.running(submit(&agent("andrew"), "k"), LONG).await;
    let (_, over) = ports.running(submit(&agent("janet"), "k"), SHORT).await;
    let (record, back) = ports.running(submit(&agent("laura"), "k"), LONG).await;
    ports.settle(&settled, completed()).await;
    ports.lock.hand_back(&back).await.unwrap();
    let next = ports.lease(&record, LONG).await;
    under.advance(AFTER_SHORT).await;
    let forged = Lease { token: FencingToken(held.token.0 + 1), ..held.clone() };
    let asked = [settled, held.clone(), over, back, next.clone(), forged];
    let mut kept = ports.lock.renew(&asked).await.unwrap();
    kept.sort();
    assert_eq!(kept, [(held.agent, held.token), (next.agent, next.token)]);
    assert_eq!(ports.lock.renew(&[]).await.unwrap(), []);
}

/// A renewed lease ends later, by its own length from then on.
pub async fn renewal_moves_the_end(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (_, lease) = ports.running(submit(&agent("nancy"), "k"), SHORT).await;
    for _ in 0..2 {
        under.advance(SHORT * 2 / 3).await;
        assert_eq!(ports.lock.renew(std::slice::from_ref(&lease)).await.unwrap().len(), 1);
    }
    assert_eq!(ports.lock.reap().await.unwrap().tickets, []);
    ports.intend(&lease).await;
    under.advance(AFTER_SHORT).await;
    assert_eq!(ports.lock.reap().await.unwrap().tickets.len(), 1);
}

/// Whoever lost the lease can write nothing more, and is told so. Catches a fence by worker or agent alone.
pub async fn a_lost_lease_changes_nothing(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lost) = ports.running(submit(&nancy, "k"), SHORT).await;
    let intent = ports.intend(&lost).await;
    under.advance(AFTER_SHORT).await;
    assert_eq!(ports.lock.reap().await.unwrap().tickets.len(), 1);
    refuses_everything(&ports, &lost).await;
    let next = ports.lease(&record, LONG).await;
    refuses_everything(&ports, &lost).await;
    assert!(matches!(ports.store.release(&intent).await, Err(FenceError::Superseded)));
    let (_, foreign) = ports.running(submit(&agent("andrew"), "k"), LONG).await;
    refuses_everything(&ports, &Lease { agent: nancy, token: next.token, ..foreign }).await;
    assert_eq!(ports.lock.renew(std::slice::from_ref(&next)).await.unwrap().len(), 1);
    ports.settle(&next, completed()).await;
    refuses_everything(&ports, &next).await;
}

async fn refuses_everything(ports: &Ports, lost: &Lease) {
    let (agent, place) = (&lost.agent, ports.head(&lost.agent).await);
    let before = ports.store.get(agent, lost.operation).await.unwrap();
    let settlement = Settlement {
        disposition: completed(),
        rows: vec![row("ALFKI", Some(json!({ "name": "late" })))],
        evidence: vec![Evidence { name: "dom".into(), media_type: "text/html".into(), bytes: vec![1] }],
    };
    let rows = settlement.rows.clone();
    let answers = [
        ports.lock.hand_back(lost).await.err(),
        ports.store.settle(lost, settlement).await.err(),
        ports.store.checkpoint(lost, "late", Some(json!(1)), rows).await.err(),
        ports.store.intend(lost, &intent_request(IntentBasis::NothingReleased)).await.err(),
        ports.store.answered(lost, &effect(), &[]).await.err(),
        ports.store.record(lost, &effect(), &receipt("O-9")).await.err(),
    ];
    for answer in answers {
        assert!(matches!(answer, Some(FenceError::Superseded)), "{answer:?}");
    }
    assert_eq!(ports.lock.renew(std::slice::from_ref(lost)).await.unwrap(), []);
    assert_eq!(ports.store.get(agent, lost.operation).await.unwrap(), before);
    assert_eq!(ports.head(agent).await, place, "no event");
    assert_eq!(ports.store.rows(agent, &all_customers()).await.unwrap().rows, []);
    assert_eq!(ports.store.evidence(agent, lost.operation, 0).await.unwrap(), None);
}

/// What a lost worker left goes on where its journal says; leases that live are left alone.
pub async fn reaping_gives_the_step_of_the_journal(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (_, _alive) = ports.running(submit(&agent("laura"), "k"), LONG).await;
    let left = left_at_every_stage(&ports).await;
    under.advance(AFTER_SHORT).await;
    let tickets = ports.lock.reap().await.unwrap().tickets;
    assert_eq!(tickets.len(), left.len());
    for (lease, step) in &left {
        let ticket = tickets.iter().find(|ticket| ticket.operation == lease.operation);
        assert_eq!(ticket.map(|ticket| ticket.step), Some(*step), "{}", lease.agent);
        let record = ports.store.get(&lease.agent, lease.operation).await.unwrap().unwrap();
        assert_eq!(available(&record), Some(*step));
        assert_eq!(record.operation.attempts, 1, "a lost worker is an attempt");
        assert_eq!(kinds(&ports.log(&lease.agent).await).last(), Some(&"operation.retrying"));
    }
    assert_eq!(ports.lock.reap().await.unwrap().tickets, [], "once");
}

/// One agent each whose worker was lost before the intent, after it, after the release, after the receipt.
async fn left_at_every_stage(ports: &Ports) -> Vec<(Lease, Step)> {
    let mut left = vec![];
    for (name, step) in
        [("nancy", Step::Act), ("andrew", Step::Act), ("janet", Step::Probe), ("margaret", Step::Commit)]
    {
        let (_, lease) = ports.running(submit(&agent(name), "k"), SHORT).await;
        match name {
            "andrew" => drop(ports.intend(&lease).await),
            "janet" => ports.released(&lease).await,
            "margaret" => {
                ports.released(&lease).await;
                ports.store.record(&lease, &effect(), &receipt("O-7")).await.unwrap();
            }
            _ => {}
        }
        left.push((lease, step));
    }
    left
}

/// The next lease of the agent ends one whose time is over; nobody has to reap first.
pub async fn an_ended_lease_stands_in_nobodys_way(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, ended) = ports.running(submit(&nancy, "k"), SHORT).await;
    ports.released(&ended).await;
    let other = ports.enqueue(submit(&nancy, "other")).await;
    under.advance(AFTER_SHORT).await;
    let next = ports.lease(&other, LONG).await;
    assert!(next.token > ended.token);
    assert_eq!(available(&ports.get(&record).await), Some(Step::Probe));
    refuses_settling(&ports, &ended).await;
    assert_eq!(ports.lock.reap().await.unwrap().tickets, []);
}

async fn refuses_settling(ports: &Ports, lease: &Lease) {
    let refused = ports.store.settle(lease, completed().into()).await;
    assert!(matches!(refused, Err(FenceError::Superseded)), "{refused:?}");
}

/// Every stage of the journal is on disk once it is answered, down to baseline, mark and times.
pub async fn the_journal_outlives_a_restart(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let left = left_at_every_stage(&ports).await;
    let mut before = vec![];
    for (lease, _) in &left {
        before.push(ports.store.get(&lease.agent, lease.operation).await.unwrap().unwrap());
    }
    assert_eq!(before[2].effects[0].state, EffectState::Released);
    assert_eq!(before[1].effects[0].baseline, json!({ "seen": ["O-1", "O-2"] }));
    under.reopen().await;

    let ports = under.ports();
    under.advance(AFTER_SHORT).await;
    ports.lock.reap().await.unwrap();
    for ((lease, step), before) in left.iter().zip(before) {
        let after = ports.store.get(&lease.agent, lease.operation).await.unwrap().unwrap();
        assert_eq!(after.effects, before.effects);
        assert_eq!(available(&after), Some(*step));
        assert_eq!(after.operation.attempts, 1, "lost once, counted once");
        assert_eq!(after.operation.payload, before.operation.payload);
        refuses_settling(&ports, lease).await;
    }
}

/// Positions, tokens, places in the log and keys go on where they were.
pub async fn places_and_tokens_go_on_after_a_restart(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (first, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    let done = ports.settle(&lease, completed()).await;
    let (place, log) = (ports.head(&nancy).await, ports.log(&nancy).await);
    under.reopen().await;

    let ports = under.ports();
    assert_eq!(ports.head(&nancy).await, place);
    assert_eq!(ports.log(&nancy).await, log);
    assert_eq!(ports.get(&first).await, done);
    assert!(ports.store.enqueue(submit(&nancy, "k")).await.unwrap().replayed);
    let (second, next) = ports.running(submit(&nancy, "next"), LONG).await;
    assert!(next.token > lease.token);
    assert!(second.operation.position > first.operation.position);
    let more = ports.events_after(&nancy, place, 10).await;
    assert_eq!(kinds(&more), ["operation.queued", "operation.started"]);
}
