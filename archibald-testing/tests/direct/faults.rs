//! What each fault of a save looks like from here, and what it left at the ERP.

use std::time::Duration;

use archibald_core::effect::{ActOutcome, EffectState};
use archibald_core::erp::Order;
use archibald_core::port::OperationStore;
use archibald_testing::erp::{Fault, FaultRule};

use crate::stage::{LONG, Stage, saved, wanted};

#[derive(Debug, PartialEq)]
enum Seen {
    Done,
    Differs,
    Refused,
    /// Ambiguous, and a whole answer came.
    Answered,
    /// Ambiguous, and none came.
    Unanswered,
    NotSent,
}

fn seen(outcome: &ActOutcome<Order>) -> Seen {
    match outcome {
        ActOutcome::Done(_) => Seen::Done,
        ActOutcome::Differs { .. } => Seen::Differs,
        ActOutcome::Refused(_) => Seen::Refused,
        ActOutcome::Ambiguous { answered: true, .. } => Seen::Answered,
        ActOutcome::Ambiguous { answered: false, .. } => Seen::Unanswered,
        ActOutcome::NotSent(_) => Seen::NotSent,
    }
}

/// One save that meets the fault: what is seen, how many orders there are, and the evidence in words.
async fn struck(fault: Fault, budget: Duration) -> (Seen, usize, String) {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Order.aspx", "Save", fault)]);
    let (intent, reference) = stage.intent(budget).await;
    let lease = intent.lease().clone();
    let outcome = session.client().create_order(&wanted(2), &reference, intent, stage.gate()).await;
    assert_eq!(stage.erp.stats().faults[fault.name()], 1, "{fault} struck");
    assert_eq!(stage.saves_posted(), 1, "{fault}: sent once");
    let record = stage.store.get(&lease.agent, lease.operation).await.unwrap().unwrap();
    assert_eq!(record.effects[0].state, EffectState::Released, "{fault}: the gate committed it");
    (seen(&outcome), saved(&stage.erp).len(), format!("{outcome:?}"))
}

#[tokio::test]
async fn every_fault_is_seen_for_what_it_is() {
    for (fault, expected, effects, words) in [
        (Fault::FailBefore, Seen::Answered, 0, "answers 500 Runtime Error"),
        (Fault::FailAfter, Seen::Answered, 1, "answers 500 Runtime Error"),
        (Fault::DropAfter, Seen::Unanswered, 1, "the connection broke before an answer"),
        (Fault::Expire, Seen::Answered, 0, "the session expired"),
        (Fault::Slow, Seen::Done, 1, ""),
        (Fault::Reject, Seen::Refused, 0, "Operazione non consentita."),
        (Fault::Maintenance, Seen::Answered, 0, "answers 503 Sito in manutenzione"),
        (Fault::Altered, Seen::Differs, 1, "line 1 discount"),
        (Fault::Similar, Seen::Answered, 0, "neither a number nor a validation text"),
        (Fault::Kick, Seen::Answered, 0, "the session expired"),
        (Fault::Recycle, Seen::Answered, 0, "Validation of viewstate MAC failed."),
        (Fault::Truncate, Seen::Unanswered, 1, "the answer broke off"),
        (Fault::StaleList, Seen::Done, 1, ""),
    ] {
        let (seen, applied, evidence) = struck(fault, LONG).await;
        assert_eq!((&seen, applied), (&expected, effects), "{fault}: {evidence}");
        assert!(evidence.contains(words), "{fault}: {evidence}");
    }
}

#[tokio::test]
async fn half_an_order_is_an_error_or_differs_and_is_there() {
    let (seen, applied, evidence) = struck(Fault::Half, LONG).await;
    assert!(matches!(seen, Seen::Answered | Seen::Differs), "{evidence}");
    assert_eq!(applied, 1);
}

#[tokio::test]
async fn what_is_not_answered_within_the_budget_is_lost() {
    let (seen, applied, evidence) = struck(Fault::HangAfter, Duration::from_secs(2)).await;
    assert_eq!((seen, applied), (Seen::Unanswered, 1), "{evidence}");
}
