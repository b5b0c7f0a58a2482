use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::effect::{EffectState, Intent, IntentBasis, IntentRequest, Receipt};
use crate::id::{AgentId, EffectName, OperationId, OperationKey, OperationKind};
use crate::operation::Class;

fn at(secs: u64) -> Timestamp {
    Timestamp::EPOCH + Duration::from_secs(secs)
}

fn effect() -> EffectName {
    EffectName::new("save-order").unwrap()
}

fn waiting() -> OperationRecord {
    let new = NewOperation {
        id: OperationId(Uuid::from_u128(1)),
        agent: AgentId::new("nancy").unwrap(),
        kind: OperationKind::new("submit-order").unwrap(),
        class: Class::Interactive,
        key: OperationKey::new("k1").unwrap(),
        target: None,
        once_per_target: false,
        payload: json!({"customer": "ALFKI"}),
        run_at: None,
        origin: None,
        queue_limit: 100,
        trace: false,
    };
    OperationRecord::accept(new, 1, at(0)).0
}

fn lease(record: &OperationRecord, token: u64) -> Lease {
    Lease {
        agent: record.operation.agent.clone(),
        operation: record.operation.id,
        token: FencingToken(token),
        worker: WorkerId::new("w1").unwrap(),
        expires_at: at(100),
        ttl: Duration::from_secs(100),
    }
}

fn running(token: u64) -> (OperationRecord, Lease) {
    let mut record = waiting();
    let lease = lease(&record, token);
    record.lease(&lease, at(0)).unwrap();
    (record, lease)
}

fn request(basis: IntentBasis) -> IntentRequest {
    IntentRequest {
        effect: effect(),
        basis,
        mark: None,
        baseline: json!(null),
        budget: Duration::from_secs(30),
        margin: Duration::from_secs(5),
    }
}

fn intend(record: &mut OperationRecord, lease: &Lease, basis: IntentBasis) -> Result<Intent, FenceError> {
    record.intend(lease, at(100), &request(basis), at(1))
}

#[test]
fn the_way_of_an_effect_from_intent_to_receipt() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    assert_eq!(record.next_step(), Step::Act, "intended proves that nothing was sent");
    record.release(&intent.release(), at(100), at(2)).unwrap();
    assert_eq!(record.next_step(), Step::Probe);
    let receipt = Receipt(json!({"order": "O-1"}));
    record.record(&lease, &effect(), &receipt).unwrap();
    record.record(&lease, &effect(), &receipt).unwrap();
    assert_eq!(record.next_step(), Step::Commit);
    let events =
        record.settle(&lease, &Disposition::Complete { result: json!({"order": "O-1"}) }, at(3)).unwrap();
    assert_eq!(events[0].kind, "operation.completed");
    assert_eq!(record.operation.finished_at, Some(at(3)));
}

#[test]
fn a_gate_opens_once_for_an_intent_and_only_under_its_lease() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    assert!(matches!(
        record.release(&intent.release(), at(100), at(2)),
        Err(FenceError::Journal(JournalError::NotIntended(_)))
    ));

    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.expire(at(2)).unwrap();
    assert!(matches!(record.release(&intent.release(), at(100), at(2)), Err(FenceError::Superseded)));
    let next = Lease { token: FencingToken(2), ..lease };
    record.lease(&next, at(3)).unwrap();
    assert!(matches!(record.release(&intent.release(), at(100), at(3)), Err(FenceError::Superseded)));
}

#[test]
fn a_lease_that_ends_too_soon_allows_neither_intent_nor_release() {
    let (mut record, lease) = running(1);
    let early = record.intend(&lease, at(35), &request(IntentBasis::NothingReleased), at(1));
    assert!(matches!(early, Err(FenceError::TooShort)));
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    assert!(matches!(record.release(&intent.release(), at(31), at(2)), Err(FenceError::TooShort)));
    assert_eq!(record.effects[0].state, EffectState::Intended);
}

#[test]
fn once_released_only_a_probe_allows_another_act() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    let again = intend(&mut record, &lease, IntentBasis::NothingReleased);
    assert!(matches!(again, Err(FenceError::Journal(JournalError::ProbeFirst(_)))));
    intend(&mut record, &lease, IntentBasis::ProbedAbsent).unwrap();
    assert_eq!(record.effects[0].acts, 2);
}

