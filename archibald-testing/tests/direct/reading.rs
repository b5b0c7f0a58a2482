//! Lists, detail pages, and what stands in the way of reading them.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::erp::{OrderQuery, WantedOrder};
use archibald_core::port::{ClientError, Finish};
use archibald_testing::direct::DirectOptions;
use archibald_testing::erp::{Behaviour, Fault, FaultRule, OrderState};

use crate::stage::{LONG, Lease, Stage, content, data, fast, wanted};

/// Short for what is never answered, long for what is.
const SECOND: Duration = Duration::from_secs(1);

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

/// Every list of 80 products, 160 prices, some fifty customers and 45 orders, to its end and from its end: a page
/// behind the one that is shown takes one request, any other is opened and jumped to.
#[tokio::test]
async fn the_next_page_of_a_list_is_turned_to_and_any_other_opened() {
    let stage = Stage::new().await;
    for _ in 0..45 {
        stage.put_as("nancy", &wanted(1), OrderState::Open).await;
    }
    let session = stage.session().await;
    let client = session.client();
    let read = async |list: &str, page: u32| {
        let before = stage.erp.stats().requests;
        let (rows, pages) = match list {
            "orders" => client.read_orders(page).await.map(|read| (read.orders.len(), read.pages)),
            "customers" => client.read_customers(page).await.map(|read| (read.customers.len(), read.pages)),
            "products" => client.read_products(page).await.map(|read| (read.products.len(), read.pages)),
            _ => client.read_prices(page).await.map(|read| (read.prices.len(), read.pages)),
        }
        .unwrap();
        (rows, pages, stage.erp.stats().requests - before)
    };
    for (list, count) in [
        ("orders", 45),
        ("customers", data().assignments()["nancy"].len()),
        ("products", 80),
        ("prices", 160),
    ] {
        let pages = u32::try_from(count.div_ceil(20)).unwrap();
        let mut rows = 0;
        for page in 1..=pages {
            let (some, all, requests) = read(list, page).await;
            assert_eq!((all, requests), (pages, 1), "{list} {page}");
            rows += some;
        }
        assert_eq!(rows, count, "{list}");
        assert_eq!(read(list, pages + 1).await, (0, pages, 1), "{list}: past the end there is nothing");
        assert_eq!(read(list, pages).await, (count - 20 * (pages as usize - 1), pages, 2), "{list}");
        assert_eq!(read(list, 2).await.2, 2, "{list}");
        client.check_health().await.unwrap();
        assert_eq!(read(list, 3).await.2, 2, "{list}: something else was shown in between");
    }
}

#[tokio::test]
async fn a_filtered_list_is_not_turned_as_if_it_were_whole() {
    let stage = Stage::new().await;
    for reference in ["a", "b"].into_iter().cycle().take(90) {
        let order = WantedOrder { reference: reference.to_owned(), ..wanted(1) };
        stage.put_as("nancy", &order, OrderState::Open).await;
    }
    let session = stage.session().await;
    let query = OrderQuery { reference: Some("a".to_owned()), ..OrderQuery::default() };
    assert_eq!(session.client().find_orders(&query).await.unwrap().len(), 45);
    let read = session.client().read_orders(4).await.unwrap();
    assert_eq!((read.orders.len(), read.pages), (20, 5));
    assert!(read.orders.iter().any(|order| order.reference == "b"));
}

#[tokio::test]
async fn a_list_that_got_shorter_meanwhile_ends_there() {
    let stage = Stage::new().await;
    let mut numbers = Vec::new();
    for _ in 0..41 {
        numbers.push(stage.put_as("nancy", &wanted(1), OrderState::Open).await);
    }
    let session = stage.session().await;
    assert_eq!(session.client().read_orders(1).await.unwrap().pages, 3);
    assert_eq!(session.client().read_orders(2).await.unwrap().orders.len(), 20);
    stage.control().delete_order(numbers[0].parse().unwrap()).await.unwrap();
    let read = session.client().read_orders(3).await.unwrap();
    assert_eq!((read.orders, read.pages), (vec![], 2));
}

#[tokio::test]
async fn products_and_prices_are_read_as_they_are() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let (data, mut products, mut prices) = (data(), Vec::new(), Vec::new());
    for page in 1..=4 {
        products.extend(session.client().read_products(page).await.unwrap().products);
    }
    for page in 1..=8 {
        prices.extend(session.client().read_prices(page).await.unwrap().prices);
    }
    assert!(data.products.iter().any(|product| product.discontinued));
    for (read, known) in products.iter().zip(&data.products) {
        let text = (&read.code, &read.description, &read.unit);
        assert_eq!(text, (&known.code, &known.description, &known.unit));
        assert_eq!(read.list_price.to_string(), known.price.to_string());
        assert_eq!(read.discontinued, known.discontinued);
    }
    let reseller = prices.iter().find(|price| price.group == "RIVENDITORI").unwrap();
    assert_eq!((reseller.price, reseller.discount), (products[0].list_price, 10.into()));
    assert_eq!((products.len(), prices.len()), (80, 160));
}

#[tokio::test]
async fn orders_are_found_by_their_mark_and_by_what_else_they_say() {
    let stage = Stage::new().await;
    let ours = stage.put("nancy", "Fiera~ABCDEFGH1", OrderState::Open).await;
    stage.put("andrew", "Fiera~ABCDEFGH1", OrderState::Open).await;
    for _ in 0..24 {
        stage.put("nancy", "Fiera~ABCDEFGH2", OrderState::Open).await;
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
    let open = stage.put("nancy", "mark", OrderState::Open).await;
    let sent = stage.put("nancy", "mark", OrderState::Sent).await;
    let foreign = stage.put("andrew", "mark", OrderState::Open).await;
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
