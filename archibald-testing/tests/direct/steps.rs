//! Faults on the way to a write: at a page load, at a line, at a page of a list.

use std::time::Duration;

use archibald_core::port::ClientError;
use archibald_testing::erp::{Fault, FaultRule, OrderState};

use crate::stage::{LONG, Stage};
use crate::writes::{Kind, Seen};

/// Enough for typing on a busy machine.
const BUDGET: Duration = Duration::from_secs(3);

/// Write, the control that is struck and which of its requests, fault; what is reported, in which words. Nothing
/// is applied where it is not `Done`.
const STEPS: [(Kind, &str, u32, Fault, Seen, &str); 19] = [
    (Kind::NewOrder, "GET", 1, Fault::Expire, Seen::NotSent, "SessionExpired"),
    (Kind::NewOrder, "AddLine", 1, Fault::Slow, Seen::Done, ""),
    (Kind::NewOrder, "AddLine", 1, Fault::Reject, Seen::Refused, "Operazione non consentita."),
    (Kind::NewOrder, "AddLine", 2, Fault::Kick, Seen::NotSent, "SessionExpired"),
    (Kind::NewOrder, "AddLine", 1, Fault::KickNext, Seen::NotSent, "SessionExpired"),
    (Kind::NewOrder, "AddLine", 2, Fault::KickNext, Seen::Answered, "the session expired"),
    (Kind::NewOrder, "AddLine", 2, Fault::HangAfter, Seen::NotSent, "typing took longer than 3s"),
    (Kind::NewOrder, "AddLine", 2, Fault::DropAfter, Seen::NotSent, "the connection broke"),
    (Kind::NewOrder, "AddLine", 1, Fault::Half, Seen::Done, ""),
    (Kind::EditOrder, "GET", 1, Fault::Recycle, Seen::NotSent, "viewstate MAC failed"),
    (Kind::EditOrder, "Lines", 1, Fault::FailBefore, Seen::NotSent, "answers 500 Runtime Error"),
    (Kind::EditOrder, "Lines", 1, Fault::Expire, Seen::NotSent, "SessionExpired"),
    (Kind::EditOrder, "AddLine", 1, Fault::Recycle, Seen::NotSent, "viewstate MAC failed"),
    (Kind::EditOrder, "AddLine", 1, Fault::Maintenance, Seen::NotSent, "answers 503"),
    (Kind::DeleteOrder, "GET", 1, Fault::FailBefore, Seen::NotSent, "answers 500 Runtime Error"),
    (Kind::SendOrder, "GET", 1, Fault::KickNext, Seen::Answered, "the session expired"),
    (Kind::NewCustomer, "GET", 1, Fault::Maintenance, Seen::NotSent, "answers 503"),
    (Kind::NewCustomer, "GET", 1, Fault::HangAfter, Seen::NotSent, "typing took longer than 3s"),
    (Kind::EditCustomer, "GET", 1, Fault::Truncate, Seen::NotSent, "the answer broke off"),
];

#[tokio::test]
async fn a_fault_before_the_press_sends_nothing() {
    let steps = STEPS.map(|(kind, control, nth, fault, expected, words)| async move {
        let stage = Stage::new().await;
        let session = stage.session().await;
        let (page, button) = kind.press();
        stage.erp.script([FaultRule { nth, ..FaultRule::next(page, control, fault) }]);
        let budget = if fault == Fault::HangAfter { BUDGET } else { LONG };
        let (seen, evidence) = kind.act(&stage, &*session, budget).await;
        assert_eq!(seen, expected, "{kind}, {control}, {fault}: {evidence}");
        assert!(evidence.contains(words), "{kind}, {control}, {fault}: {evidence}");
        let done = seen == Seen::Done;
        assert_eq!(stage.effects().len(), usize::from(done), "{kind}, {control}, {fault}");
        assert_eq!(stage.posted(page, button), u64::from(done), "{kind}, {control}, {fault}");
    });
    futures::future::join_all(steps).await;
}

#[tokio::test]
async fn a_list_that_is_struck_on_the_way_is_not_half_a_list() {
    for (page, control, fault) in [
        ("Orders.aspx", "Search", Fault::FailBefore),
        ("Orders.aspx", "Search", Fault::Reject),
        ("Orders.aspx", "Orders", Fault::Recycle),
        ("Customers.aspx", "Search", Fault::Expire),
        ("Customers.aspx", "Search", Fault::Reject),
        ("Customers.aspx", "Customers", Fault::Kick),
        ("Customers.aspx", "Customers", Fault::Truncate),
    ] {
        let stage = Stage::new().await;
        for _ in 0..21 {
            stage.put("nancy", "mark", OrderState::Open).await;
        }
        let session = stage.session().await;
        stage.erp.script([FaultRule::next(page, control, fault)]);
        let error = if page == "Orders.aspx" {
            session.client().find_orders(&Default::default()).await.unwrap_err()
        } else {
            session.client().find_customers("").await.unwrap_err()
        };
        let expired = matches!(error, ClientError::SessionExpired);
        assert_eq!(expired, matches!(fault, Fault::Expire | Fault::Kick), "{control}, {fault}: {error}");
        assert_eq!(stage.erp.stats().faults[fault.name()], 1, "{control}, {fault}");
    }
}
