//! Lists, detail pages, and what stands in the way of reading them.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::erp::OrderQuery;
use archibald_core::port::{ClientError, Finish};
use archibald_testing::data::Line;
use archibald_testing::direct::DirectOptions;
use archibald_testing::erp::{Behaviour, ErpControl, Fault, FaultRule, HandOrder, OrderContent, OrderState};

use crate::stage::{LONG, Lease, Stage, content, data, fast, wanted};

/// Short for what is never answered, long for what is.
const SECOND: Duration = Duration::from_secs(1);

/// Puts an order there by hand and answers its number.
async fn put(stage: &Stage, agent: &str, reference: &str, state: OrderState) -> String {
    let wanted = wanted(22);
    let line = |line: &archibald_core::erp::WantedLine| Line {
        product: line.product.clone(),
        quantity: line.quantity,
        discount: line.discount.to_string().parse().unwrap(),
    };
    let content = OrderContent {
        customer: wanted.customer,
        date: wanted.date.to_string().parse().unwrap(),
        reference: reference.to_owned(),
        note: wanted.note,
        lines: wanted.lines.iter().map(line).collect(),
    };
    let control = ErpControl::new(&stage.erp.control_url()).unwrap();
    let order = HandOrder { number: None, agent: agent.to_owned(), state, content };
    control.put_order(&order).await.unwrap().to_string()
}

#[tokio::test]
async fn customers_are_read_page_by_page() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let first = session.client().read_customers(1).await.unwrap();
    let mut codes = Vec::new();
    for page in 1..=first.pages {
        let read = session.client().read_customers(page).await.unwrap();
        assert_eq!(read.pages, first.pages);
        codes.extend(read.customers.into_iter().map(|customer| customer.code));
    }
    let data = data();
    let own: Vec<String> = data.assignments()["nancy"].iter().cloned().collect();
    assert!(own.len() > 40, "three pages");
    assert_eq!(codes, own);
    let known = data.customers.iter().find(|customer| customer.code == own[0]).unwrap();
    let read = &first.customers[0];
    let shown = [&read.name, &read.vat, &read.city, &read.country];
    assert_eq!(shown, [&known.name, &known.vat, &known.city, &known.country]);
    let past = session.client().read_customers(first.pages + 1).await.unwrap();
    assert_eq!((past.customers.len(), past.pages), (0, first.pages));
}

#[tokio::test]
async fn orders_are_found_by_their_mark_and_by_what_else_they_say() {
    let stage = Stage::new().await;
    let ours = put(&stage, "nancy", "Fiera~ABCDEFGH1", OrderState::Open).await;
    put(&stage, "andrew", "Fiera~ABCDEFGH1", OrderState::Open).await;
    for _ in 0..24 {
        put(&stage, "nancy", "Fiera~ABCDEFGH2", OrderState::Open).await;
    }
    let session = stage.session().await;
    let find = async |query: OrderQuery| session.client().find_orders(&query).await.unwrap();
    let by_mark = OrderQuery { reference: Some("~ABCDEFGH1".to_owned()), ..OrderQuery::default() };
    let found = find(by_mark).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].number.as_str(), found[0].reference.as_str()), (ours.as_str(), "Fiera~ABCDEFGH1"));
    let (customer, date) = (wanted(1).customer, wanted(1).date);
    assert_eq!((&found[0].customer, found[0].date), (&customer, date));
    let everything = find(OrderQuery::default()).await;
    assert_eq!(everything.len(), 25, "two pages");
    let by_both = OrderQuery { customer: Some(customer), date: Some(date), ..OrderQuery::default() };
    assert_eq!(find(by_both).await, everything);
    let nothing = OrderQuery { customer: Some("NOBODY".to_owned()), ..OrderQuery::default() };
    assert_eq!(find(nothing).await, []);
}

