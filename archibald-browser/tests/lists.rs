//! The lists, page by page, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use archibald_browser::page_map::PageMap;
use archibald_core::port::{ArchibaldClient, ClientError, Guard, LeaseLost};
use archibald_testing::data::{DataSet, Generator, Line};
use archibald_testing::erp::Behaviour;
use common::eventually;
use common::office::Office;
use rust_decimal::Decimal;

/// Reads a list to its end; what `$read` gives is rows and the count of pages.
macro_rules! read_all {
    ($client:expr, $read:ident, $rows:ident) => {{
        let mut all = Vec::new();
        for n in 1.. {
            let page = $client.$read(n).await.unwrap();
            all.extend(page.$rows);
            if n >= page.pages {
                break;
            }
        }
        all
    }};
}

fn amount(text: &impl std::fmt::Display) -> Decimal {
    text.to_string().parse().unwrap()
}

fn total(data: &DataSet, lines: &[Line]) -> Decimal {
    let price = |line: &Line| data.products.iter().find(|it| it.code == line.product).unwrap().price;
    lines.iter().map(|line| amount(&price(line).times(line.quantity, line.discount))).sum()
}

#[tokio::test]
async fn every_list_is_read_over_all_its_pages_at_one_click_a_page() {
    let data = DataSet::generate(7, 2, 90);
    let office = Office::open_over(PageMap::simulator().unwrap(), data, true).await;
    let desk = office.desk().await;
    let (client, data) = (&desk.client, &office.data);

    let products = read_all!(client, read_products, products);
    let shown: Vec<_> =
        products.iter().map(|it| (&*it.code, &*it.description, &*it.unit, it.list_price)).collect();
    let expected: Vec<_> =
        data.products.iter().map(|it| (&*it.code, &*it.description, &*it.unit, amount(&it.price))).collect();
    assert_eq!(shown, expected);
    let discontinued: Vec<_> = products.iter().map(|it| it.discontinued).collect();
    assert_eq!(discontinued, data.products.iter().map(|it| it.discontinued).collect::<Vec<_>>());
    assert_eq!(office.posts("Products.aspx", "Products"), 3, "80 products are 4 pages");

    let prices = read_all!(client, read_prices, prices);
    let shown: Vec<_> = prices.iter().map(|it| (&*it.product, &*it.group, it.price, it.discount)).collect();
    let expected: Vec<_> = data
        .products
        .iter()
        .flat_map(|it| {
            let of = |group, discount: i64| (&*it.code, group, amount(&it.price), Decimal::from(discount));
            [of("LISTINO", 0), of("RIVENDITORI", 10)]
        })
        .collect();
    assert_eq!(shown, expected);
    assert_eq!(office.posts("Prices.aspx", "Prices"), 7, "160 prices are 8 pages");

    let orders = read_all!(client, read_orders, orders);
    let own: Vec<_> = data.orders.iter().filter(|order| order.agent == office.user).rev().collect();
    let shown: Vec<_> = orders
        .iter()
        .map(|it| (it.number.clone(), it.customer.clone(), it.date.to_string(), it.total, it.sent))
        .collect();
    let expected: Vec<_> = own
        .iter()
        .map(|it| {
            let total = total(data, &it.lines);
            (it.id.to_string(), it.customer.clone(), it.date.to_string(), total, false)
        })
        .collect();
    assert_eq!(shown, expected);
    assert_eq!(own.len(), 45);
    assert_eq!(office.posts("Orders.aspx", "Orders"), 2, "45 orders are 3 pages");

    // Another list in between: it begins anew, and walks to the page that was asked for.
    let third = client.read_products(3).await.unwrap();
    client.read_prices(1).await.unwrap();
    let again = client.read_products(3).await.unwrap();
    assert_eq!((&third, &*third.products[0].code), (&again, "A0041"));
    assert_eq!(client.read_products(2).await.unwrap().products[0].code, "A0021");
    let past_the_end = client.read_products(9).await.unwrap();
    assert_eq!((past_the_end.products.len(), past_the_end.pages), (0, 4));
    drop(desk);
    office.close().await;
}

/// A lease whose holder is asked to give way from some time on.
#[derive(Default)]
struct Asked(AtomicBool);

impl Guard for Asked {
    fn check(&self) -> Result<Duration, LeaseLost> {
        Ok(Duration::from_secs(600))
    }

    fn should_yield(&self) -> bool {
        self.0.load(Relaxed)
    }
}

#[tokio::test]
async fn a_walk_to_a_page_far_behind_gives_way_between_two_pages() {
    let data = DataSet::generate(7, 2, 90);
    let office = Office::open_over(PageMap::simulator().unwrap(), data, false).await;
    let asked = Arc::new(Asked::default());
    let desk = office.desk_under(asked.clone()).await;
    let whole = desk.client.read_prices(7).await.unwrap();
    desk.client.read_products(1).await.unwrap();
    let before = office.posts("Prices.aspx", "Prices");
    // Somebody comes while the third page is on its way.
    office.erp.set_behaviour(Behaviour { latency: Duration::from_millis(300), ..office.erp.behaviour() });
    let turning = async {
        eventually("it turns pages", || office.posts("Prices.aspx", "Prices") > before + 1).await;
        asked.0.store(true, Relaxed);
    };
    let (read, ()) = tokio::join!(desk.client.read_prices(7), turning);
    assert!(matches!(read, Err(ClientError::GaveWay)), "{read:?}");
    assert_eq!(office.posts("Prices.aspx", "Prices") - before, 2, "no page more was turned");
    // The page is at rest, and the same session goes on.
    office.erp.set_behaviour(Behaviour { latency: Duration::from_millis(1), ..office.erp.behaviour() });
    desk.client.check_health().await.unwrap();
    asked.0.store(false, Relaxed);
    assert_eq!(desk.client.read_prices(7).await.unwrap(), whole);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn customers_are_searched_over_all_pages_and_a_text_that_is_not_known_is_named() {
    let data = Generator { seed: 7, agents: 2, customers: 60, products: 80, orders: 600 }.generate();
    let office = Office::open_over(PageMap::simulator().unwrap(), data, false).await;
    let desk = office.desk().await;
    let mine = &office.data.assignments()[&office.user];
    assert!(mine.len() > 40, "three pages and more: {}", mine.len());
    for text in ["", "BAR", "del", "C0003", "IT1", "nessuno così"] {
        let lower = text.to_lowercase();
        let finds = |part: &str| part.to_lowercase().contains(&lower);
        let mut expected: Vec<_> = (office.data.customers.iter())
            .filter(|it| mine.contains(&it.code) && (finds(&it.code) || finds(&it.name) || finds(&it.vat)))
            .map(|it| it.code.clone())
            .collect();
        let found = desk.client.find_customers(text).await.unwrap();
        let mut found: Vec<_> = found.into_iter().map(|it| it.code).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{text:?}");
    }
    // A search leaves the list that was read: its first page is the whole list's again.
    let first = desk.client.read_customers(1).await.unwrap();
    desk.client.find_customers("C0003").await.unwrap();
    assert_eq!(desk.client.read_customers(1).await.unwrap(), first);
    drop(desk);

    let desk = office.desk_with(|map| map.products.discontinued_no = "Nein".into()).await;
    let error = desk.client.read_products(1).await.unwrap_err().to_string();
    assert!(error.contains("columns.discontinued") && error.contains("\"No\""), "{error}");
    drop(desk);
    office.close().await;
}
