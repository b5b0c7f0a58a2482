//! The embedded action, certified: whatever goes wrong around it, a visit is logged once.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "../src/embed/log_visit.rs"]
mod log_visit;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::{ActOutcome, EffectRecord, Intent, Mark, Receipt, Settle, Verdict};
use archibald_core::erp::OrderQuery;
use archibald_core::error::FieldError;
use archibald_core::id::{EffectName, OperationKind, Target};
use archibald_core::operation::{Class, Operation};
use archibald_core::port::{CommitGate, Operations};
use archibald_runtime::{
    Action, ActionContext, Archibald, Completion, EffectAction, Interrupted, Prepared, RuntimeConfig,
};
use archibald_testing::certify::{Erp, Fate, InMemory, Ports, Request, Sort, Subject, certify, certify_only};
use archibald_testing::fake_erp::{FakeErp, Write};
use async_trait::async_trait;
use serde_json::{Value, json};

use self::log_visit::LogVisit;

/// An action over the ERP in memory.
struct Visits<A>(A);

impl<A: EffectAction + Clone + 'static> Subject for Visits<A> {
    fn erp(&self) -> Arc<dyn Erp> {
        let erp = FakeErp::new(8);
        erp.add_customers([serde_json::from_value(json!({ "code": "ALFKI", "name": "Alfreds" })).unwrap()]);
        InMemory::new(erp, visits)
    }

    fn start(&self, ports: Ports) -> Arc<dyn Operations> {
        let Ports { store, lock, bus, pool, clock, credentials, worker, times } = ports;
        let config = RuntimeConfig {
            worker,
            concurrency: 2,
            lease: times.lease,
            lease_margin: times.lease_margin,
            act_budget: times.act_budget,
            settle: Settle { request: times.settle_request, lists: times.settle_lists },
            sweep: times.sweep,
            ..RuntimeConfig::default()
        };
        let ports = archibald_runtime::Ports { store, lock, bus, pool, credentials, clock };
        let action = Action::Effect(Arc::new(self.0.clone()));
        let archibald = Archibald::builder(ports).action(action).config(config).build().unwrap();
        let _ = archibald.start().unwrap();
        Arc::new(archibald)
    }

    fn request(&self, number: u32) -> Request {
        let note = format!("visit {number}");
        let payload = json!({ "customer": "ALFKI", "date": "2026-11-22", "note": note });
        Request { kind: "log-visit".to_owned(), payload }
    }

    fn urgent(&self) -> Option<Request> {
        let payload = json!({ "customer": "ALFKI", "date": "2026-11-22",
            "lines": [{ "product": "A0001", "quantity": 3, "discount": "5" }] });
        Some(Request { kind: "submit-order".to_owned(), payload })
    }
}