#[test]
fn an_open_effect_is_never_forgotten() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    for disposition in [
        Disposition::Complete { result: json!({}) },
        Disposition::Fail { why: "spent".into(), absent: None },
        Disposition::Reject { why: "no".into(), refused: None },
    ] {
        let refused = record.settle(&lease, &disposition, at(3));
        assert!(matches!(refused, Err(FenceError::Journal(JournalError::Open(_)))), "{disposition:?}");
    }
    let retry = Disposition::Retry { after: Duration::from_secs(1), why: "500".into() };
    record.settle(&lease, &retry, at(3)).unwrap();
    assert_eq!(record.operation.state, OperationState::Available { at: at(4), step: Step::Probe });
    assert!(record.cancel("nancy", at(4)).is_err(), "what may have happened cannot be withdrawn");
}

#[test]
fn what_the_erp_refused_is_void_and_a_redrive_probes() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    let refused = Disposition::Reject { why: "unknown customer".into(), refused: Some(effect()) };
    record.settle(&lease, &refused, at(3)).unwrap();
    assert_eq!(record.effects[0].state, EffectState::Void);
    record.redrive("operator", at(9)).unwrap();
    assert_eq!(record.operation.state, OperationState::Available { at: at(9), step: Step::Probe });
    assert!(record.cancel("nancy", at(9)).is_err(), "what was released once is not withdrawn");
    let again = Lease { token: FencingToken(2), ..lease };
    record.lease(&again, at(9)).unwrap();
    record.record(&again, &effect(), &Receipt(json!({"order": "O-1"}))).unwrap();
    assert_eq!(record.next_step(), Step::Commit, "a probe that finds it all the same is believed");
}

#[test]
fn a_redrive_probes_whatever_was_ever_released() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    intend(&mut record, &lease, IntentBasis::ProbedAbsent).unwrap();
    let spent = Disposition::Fail { why: "spent".into(), absent: None };
    record.settle(&lease, &spent, at(3)).unwrap();
    record.redrive("operator", at(9)).unwrap();
    assert_eq!(record.next_step(), Step::Probe);
    let again = Lease { token: FencingToken(2), ..lease };
    record.lease(&again, at(9)).unwrap();
    let unasked = intend(&mut record, &again, IntentBasis::NothingReleased);
    assert!(matches!(unasked, Err(FenceError::Journal(JournalError::ProbeFirst(_)))));
}

#[test]
fn attempts_are_spent_only_on_what_a_probe_found_absent() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    let open = Disposition::Fail { why: "spent".into(), absent: None };
    assert!(record.settle(&lease, &open, at(3)).is_err());
    let absent = Disposition::Fail { why: "spent".into(), absent: Some(effect()) };
    record.settle(&lease, &absent, at(3)).unwrap();
    assert_eq!(record.effects[0].state, EffectState::Void);
}

#[test]
fn a_lost_worker_leaves_the_step_that_the_journal_gives() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    let mut sent = record.clone();
    record.expire(at(200)).unwrap();
    assert_eq!(record.operation.state, OperationState::Available { at: at(200), step: Step::Act });
    sent.release(&intent.release(), at(100), at(2)).unwrap();
    let mut done = sent.clone();
    sent.expire(at(200)).unwrap();
    assert_eq!(sent.operation.state, OperationState::Available { at: at(200), step: Step::Probe });
    done.record(&lease, &effect(), &Receipt(json!({"order": "O-1"}))).unwrap();
    done.expire(at(200)).unwrap();
    assert_eq!(done.operation.state, OperationState::Available { at: at(200), step: Step::Commit });
}

#[test]
fn a_yield_keeps_the_place_and_is_not_charged() {
    let (mut record, lease) = running(1);
    let gave_way = Disposition::Yield { after: Duration::ZERO, why: YieldReason::Preempted };
    record.settle(&lease, &gave_way, at(3)).unwrap();
    let operation = &record.operation;
    assert_eq!((operation.attempts, operation.yields, operation.preemptions), (0, 0, 1));
    assert_eq!(operation.position, 1);
}

