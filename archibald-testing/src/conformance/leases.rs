use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use archibald_core::error::FenceError;
use archibald_core::id::WorkerId;
use archibald_core::operation::{NewOperation, OperationState, Step};
use archibald_core::pause::{Pause, PauseScope};
use archibald_core::port::LeaseError;
use archibald_core::record::Disposition;
use futures::future::join_all;

use super::StoreUnderTest;
use super::checks::{
    AFTER_SHORT, LONG, SHORT, agent, available, completed, gave_way, kinds, on_target, submit, sync,
};

/// 64 claims of seven workers, eight operations of each of two agents: one lease each, and no other for who has it.
/// Catches locks by operation.
pub async fn one_lease_an_agent(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    for name in ["nancy", "andrew"] {
        let agent = agent(name);
        let records = join_all((0..8).map(|n| ports.enqueue(submit(&agent, &format!("k{n}"))))).await;
        let claims = (0..64).map(|n| {
            let (ports, record) = (ports.clone(), records[n % 8].clone());
            tokio::spawn(async move { ports.try_lease(&record, &format!("w{}", n % 7), LONG).await })
        });
        let answers: Vec<_> = join_all(claims).await.into_iter().map(Result::unwrap).collect();
        let won: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(won.len(), 1);
        for lost in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let LeaseError::Held { until } = lost else { panic!("{lost}") };
            assert_eq!(*until, won[0].lease.expires_at, "it says until when");
        }
        let mut running = 0;
        for record in &records {
            let now = ports.get(record).await;
            running += usize::from(matches!(now.operation.state, OperationState::Running { .. }));
        }
        assert_eq!(running, 1);
        assert_eq!(won[0].lease.expires_at, won[0].now + LONG);
        assert_eq!(won[0].record, ports.get(&won[0].record).await, "the record as of the lease");
    }
}

/// What each call does to a lease in each state that it may be in, by the one who has it or had it.
const THE_WHOLE_LEASE: &str = "\
held             lease another -> held
held             renew         -> kept
held             hand back     -> given back
held             settle        -> settled
held             revoke        -> taken away
held             reap          -> -
held, paused     lease another -> paused
held, paused     renew         -> kept
held, paused     hand back     -> given back
held, paused     settle        -> settled
held, paused     revoke        -> taken away
held, paused     reap          -> -
over             lease another -> leased
over             renew         -> lost
over             hand back     -> given back
over             settle        -> settled
over             revoke        -> taken away
over             reap          -> taken back
somebody else's  lease another -> held
somebody else's  renew         -> lost
somebody else's  hand back     -> superseded
somebody else's  settle        -> superseded
somebody else's  revoke        -> taken away
somebody else's  reap          -> -
given back       lease another -> leased
given back       renew         -> lost
given back       hand back     -> superseded
given back       settle        -> superseded
given back       revoke        -> -
given back       reap          -> -
settled          lease another -> leased
settled          renew         -> lost
settled          hand back     -> superseded
settled          settle        -> superseded
settled          revoke        -> -
settled          reap          -> -
";