/// The orders that are visits, as often as they were made.
fn visits(erp: &FakeErp) -> Vec<String> {
    let is_visit = |number: &str| {
        erp.orders().iter().any(|(_, order)| order.number == number && order.reference.starts_with("visit~"))
    };
    let made = erp.writes().into_iter().filter_map(|write| match write {
        Write::OrderCreated(number) => Some(number),
        _ => None,
    });
    made.filter(|number| is_visit(number)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_is_logged_once_whatever_goes_wrong() {
    let report = certify(Visits(LogVisit)).await.unwrap();
    println!("{report}");
    let count = |sort: Sort| report.passed.get(&sort).copied().unwrap_or(0);
    for sort in [Sort::Crash, Sort::Panic, Sort::Drop, Sort::Revoke, Sort::Fail, Sort::GiveWay, Sort::Masked]
    {
        assert!(count(sort) >= 4, "{sort}: {report}");
    }
    for fate in Fate::ALL {
        assert_eq!(count(Sort::Lost(fate)), 1, "{report}");
        assert!(count(Sort::LostAndStruck(fate)) >= 5, "{report}");
    }
}

#[test]
fn the_service_brings_its_visits_and_ends() {
    let output = Command::new(env!("CARGO_BIN_EXE_embed")).output().unwrap();
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(printed.contains("visit 3, \"asks for ten more of A0001\": O-3 at the ERP"), "{printed}");
    assert!(printed.contains("at the ERP: 3 visits"), "{printed}");
}

/// The same action with a mistake in it.
#[derive(Debug, Clone, Copy)]
enum Mutant {
    /// What it asks for is never there.
    SeesNothing,
    /// What it asks for is always there.
    SeesEverything,
    /// A lost answer is a good one.
    TakesSilenceForYes,
    /// It looks for a visit, not for its own.
    ForgetsItsMark,
}

#[tokio::test]
async fn a_probe_that_never_sees_it_does_it_twice() {
    assert_caught(Mutant::SeesNothing, "answer lost, applied", "done twice").await;
}

#[tokio::test]
async fn a_probe_that_always_sees_it_loses_it() {
    assert_caught(Mutant::SeesEverything, "answer lost, not applied", "lost").await;
}

#[tokio::test]
async fn an_act_that_takes_a_lost_answer_for_a_good_one_loses_it() {
    assert_caught(Mutant::TakesSilenceForYes, "answer lost, not applied", "lost").await;
}

#[tokio::test]
async fn a_probe_that_takes_anothers_visit_for_its_own_loses_it() {
    assert_caught(Mutant::ForgetsItsMark, "answer lost, not applied", "the agent's next operation: lost")
        .await;
}

/// A right action, in a product that does not wait for what its ERP may still do.
struct Hasty(Visits<LogVisit>);

impl Subject for Hasty {
    fn erp(&self) -> Arc<dyn Erp> {
        self.0.erp()
    }

    fn start(&self, mut ports: Ports) -> Arc<dyn Operations> {
        ports.times.settle_request = Duration::from_millis(1);
        self.0.start(ports)
    }

    fn request(&self, number: u32) -> Request {
        self.0.request(number)
    }
}

#[tokio::test]
async fn a_product_that_does_not_wait_for_what_is_late_does_it_twice() {
    assert_broken(Hasty(Visits(LogVisit)), "answer lost, applied late", "done twice").await;
}

async fn assert_caught(mutant: Mutant, case: &str, broken: &str) {
    assert_broken(Visits(mutant), case, broken).await;
}

async fn assert_broken(subject: impl Subject, case: &str, broken: &str) {
    let violations = certify_only(subject, |case| case.strike.is_none()).await.unwrap_err();
    let violation = violations.0.first().unwrap();
    assert_eq!(violation.case, case, "{violations}");
    assert!(violation.broken.starts_with(broken), "{violations}");
    assert!(violation.journal.is_some(), "{violations}");
}

#[async_trait]
impl EffectAction for Mutant {
    fn kind(&self) -> OperationKind {
        LogVisit.kind()
    }

    fn class(&self) -> Class {
        LogVisit.class()
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        LogVisit.validate(payload)
    }

    fn effect(&self) -> EffectName {
        LogVisit.effect()
    }

    fn mark(&self, operation: &Operation) -> Option<Mark> {
        LogVisit.mark(operation)
    }

    async fn prepare(&self, context: &ActionContext<'_>) -> Result<Prepared, Interrupted> {
        LogVisit.prepare(context).await
    }

    async fn act(
        &self,
        context: &ActionContext<'_>,
        baseline: &Value,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Receipt> {
        match LogVisit.act(context, baseline, intent, gate).await {
            ActOutcome::Ambiguous { .. } if matches!(self, Self::TakesSilenceForYes) => {
                ActOutcome::Done(Receipt(json!({ "visit": "O-1" })))
            }
            outcome => outcome,
        }
    }

    async fn probe(
        &self,
        context: &ActionContext<'_>,
        effect: &EffectRecord,
    ) -> Result<Verdict<Receipt>, Interrupted> {
        match self {
            Self::SeesNothing => Ok(Verdict::Absent),
            Self::SeesEverything => Ok(Verdict::Found(Receipt(json!({ "visit": "O-1" })))),
            Self::ForgetsItsMark => {
                let any = OrderQuery { reference: Some("visit".to_owned()), ..OrderQuery::default() };
                let found = context.client.find_orders(&any).await?;
                let receipt = found.first().map(|order| Receipt(json!({ "visit": order.number })));
                Ok(receipt.map_or(Verdict::Absent, Verdict::Found))
            }
            Self::TakesSilenceForYes => LogVisit.probe(context, effect).await,
        }
    }

    fn complete(&self, operation: &Operation, receipt: &Receipt) -> Completion {
        LogVisit.complete(operation, receipt)
    }
}