#[test]
fn a_doubt_is_left_by_a_person_alone() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    record.settle(&lease, &Disposition::Doubt { evidence: "two bearers".into() }, at(3)).unwrap();
    assert!(record.expire(at(4)).is_err());
    assert!(record.redrive("operator", at(4)).is_err());
    let mut given_up = record.clone();
    given_up.resolve("operator", &Resolution::Abandon, at(5)).unwrap();
    assert_eq!(given_up.operation.state.name(), "failed");
    let receipt = Receipt(json!({"order": "O-7"}));
    record.resolve("operator", &Resolution::Applied { receipt: receipt.clone() }, at(5)).unwrap();
    assert_eq!(record.next_step(), Step::Commit);
    assert_eq!(record.effects[0].receipt, Some(receipt));
}

fn repair() -> IntentRequest {
    let name = EffectRecord::repair_of(&effect());
    IntentRequest { effect: name, ..request(IntentBasis::ProbedDifferent) }
}

#[test]
fn what_differs_is_repaired_once_and_asked_for_in_between() {
    let (mut record, lease) = running(1);
    let too_early = record.intend(&lease, at(100), &repair(), at(1));
    assert!(matches!(too_early, Err(FenceError::Journal(JournalError::NotIntended(_)))));
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();

    let intent = record.intend(&lease, at(100), &repair(), at(3)).unwrap();
    assert_eq!(record.next_step(), Step::Probe, "the effect itself is still open");
    let again = record.intend(&lease, at(100), &repair(), at(4));
    assert!(again.is_ok(), "a repair that was not sent may be intended again");
    record.release(&intent.release(), at(100), at(5)).unwrap();
    let otherwise = IntentRequest { baseline: json!({ "note": "cut" }), ..repair() };
    let second = record.intend(&lease, at(100), &otherwise, at(6));
    assert!(matches!(second, Err(FenceError::Journal(JournalError::RepairedOnce(_)))));
    let mut unchanged = record.clone();
    let again = unchanged.intend(&lease, at(100), &repair(), at(60));
    assert!(again.is_ok(), "what is there is what was there before: the repair did nothing");

    let receipt = Receipt(json!({"order": "O-1"}));
    record.record(&lease, &EffectRecord::repair_of(&effect()), &receipt).unwrap();
    assert_eq!(record.next_step(), Step::Probe);
    record.record(&lease, &effect(), &receipt).unwrap();
    assert_eq!(record.next_step(), Step::Commit);
}

#[test]
fn what_is_known_not_to_be_takes_its_repair_with_it() {
    let (mut record, lease) = running(1);
    let intent = intend(&mut record, &lease, IntentBasis::NothingReleased).unwrap();
    record.release(&intent.release(), at(100), at(2)).unwrap();
    let intent = record.intend(&lease, at(100), &repair(), at(3)).unwrap();
    record.release(&intent.release(), at(100), at(4)).unwrap();
    let sent = Disposition::Reject { why: "sent to Verona meanwhile".into(), refused: Some(effect()) };
    record.settle(&lease, &sent, at(5)).unwrap();
    assert!(record.effects.iter().all(|effect| effect.state == EffectState::Void));
}

#[test]
fn the_baseline_is_of_the_moment_before_the_first_request() {
    let (mut record, lease) = running(1);
    let seen = |known: &str, basis| IntentRequest { baseline: json!([known]), ..request(basis) };
    record.intend(&lease, at(100), &seen("O-1", IntentBasis::NothingReleased), at(1)).unwrap();
    let intent = record.intend(&lease, at(100), &seen("O-2", IntentBasis::NothingReleased), at(2)).unwrap();
    assert_eq!(record.effects[0].baseline, json!(["O-2"]), "nothing was sent before");
    record.release(&intent.release(), at(100), at(3)).unwrap();
    record.intend(&lease, at(100), &seen("O-3", IntentBasis::ProbedAbsent), at(60)).unwrap();
    assert_eq!(record.effects[0].baseline, json!(["O-2"]), "what came after the first request may be ours");
}