/// The table of the lease's machine.
pub async fn the_whole_lease(under: &mut dyn StoreUnderTest) {
    const STATES: [&str; 6] = ["held", "held, paused", "over", "somebody else's", "given back", "settled"];
    const CALLS: [&str; 6] = ["lease another", "renew", "hand back", "settle", "revoke", "reap"];
    let ports = under.ports();
    let mut cells = vec![];
    for (n, (state, call)) in
        STATES.iter().flat_map(|state| CALLS.iter().map(move |call| (*state, *call))).enumerate()
    {
        let nancy = agent(&format!("nancy-{n}"));
        let ttl = if matches!(state, "over" | "somebody else's") { SHORT } else { LONG };
        let (record, lease) = ports.running(submit(&nancy, "one"), ttl).await;
        let another = ports.enqueue(submit(&nancy, "another")).await;
        match state {
            "held, paused" => ports.store.pause(&nancy.clone().into(), "locked", false).await.unwrap(),
            "given back" => ports.lock.hand_back(&lease).await.unwrap(),
            "settled" => drop(ports.settle(&lease, completed()).await),
            _ => {}
        }
        cells.push((state, call, record, lease, another));
    }
    under.advance(AFTER_SHORT).await;
    for (state, _, _, _, another) in &cells {
        if *state == "somebody else's" {
            ports.try_lease(another, "w2", LONG).await.unwrap();
        }
    }
    let mut said = BTreeMap::new();
    for (state, call, _, lease, another) in cells.iter().filter(|(_, call, ..)| *call != "reap") {
        let answer = match *call {
            "lease another" => match ports.try_lease(another, "w3", LONG).await {
                Ok(_) => "leased",
                Err(LeaseError::Held { .. }) => "held",
                Err(LeaseError::Paused { .. }) => "paused",
                Err(_) => "not available",
            },
            "renew" if ports.lock.renew(slice::from_ref(lease)).await.unwrap().is_empty() => "lost",
            "renew" => "kept",
            "hand back" => fenced(ports.lock.hand_back(lease).await.map(drop), "given back"),
            "settle" => fenced(ports.store.settle(lease, completed().into()).await.map(drop), "settled"),
            _ => match ports.lock.revoke(&lease.agent).await.unwrap() {
                Some(_) => "taken away",
                None => "-",
            },
        };
        said.insert((*state, *call), answer);
    }
    // Whoever reaps takes back what is over of every agent.
    let reaped = ports.lock.reap().await.unwrap().tickets;
    for (state, call, record, ..) in cells.iter().filter(|(_, call, ..)| *call == "reap") {
        let is_reaped = reaped.iter().any(|ticket| ticket.operation == record.operation.id);
        said.insert((*state, *call), if is_reaped { "taken back" } else { "-" });
    }
    let mut table = String::new();
    for state in STATES {
        for call in CALLS {
            table.push_str(&format!("{state:<16} {call:<13} -> {}\n", said[&(state, call)]));
        }
    }
    assert_eq!(table, THE_WHOLE_LEASE, "{table}");
}

fn fenced(done: Result<(), FenceError>, well: &'static str) -> &'static str {
    match done {
        Ok(()) => well,
        Err(FenceError::Superseded) => "superseded",
        Err(_) => "refused",
    }
}

/// Accepted and leased are one commit, told in that order; the lease is like any other.
pub async fn what_comes_alone_is_leased_as_it_is_accepted(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let worker = WorkerId::new("w").unwrap();
    let mut last = None;
    for key in ["1", "2"] {
        let place = ports.head(&nancy).await;
        let new = on_target(submit(&nancy, key), "order:7");
        let taken = ports.store.enqueue_and_lease(new.clone(), &worker, LONG).await.unwrap();
        let leased = taken.leased.expect("nothing stands in its way");
        assert_eq!(available(&taken.enqueued.record), Some(Step::Act), "as it was accepted");
        assert!(!taken.enqueued.replayed);
        assert_eq!(leased.record, ports.get(&taken.enqueued.record).await);
        assert_eq!(leased.record.operation.state.name(), "running");
        assert!(last < Some(leased.lease.token), "a new token for every start");
        assert_eq!((&leased.lease.worker, leased.lease.expires_at), (&worker, leased.now + LONG));
        let events = ports.events_after(&nancy, place, 10).await;
        assert_eq!(kinds(&events), ["operation.queued", "operation.started"]);
        assert_eq!(ports.store.waiting(&nancy, None, 10).await.unwrap(), []);
        let again = ports.store.enqueue_and_lease(new, &worker, LONG).await.unwrap();
        assert_eq!((again.enqueued.replayed, again.leased), (true, None), "once");
        assert_eq!(ports.lock.renew(slice::from_ref(&leased.lease)).await.unwrap().len(), 1);
        ports.settle(&leased.lease, completed()).await;
        last = Some(leased.lease.token);
    }
}

/// What it would be refused for does not keep it from being accepted.
pub async fn what_cannot_start_is_accepted_and_waits(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let worker = WorkerId::new("w").unwrap();
    let waits = async |new: NewOperation, why: &str| {
        let taken = ports.store.enqueue_and_lease(new, &worker, LONG).await.unwrap();
        assert_eq!(taken.leased, None, "{why}");
        assert_eq!(taken.enqueued.record, ports.get(&taken.enqueued.record).await);
        taken.enqueued.record
    };
    let (first, lease) = ports.running(submit(&nancy, "1"), LONG).await;
    let second = waits(submit(&nancy, "2"), "the agent is held").await;
    ports.settle(&lease, completed()).await;
    let third = waits(submit(&nancy, "3"), "something waits before it").await;
    let tickets = ports.store.waiting(&nancy, None, 10).await.unwrap();
    assert_eq!(
        tickets.iter().map(|ticket| ticket.operation).collect::<Vec<_>>(),
        [second.operation.id, third.operation.id]
    );
    for record in [second, third] {
        let lease = ports.lease(&record, LONG).await;
        ports.settle(&lease, completed()).await;
    }
    let run_at = Some(first.operation.created_at + LONG);
    let later = waits(NewOperation { run_at, ..submit(&nancy, "4") }, "it is not due").await;
    ports.store.cancel(&nancy, later.operation.id, "nancy").await.unwrap();
    for scope in
        [PauseScope::from(nancy.clone()), first.operation.kind.clone().into(), PauseScope::Everything]
    {
        ports.store.pause(&scope, "to look at it", false).await.unwrap();
        let paused = waits(submit(&nancy, &format!("{scope:?}")), "it is paused").await;
        ports.store.resume(&scope).await.unwrap();
        ports.store.cancel(&nancy, paused.operation.id, "nancy").await.unwrap();
    }
    let free = ports.store.enqueue_and_lease(submit(&nancy, "5"), &worker, LONG).await.unwrap();
    assert!(free.leased.is_some(), "nothing is left");
}

/// Every start takes a higher token, however the last one ended.
pub async fn tokens_only_grow(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, first) = ports.running(submit(&nancy, "k"), LONG).await;
    ports.lock.hand_back(&first).await.unwrap();
    let second = ports.lease(&record, LONG).await;
    ports.settle(&second, gave_way()).await;
    let third = ports.lease(&record, SHORT).await;
    under.advance(AFTER_SHORT).await;
    ports.lock.reap().await.unwrap();
    let fourth = ports.lease(&record, LONG).await;
    ports.settle(&fourth, completed()).await;
    let (_, fifth) = ports.running(submit(&nancy, "other"), LONG).await;
    let tokens = [&first, &second, &third, &fourth, &fifth].map(|lease| lease.token);
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
}

