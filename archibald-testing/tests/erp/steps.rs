//! Faults at requests that write nothing: page loads, lines, searches, pagers, look-ups.

use std::time::{Duration, Instant};

use archibald_testing::erp::{Behaviour, ErpControl, ErpOptions, ErpSimulator, Fault, FaultRule, RunningErp};

use crate::browser::{Browser, Cause, Page, fast, start, until};

/// How long a request that hangs holds its session here.
const HANGS: Duration = Duration::from_secs(2);

/// A request that changes nothing at the ERP.
#[derive(Clone, Copy, Debug)]
enum Step {
    Load(&'static str),
    Press(&'static str, &'static str),
    Link(&'static str, &'static str, &'static str),
    CallBack(&'static str, &'static str),
}

const STEPS: [Step; 11] = [
    Step::Load("Default.aspx"),
    Step::Load("Order.aspx"),
    Step::Press("Order.aspx", "AddLine"),
    Step::Link("Order.aspx", "LineProduct", ""),
    Step::Link("Order.aspx", "CustomerPopup", "Pick$ALFKI"),
    Step::CallBack("Order.aspx", "CustomerPopup"),
    Step::Press("Orders.aspx", "Search"),
    Step::Link("Orders.aspx", "Orders", "Page$1"),
    Step::Press("Customers.aspx", "Search"),
    Step::Link("Customers.aspx", "Customers", "Page$2"),
    Step::Link("Prices.aspx", "Prices", "Page$2"),
];

impl Step {
    fn target(self) -> (&'static str, &'static str) {
        match self {
            Self::Load(page) => (page, "GET"),
            Self::Press(page, control) | Self::Link(page, control, _) | Self::CallBack(page, control) => {
                (page, control)
            }
        }
    }

    async fn take(self, browser: &mut Browser, page: Option<&Page>) -> Option<Page> {
        let link = |control: &str| format!("ctl00$Main${control}");
        match (self, page) {
            (Self::Press(_, button), Some(page)) => {
                browser.try_submit(page, &[], Cause::Button(button)).await
            }
            (Self::Link(_, control, argument), Some(page)) => {
                browser.try_submit(page, &[], Cause::Link(&link(control), argument)).await
            }
            (Self::CallBack(_, control), Some(page)) => {
                Some(browser.call_back(page, &link(control), "").await)
            }
            (step, _) => browser.try_get(&format!("/{}", step.target().0)).await,
        }
    }
}

/// The step as it meets the fault, up to its answer. Where loads are struck it is the second one: the first gives
/// the form.
async fn struck(step: Step, fault: Fault) -> (RunningErp, Browser, Option<Page>) {
    let behaviour =
        Behaviour { maintenance: Duration::from_secs(600), request_limit: HANGS, ..fast().behaviour };
    let erp = ErpSimulator::start(ErpOptions { behaviour, ..fast() }).await.unwrap();
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let (name, control) = step.target();
    let nth = 1 + u32::from(control == "GET");
    let rule = FaultRule { nth, ..FaultRule::next(name, control, fault) };
    ErpControl::new(&erp.control_url()).unwrap().script(&[rule]).await.unwrap();
    let page = browser.get(&format!("/{name}")).await;
    let answer = if fault == Fault::HangAfter {
        tokio::select! {
            answer = step.take(&mut browser, Some(&page)) => answer,
            () = until(|| erp.stats().faults.contains_key(fault.name())) => None,
        }
    } else {
        step.take(&mut browser, Some(&page)).await
    };
    assert_eq!(erp.stats().faults[fault.name()], 1, "{step:?}, {fault}");
    assert!(erp.ledger().is_empty());
    (erp, browser, answer)
}

#[tokio::test]
async fn a_request_that_writes_nothing_meets_faults_too() {
    for step in STEPS {
        for (fault, status, then) in [
            (Fault::FailBefore, Some(500), 200),
            (Fault::FailAfter, Some(500), 200),
            (Fault::Expire, Some(302), 302),
            (Fault::Kick, Some(302), 302),
            (Fault::KickNext, Some(200), 302),
            (Fault::Recycle, Some(500), 302),
            (Fault::Maintenance, Some(503), 503),
            (Fault::Slow, Some(200), 200),
        ] {
            let (_erp, mut browser, answer) = struck(step, fault).await;
            assert_eq!(answer.map(|page| page.status), status, "{step:?}, {fault}");
            assert_eq!(browser.get("/Default.aspx").await.status, then, "{step:?}, {fault}");
        }
    }
}

#[tokio::test]
async fn a_request_that_hangs_holds_its_session_whatever_it_is() {
    let steps = STEPS.map(|step| async move {
        let (_erp, browser, answer) = struck(step, Fault::HangAfter).await;
        assert!(answer.is_none(), "{step:?}");
        let started = Instant::now();
        assert_eq!(browser.new_tab().get("/Default.aspx").await.status, 200);
        assert!(started.elapsed() > HANGS / 2, "{step:?}");
    });
    futures::future::join_all(steps).await;
}

/// A list that came unfiltered, without a word, would be taken for what was searched for.
#[tokio::test]
async fn a_search_that_is_rejected_says_so() {
    for page in ["Orders.aspx", "Customers.aspx"] {
        let (_erp, _, answer) = struck(Step::Press(page, "Search"), Fault::Reject).await;
        assert!(answer.unwrap().has("ValidationSummary"), "{page}");
    }
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_for_a_request_lets_it_through() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    for fault in [Fault::Half, Fault::Altered, Fault::Similar, Fault::StaleList, Fault::Reject] {
        erp.script([FaultRule::next("Orders.aspx", "GET", fault)]);
        assert_eq!(browser.get("/Orders.aspx").await.status, 200, "{fault}");
        assert!(!erp.stats().faults.contains_key(fault.name()), "{fault} struck nothing");
    }
}
