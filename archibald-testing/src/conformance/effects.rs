use std::time::Duration;

use archibald_core::effect::{EffectState, IntentBasis, IntentRequest};
use archibald_core::error::{FenceError, JournalError};
use archibald_core::lease::Lease;
use futures::future::join_all;

use super::StoreUnderTest;
use super::checks::{LONG, SHORT, agent, effect, intent_request, kinds, receipt, submit};

/// Eight gates race for one intent and one opens. Catches a release that reads, then writes.
pub async fn a_gate_opens_once(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    let (record, lease) = ports.running(submit(&nancy, "k"), LONG).await;
    let intent = ports.intend(&lease).await;
    assert_eq!(intent.lease(), &lease);
    let answers = join_all((0..8).map(|_| ports.store.release(&intent))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(matches!(refused, FenceError::Journal(JournalError::NotIntended(_))), "{refused}");
    }
    let differences = ["note: wanted \"a\", found \"\"".to_owned()];
    ports.store.answered(&lease, &effect(), &differences).await.unwrap();
    let journal = ports.get(&record).await.effects;
    assert_eq!(journal[0].differences, differences);
    assert_eq!(journal[0].state, EffectState::Released);
    assert!(journal[0].answered_at >= journal[0].released_at);
    assert!(journal[0].act_until > journal[0].released_at);
    let again = ports.store.intend(&lease, &intent_request(IntentBasis::NothingReleased)).await;
    assert!(matches!(again, Err(FenceError::Journal(JournalError::ProbeFirst(_)))), "{again:?}");
    ports.store.intend(&lease, &intent_request(IntentBasis::ProbedAbsent)).await.unwrap();
    assert_eq!(kinds(&ports.log(&nancy).await).len(), 2, "the journal tells no device");
}

/// How long an act may take is measured against the store's end of the lease: later than the caller's
/// after a renewal, and never what a caller claims.
pub async fn the_end_of_a_lease_is_what_the_store_has(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (_, lease) = ports.running(submit(&agent("nancy"), "k"), SHORT).await;
    let long_act =
        IntentRequest { budget: Duration::from_secs(60), ..intent_request(IntentBasis::NothingReleased) };
    let claimed = Lease { expires_at: lease.expires_at + LONG, ttl: LONG, ..lease.clone() };
    let refused = ports.store.intend(&claimed, &long_act).await;
    assert!(matches!(refused, Err(FenceError::TooShort)), "{refused:?}");
    assert_eq!(ports.lock.renew(&[Lease { ttl: LONG, ..lease.clone() }]).await.unwrap().len(), 1);
    let intent = ports.store.intend(&lease, &long_act).await.expect("the lease was renewed");
    ports.store.release(&intent).await.expect("the lease was renewed");
}

/// The same receipt again is fine, another one is refused, and it stays what it was.
pub async fn a_receipt_is_kept_once(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (record, lease) = ports.running(submit(&agent("nancy"), "k"), LONG).await;
    let early = ports.store.record(&lease, &effect(), &receipt("O-7")).await;
    assert!(matches!(early, Err(FenceError::Journal(JournalError::NotIntended(_)))), "{early:?}");
    ports.released(&lease).await;
    for _ in 0..2 {
        ports.store.record(&lease, &effect(), &receipt("O-7")).await.unwrap();
    }
    let other = ports.store.record(&lease, &effect(), &receipt("O-8")).await;
    assert!(matches!(other, Err(FenceError::Journal(JournalError::AlreadyRecorded(_)))), "{other:?}");
    assert_eq!(ports.get(&record).await.effects[0].receipt, Some(receipt("O-7")));
}