#[tokio::test]
async fn an_order_is_read_whole_and_only_its_agents() {
    let stage = Stage::new().await;
    let open = put(&stage, "nancy", "mark", OrderState::Open).await;
    let sent = put(&stage, "nancy", "mark", OrderState::Sent).await;
    let foreign = put(&stage, "andrew", "mark", OrderState::Open).await;
    let session = stage.session().await;
    let read = async |number: &str| session.client().read_order(number).await.unwrap();
    let order = read(&open).await.unwrap();
    assert_eq!((order.number.as_str(), order.sent), (open.as_str(), false));
    let mut expected = wanted(22);
    expected.reference = "mark".to_owned();
    assert_eq!(content(&order), expected);
    let price = &data().products[0].price.to_string();
    assert_eq!(&order.lines[0].unit_price.to_string(), price);
    let order = read(&sent).await.unwrap();
    assert!(order.sent);
    assert_eq!(content(&order), expected, "a sent order is turned and read as well");
    for nothing in [foreign.as_str(), "99999", "x&y"] {
        assert_eq!(read(nothing).await, None, "{nothing}");
    }
}

#[tokio::test]
async fn an_ended_session_and_an_erp_that_is_down_are_told_apart() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([
        FaultRule::next("Orders.aspx", "GET", Fault::FailBefore),
        FaultRule::next("Customers.aspx", "GET", Fault::Maintenance),
    ]);
    let error = session.client().find_orders(&OrderQuery::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "the ERP is unavailable: Orders.aspx answers 500 Runtime Error");
    let error = session.client().read_customers(1).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unavailable(text) if text.contains("503")), "{error}");
    stage.erp.script([FaultRule::next("Order.aspx", "GET", Fault::Expire)]);
    let error = loop {
        match session.client().read_order("1").await.unwrap_err() {
            ClientError::Unavailable(_) => tokio::task::yield_now().await, // Still in maintenance.
            other => break other,
        }
    };
    assert!(matches!(error, ClientError::SessionExpired), "{error}");
    session.finish(Finish::Clean).await;
    stage.session().await.client().check_health().await.expect("logged in again");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_page() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Orders.aspx", "GET", Fault::Truncate)]);
    let error = session.client().find_orders(&OrderQuery::default()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unavailable(text) if text.contains("broke off")), "{error}");
}

#[tokio::test]
async fn a_read_ends_with_its_limit_and_with_its_lease() {
    let options = DirectOptions { request_limit: SECOND, ..DirectOptions::default() };
    let stage = Stage::with(fast(), options).await;
    let slow = Behaviour { latency: LONG, ..fast() };
    let lease = Arc::new(Lease::holds());
    let session = stage.session_under(lease.clone()).await;
    stage.erp.set_behaviour(slow);
    let error = session.client().read_order("1").await.unwrap_err();
    assert_eq!(error.to_string(), "GET /Order.aspx took longer than 1000 ms");
    lease.lose_after(1);
    let error = session.client().read_order("1").await.unwrap_err();
    assert!(matches!(error, ClientError::LeaseLost(_)), "the lease ended while it waited: {error}");
    let requests = stage.erp.stats().requests;
    let error = session.client().check_health().await.unwrap_err();
    assert!(matches!(error, ClientError::LeaseLost(_)), "{error}");
    assert_eq!(stage.erp.stats().requests, requests, "nothing is sent without a lease");
}

#[tokio::test]
async fn a_read_has_no_more_time_than_its_lease() {
    let stage = Stage::new().await;
    let session = stage.session_under(Arc::new(Lease::ending_in(SECOND))).await;
    stage.erp.set_behaviour(Behaviour { latency: LONG, ..fast() });
    let error = session.client().read_order("1").await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { limit_ms: 1000, .. }), "{error}");
}

#[tokio::test]
async fn what_is_shown_is_captured() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    session.client().read_customers(2).await.unwrap();
    let evidence = session.client().capture().await;
    assert_eq!(evidence.len(), 1);
    assert_eq!((evidence[0].name.as_str(), evidence[0].media_type.as_str()), ("page", "text/html"));
    let html = String::from_utf8(evidence[0].bytes.clone()).unwrap();
    assert!(html.contains("Pagina 2 di"), "{html}");
    stage.erp.script([FaultRule::next("Order.aspx", "GET", Fault::FailBefore)]);
    session.client().read_order("1").await.unwrap_err();
    let html = session.client().capture().await.remove(0).bytes;
    assert!(String::from_utf8(html).unwrap().contains("Server Error"), "an error page is evidence too");
}