/// Nothing starts before its time, and the refusal says when.
pub async fn an_operation_waits_for_its_time(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let now = ports.enqueue(submit(&nancy, "now")).await.operation.created_at;
    let due = now + SHORT;
    let later = ports.enqueue(NewOperation { run_at: Some(due), ..submit(&nancy, "later") }).await;
    let refused = ports.try_lease(&later, "w1", LONG).await;
    let Err(LeaseError::NotAvailable { due: Some(at) }) = refused else { panic!("{refused:?}") };
    assert_eq!(at, due);
    let tickets = ports.store.waiting(&nancy, None, 10).await.unwrap();
    assert_eq!(tickets.iter().map(|ticket| ticket.at).collect::<Vec<_>>()[1], due);
    under.advance(AFTER_SHORT).await;
    let lease = ports.lease(&later, LONG).await;

    let retry = Disposition::Retry { after: Duration::from_secs(600), why: "500".into() };
    let settled = ports.settle(&lease, retry).await;
    let refused = ports.try_lease(&settled, "w1", LONG).await;
    assert!(matches!(refused, Err(LeaseError::NotAvailable { due: Some(_) })), "{refused:?}");
    let done = ports.lease(&ports.enqueue(submit(&nancy, "done")).await, LONG).await;
    let done = ports.settle(&done, completed()).await;
    let refused = ports.try_lease(&done, "w1", LONG).await;
    assert!(matches!(refused, Err(LeaseError::NotAvailable { due: None })), "{refused:?}");
    let foreign = submit(&agent("andrew"), "never enqueued");
    let foreign = archibald_core::record::OperationRecord::accept(foreign, 1, now).0;
    let refused = ports.try_lease(&foreign, "w1", LONG).await;
    assert!(matches!(refused, Err(LeaseError::NotAvailable { due: None })), "{refused:?}");
}

