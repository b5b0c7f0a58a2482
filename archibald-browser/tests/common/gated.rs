//! A form behind the gate, and what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use archibald_browser::driver::{Context, Page};
use archibald_browser::gate::{ArmedGate, Fence, GateRules, PageRules, SendOutcome};

use super::site::{Site, Then};
use super::{Bench, seconds};

pub const FORM: &str = r#"<form method=post action=/Order.aspx>
    <input type=hidden name=__EVENTTARGET><input type=hidden name=__VIEWSTATE value="a+b/c=">
    <input name=Note value="perché"><input type=submit id=save name=Save value=Save>
    <input type=submit id=add name=Add value=Add><input type=submit id=send name=Send value=Send></form>"#;

pub const DONE: &str = "<p id=number>20001</p>";

pub fn rules_of(base: &str) -> Arc<GateRules> {
    let page = PageRules {
        path: "/Order.aspx".into(),
        writes: [("save".to_owned(), "Save".to_owned())].into(),
        harmless: ["Add".to_owned()].into(),
        fields: ["Note".to_owned()].into(),
        ..PageRules::default()
    };
    Arc::new(GateRules::new(&base.parse().unwrap(), [("order".to_owned(), page)].into()).unwrap())
}

/// Arms it for one save; counts how often the fence is asked.
pub fn arm(context: &Context, budget: Duration) -> (ArmedGate, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let fence: Fence = Box::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(std::time::Instant::now() + budget) })
    });
    (context.gate().unwrap().arm("order.save", fence), asked)
}

pub async fn number(page: &Page) -> String {
    page.evaluate(&seconds(5), "reading", "() => document.querySelector('#number')?.textContent ?? ''", &())
        .await
        .unwrap()
}

pub async fn status(page: &Page) -> u16 {
    page.state(&seconds(5)).await.unwrap().status
}

/// One click on the form at this address without a gate, whose first answer is dropped: two requests, and the page shows
/// success.
pub async fn sends_twice(bench: &Bench, site: &Site, address: &str) {
    site.page("/Order.aspx", FORM);
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    page.open(&seconds(20), address).await.unwrap();
    site.next_post(Then::Drop).next_post(Then::Page(DONE.into()));
    page.click_through(&seconds(20), "#save").await.unwrap();
    assert_eq!(site.posts().len(), 2);
    assert_eq!(number(&page).await, "20001");
}

/// Every fault of a save behind the gate is one request and a true outcome.
pub async fn every_fault_is_one_request(context: &Context, site: &Site, address: &str) {
    site.page("/Order.aspx", FORM);
    for (fault, lost) in
        [(Then::Drop, true), (Then::Truncate, true), (Then::Hang, true), (Then::Page(DONE.into()), false)]
    {
        let page = context.new_page().await.unwrap();
        page.open(&seconds(20), address).await.unwrap();
        let before = site.posts().len();
        site.next_post(fault.clone());
        let (armed, asked) = arm(context, Duration::from_secs(2));
        page.click_through(&seconds(20), "#save").await.unwrap();
        let outcome = armed.outcome().await.unwrap();
        assert_eq!(site.posts().len() - before, 1, "{fault:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{fault:?}");
        if lost {
            assert!(matches!(*outcome, SendOutcome::Lost(_)), "{fault:?}: {outcome:?}");
            assert_eq!(status(&page).await, 502, "{fault:?}");
        } else {
            assert!(matches!(*outcome, SendOutcome::Answered { status: 200 }), "{outcome:?}");
            assert_eq!(number(&page).await, "20001");
        }
    }
}
