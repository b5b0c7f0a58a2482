//! The table fault × write: what each fault of a write looks like from here, and what it left at the ERP.

use std::time::Duration;

use archibald_core::effect::EffectState;
use archibald_core::port::OperationStore;
use archibald_testing::direct::DirectOptions;
use archibald_testing::erp::{Behaviour, Fault, FaultRule, OrderState};
use futures::StreamExt;

use crate::stage::{LONG, Stage, fast, until, wanted};
use crate::writes::{Kind, Seen};

/// What the client reports, and how many effects the ledger has right after and, for `late`, later. `answered`
/// and `unanswered` are ambiguous, with and without a whole answer. In parentheses: the fault makes no sense
/// there, and the write goes through as if there were none.
const TABLE: &str = "
            | new order              | edit order             | delete order           | send order             | new customer           | edit customer
fail-before | answered 0             | answered 0             | answered 0             | answered 0             | answered 0             | answered 0
fail-after  | answered 1             | answered 1             | answered 1             | answered 1             | answered 1             | answered 1
drop-after  | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1
hang-after  | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1
late        | unanswered 0, later 1  | unanswered 0, later 1  | unanswered 0, later 1  | unanswered 0, later 1  | unanswered 0, later 1  | unanswered 0, later 1
expire      | answered 0             | answered 0             | answered 0             | answered 0             | answered 0             | answered 0
slow        | done 1                 | done 1                 | done 1                 | done 1                 | done 1                 | done 1
reject      | refused 0              | refused 0              | refused 0              | refused 0              | refused 0              | refused 0
maintenance | answered 0             | answered 0             | answered 0             | answered 0             | answered 0             | answered 0
half        | differs or answered 1  | differs or answered 1  | (done 1)               | (done 1)               | differs or answered 1  | differs or answered 1
altered     | differs 1              | differs 1              | (done 1)               | (done 1)               | differs 1              | differs 1
similar     | answered 0             | answered 0             | (done 1)               | (done 1)               | (done 1)               | (done 1)
kick        | answered 0             | answered 0             | answered 0             | answered 0             | answered 0             | answered 0
kick-next   | done 1                 | done 1                 | done 1                 | done 1                 | done 1                 | done 1
recycle     | answered 0             | answered 0             | answered 0             | answered 0             | answered 0             | answered 0
truncate    | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1           | unanswered 1
stale-list  | done 1                 | (done 1)               | (done 1)               | (done 1)               | done 1                 | (done 1)
";

/// Enough for typing on a busy machine; what is never answered takes all of it.
const BUDGET: Duration = Duration::from_secs(3);

#[tokio::test]
async fn every_fault_of_every_write_is_seen_for_what_it_is() {
    let cells = Fault::ALL.into_iter().flat_map(|fault| Kind::ALL.map(|kind| struck(fault, kind)));
    let cells: Vec<String> = futures::stream::iter(cells).buffered(12).collect().await;
    let head = Kind::ALL.map(|kind| kind.to_string());
    let mut table = format!("\n{}", row("", &head));
    for (fault, cells) in Fault::ALL.iter().zip(cells.chunks(Kind::ALL.len())) {
        table += &row(fault.name(), cells);
    }
    assert!(table == TABLE, "expected:{TABLE}\nfound:{table}");
}