/// What comes later for a target waits until what came earlier is final: not while it runs, is retried or
/// in doubt. Other targets, none, and other agents go on.
pub async fn same_target_one_after_another(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let andrew = agent("andrew");
    let first = ports.enqueue(on_target(submit(&nancy, "1"), "order:7")).await;
    let second = ports.enqueue(on_target(submit(&nancy, "2"), "order:7")).await;
    let other = ports.enqueue(on_target(submit(&nancy, "3"), "order:70")).await;
    let none = ports.enqueue(submit(&nancy, "4")).await;
    let foreign = ports.enqueue(on_target(submit(&andrew, "5"), "order:7")).await;
    for free in [&other, &none, &foreign] {
        let lease = ports.lease(free, LONG).await;
        ports.lock.hand_back(&lease).await.unwrap();
    }
    let blocked = async || {
        let refused = ports.try_lease(&second, "w1", LONG).await;
        let Err(LeaseError::TargetBusy { by }) = refused else { panic!("{refused:?}") };
        assert_eq!(by, first.operation.id);
    };
    blocked().await;
    let lease = ports.lease(&first, LONG).await;
    let retry = Disposition::Retry { after: Duration::from_secs(600), why: "500".into() };
    ports.settle(&lease, retry).await;
    blocked().await;
    ports.store.cancel(&nancy, first.operation.id, "nancy").await.unwrap();
    ports.lease(&second, LONG).await;

    let doubted = ports.enqueue(on_target(submit(&andrew, "6"), "order:8")).await;
    let behind = ports.enqueue(on_target(submit(&andrew, "7"), "order:8")).await;
    let lease = ports.lease(&doubted, LONG).await;
    ports.released(&lease).await;
    ports.settle(&lease, Disposition::Doubt { evidence: "two bearers".into() }).await;
    let refused = ports.try_lease(&behind, "w1", LONG).await;
    assert!(matches!(refused, Err(LeaseError::TargetBusy { .. })), "{refused:?}");
}

/// A pause holds its agent, with its reason, over a restart too, and nobody else.
pub async fn a_paused_agent_leases_nothing(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let mine = ports.enqueue(submit(&nancy, "k")).await;
    let theirs = ports.enqueue(submit(&agent("andrew"), "k")).await;
    ports.store.pause(&nancy.clone().into(), "the account is locked", false).await.unwrap();
    assert_eq!(kinds(&ports.log(&nancy).await), ["operation.queued", "warning"]);
    ports.lease(&theirs, LONG).await;
    under.reopen().await;

    let ports = under.ports();
    let refused = ports.try_lease(&mine, "w1", LONG).await;
    let Err(LeaseError::Paused { scope, why }) = refused else { panic!("{refused:?}") };
    assert_eq!((scope, why.as_str()), (nancy.clone().into(), "the account is locked"));
    let paused = ports.store.paused().await.unwrap();
    assert_eq!(paused.len(), 1);
    assert_eq!((&paused[0].scope, paused[0].why.as_str()), (&nancy.clone().into(), "the account is locked"));
    assert!(paused[0].since >= mine.operation.created_at);
    ports.store.resume(&nancy.into()).await.unwrap();
    assert_eq!(ports.store.paused().await.unwrap(), []);
    ports.lease(&mine, LONG).await;
}

/// A lock-out and another reason are kept beside each other, and what ends the one leaves the other.
pub async fn a_lock_out_and_a_persons_pause_end_one_by_one(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let own = PauseScope::from(nancy.clone());
    let locked = "the ERP refused the login of user \"nancy\": Account bloccato";
    assert!(ports.store.unlock(&nancy).await.unwrap(), "whom nobody has heard of");
    let mine = ports.enqueue(submit(&nancy, "k")).await;
    ports.store.pause(&own, "holidays", true).await.unwrap();
    let by_hand = ports.store.paused().await.unwrap();
    assert!(!ports.store.unlock(&nancy).await.unwrap());
    assert_eq!(ports.store.paused().await.unwrap(), by_hand);
    for _ in 0..2 {
        ports.store.pause(&own, locked, false).await.unwrap();
    }
    let told = ports.log(&nancy).await;
    assert_eq!(kinds(&told), ["operation.queued", "warning", "warning", "warning"]);
    under.reopen().await;

    let ports = under.ports();
    let both = ports.store.paused().await.unwrap();
    let [Pause { why, drains, since, .. }] = &both[..] else { panic!("{both:?}") };
    assert_eq!((why.as_str(), *drains), (format!("holidays; {locked}").as_str(), true));
    assert_eq!(*since, by_hand[0].since);
    let refused = ports.try_lease(&mine, "w1", LONG).await;
    assert!(matches!(&refused, Err(LeaseError::Paused { why: told, .. }) if told == why), "{refused:?}");
    assert!(!ports.store.unlock(&nancy).await.unwrap(), "the person's stays");
    assert_eq!(ports.store.paused().await.unwrap(), by_hand);
    ports.store.resume(&own).await.unwrap();

    ports.store.pause(&own, locked, false).await.unwrap();
    assert_eq!(ports.store.paused().await.unwrap()[0].why, locked);
    assert!(ports.store.unlock(&nancy).await.unwrap());
    assert!(ports.store.unlock(&nancy).await.unwrap(), "and again");
    assert_eq!(ports.store.paused().await.unwrap(), []);
    ports.lease(&mine, LONG).await;
}

/// Pauses of a kind and of everything hold what they are about, whoever's it is, over a restart too.
pub async fn what_is_paused_is_not_leased(under: &mut dyn StoreUnderTest) {
    let (ports, nancy, andrew) = (under.ports(), agent("nancy"), agent("andrew"));
    let order = ports.enqueue(submit(&nancy, "k")).await;
    let read = ports.enqueue(sync(&andrew, "sync-orders", "k")).await;
    let (first, last) = (PauseScope::Everything, PauseScope::from(order.operation.kind.clone()));
    ports.store.pause(&last, "the form changed", true).await.unwrap();
    ports.store.pause(&first, "maintenance", false).await.unwrap();
    ports.store.pause(&first, "maintenance, until noon", false).await.unwrap();
    ports.store.pause(&nancy.clone().into(), "locked", true).await.unwrap();
    under.reopen().await;

    let ports = under.ports();
    let paused = ports.store.paused().await.unwrap();
    let words: Vec<_> = paused.iter().map(|pause| (&pause.scope, pause.why.as_str(), pause.drains)).collect();
    let own = PauseScope::from(nancy.clone());
    let expected = [
        (&first, "maintenance, until noon", false),
        (&last, "the form changed", true),
        (&own, "locked", true),
    ];
    assert_eq!(words, expected, "in order of scope");
    assert!(paused.iter().all(|pause| pause.since >= order.operation.created_at));
    let refusal = async |record| match ports.try_lease(record, "w1", LONG).await {
        Err(LeaseError::Paused { scope, why }) => (scope, why),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&read).await, (first.clone(), "maintenance, until noon".to_owned()));
    ports.store.resume(&first).await.unwrap();
    ports.lease(&read, LONG).await;
    ports.store.resume(&own).await.unwrap();
    assert_eq!(refusal(&order).await, (last.clone(), "the form changed".to_owned()));
    ports.store.resume(&last).await.unwrap();
    ports.store.resume(&last).await.unwrap();
    ports.lease(&order, LONG).await;
    assert_eq!(ports.store.paused().await.unwrap(), []);
}

/// Handing back costs nothing and frees the agent at once.
pub async fn handed_back_is_as_if_never_taken(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    ports.lock.hand_back(&lease).await.unwrap();
    let back = ports.get(&record).await;
    assert_eq!(available(&back), Some(Step::Act));
    assert_eq!((back.operation.attempts, back.operation.yields, back.operation.preemptions), (0, 0, 0));
    assert_eq!(back.operation.position, record.operation.position);
    let other = ports.enqueue(submit(&nancy, "other")).await;
    ports.lease(&other, LONG).await;
}

/// A lease is taken away from a holder that believes in it: whatever it writes after that is refused, and the
/// next attempt begins with what its journal says.
pub async fn a_lease_can_be_taken_away(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    assert_eq!(ports.lock.revoke(&nancy).await.unwrap(), None, "there is none");
    let (record, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    ports.released(&lease).await;
    let ticket = ports.lock.revoke(&nancy).await.unwrap().expect("it waits again");
    assert_eq!((ticket.operation, ticket.step), (record.operation.id, Step::Probe));
    assert_eq!(ports.lock.renew(std::slice::from_ref(&lease)).await.unwrap(), []);
    let late = ports.store.settle(&lease, completed().into()).await;
    assert!(matches!(late, Err(FenceError::Superseded)), "{late:?}");
    let next = ports.lease(&record, LONG).await;
    assert!(next.token > lease.token);
    assert_eq!(ports.lock.revoke(&nancy).await.unwrap().map(|ticket| ticket.step), Some(Step::Probe));
}