/// One write that meets the fault, as its cell of the table.
async fn struck(fault: Fault, kind: Kind) -> String {
    let behaviour = Behaviour { request_limit: 20 * LONG, late: Duration::from_millis(500), ..fast() };
    let stage = Stage::with(behaviour, DirectOptions::default()).await;
    let session = stage.session().await;
    let (page, button) = kind.press();
    stage.erp.script([FaultRule::next(page, button, fault)]);
    let is_silent = matches!(fault, Fault::HangAfter | Fault::Late);
    let (seen, evidence) = kind.act(&stage, &*session, if is_silent { BUDGET } else { LONG }).await;
    let applied = stage.effects().len();
    assert_eq!(stage.posted(page, button), 1, "{fault} × {kind}: sent once");
    let later = if fault == Fault::Late {
        until(|| stage.effects().len() > applied).await;
        format!(", later {}", stage.effects().len())
    } else {
        String::new()
    };
    let seen = match seen {
        Seen::Differs | Seen::Answered if fault == Fault::Half => "differs or answered".to_owned(),
        seen => seen.to_string(),
    };
    let told = format!("{seen} {applied}{later}");
    if !stage.erp.stats().faults.contains_key(fault.name()) {
        return format!("({told})");
    }
    assert!(evidence.contains(words(fault)), "{fault} × {kind}: {evidence}");
    assert!(stage.effects().iter().all(|entry| entry.fault == Some(fault)), "{fault} × {kind}");
    told
}

/// What the outcome of every write that met the fault must say.
fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::FailBefore | Fault::FailAfter => "answers 500 Runtime Error",
        Fault::DropAfter => "the connection broke before an answer",
        Fault::HangAfter | Fault::Late => "no whole answer in time",
        Fault::Expire | Fault::Kick => "the session expired",
        Fault::Reject => "Operazione non consentita.",
        Fault::Maintenance => "answers 503 Sito in manutenzione",
        Fault::Similar => "neither that it was done nor why not",
        Fault::Recycle => "Validation of viewstate MAC failed.",
        Fault::Truncate => "the answer broke off",
        Fault::Slow | Fault::Half | Fault::Altered | Fault::KickNext | Fault::StaleList => "",
    }
}

fn row(name: &str, cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<22}")).collect();
    format!("{name:<11} | {}", cells.join(" | ")).trim_end().to_owned() + "\n"
}

#[tokio::test]
async fn the_gate_commits_before_a_fault_can_strike() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Order.aspx", "Delete", Fault::FailBefore)]);
    let number = stage.put("nancy", "mark", OrderState::Open).await;
    let (intent, _) = stage.intent(LONG).await;
    let lease = intent.lease().clone();
    session.client().delete_order(&number, intent, stage.gate()).await;
    let record = stage.store.get(&lease.agent, lease.operation).await.unwrap().unwrap();
    assert_eq!(record.effects[0].state, EffectState::Released);
}

#[tokio::test]
async fn who_is_kicked_after_a_write_finds_out_with_the_next_request() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Customer.aspx", "Save", Fault::KickNext)]);
    let (seen, evidence) = Kind::NewCustomer.act(&stage, &*session, LONG).await;
    assert_eq!(seen, Seen::Done, "{evidence}");
    let error = session.client().check_health().await.unwrap_err();
    assert_eq!(error.to_string(), "the session expired");
}

#[tokio::test]
async fn half_an_edit_keeps_the_header_and_loses_the_lines() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Order.aspx", "Save", Fault::Half)]);
    Kind::EditOrder.act(&stage, &*session, LONG).await;
    let edited = stage.effects().remove(0).order.unwrap();
    assert_eq!((edited.note, edited.lines.len()), (wanted(2).note, 0));
}

#[tokio::test]
async fn a_stale_list_hides_what_is_new_and_its_own_page_does_not() {
    let stage = Stage::with(Behaviour { stale: LONG, ..fast() }, DirectOptions::default()).await;
    let session = stage.session().await;
    for kind in [Kind::NewOrder, Kind::NewCustomer] {
        let (page, button) = kind.press();
        stage.erp.script([FaultRule::next(page, button, Fault::StaleList)]);
        kind.act(&stage, &*session, LONG).await;
    }
    let [order, customer] = stage.effects().try_into().unwrap();
    let client = session.client();
    assert_eq!(client.read_order(&order.number).await.unwrap().unwrap().number, order.number);
    assert_eq!(client.read_orders(1).await.unwrap().orders, []);
    assert_eq!(client.read_customer(&customer.number).await.unwrap().unwrap().code, customer.number);
    assert_eq!(client.find_customers("Due <Torri>").await.unwrap(), []);
    stage.erp.set_behaviour(fast());
}
