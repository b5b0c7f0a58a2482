//! What every sync has to stand, and what is each one's own.

use archibald_core::id::{Collection, OperationId};
use archibald_core::port::{Operations, RowQuery};
use archibald_testing::fake_erp::FakeErp;
use serde_json::{Value, from_value, json};

use crate::support::{House, agent};
use crate::verb::{customer, order_20001};

/// Rows that fill three pages.
const ROWS: u32 = 45;

/// A sync with something to read.
pub(crate) struct Listing {
    name: &'static str,
    event: &'static str,
    /// Adds the row of this number.
    pub(crate) add: fn(&FakeErp, u32),
    /// Changes the row of this place.
    change: fn(&FakeErp, usize),
    /// Takes rows away from the end, so that so many are left.
    keep: fn(&FakeErp, usize),
}

const CUSTOMERS: Listing = Listing {
    name: "customers",
    event: "customer.updated",
    add: |erp, n| erp.add_customers([customer(&format!("C{n:04}"), &format!("Customer {n}"), "", "")]),
    change: |erp, at| erp.by_hand(|records| records.customers[at].city = "Milano".into()),
    keep: |erp, left| erp.by_hand(|records| records.customers.truncate(left)),
};

const PRODUCTS: Listing = Listing {
    name: "products",
    event: "product.updated",
    add: |erp, n| {
        let product = json!({ "code": format!("A{n:04}"), "description": "Tè", "unit": "10 bustine",
            "list_price": "18", "discontinued": false });
        erp.by_hand(|records| records.products.push(from_value(product).unwrap()));
    },
    change: |erp, at| erp.by_hand(|records| records.products[at].discontinued = true),
    keep: |erp, left| erp.by_hand(|records| records.products.truncate(left)),
};

const PRICES: Listing = Listing {
    name: "prices",
    event: "price.updated",
    add: |erp, n| {
        let price = json!({ "product": format!("A{:04}", n / 2), "group": format!("G{}", n % 2),
            "price": "18", "discount": "0" });
        erp.by_hand(|records| records.prices.push(from_value(price).unwrap()));
    },
    change: |erp, at| erp.by_hand(|records| records.prices[at].price = 19.into()),
    keep: |erp, left| erp.by_hand(|records| records.prices.truncate(left)),
};

pub(crate) const ORDERS: Listing = Listing {
    name: "orders",
    event: "order.updated",
    add: |erp, n| {
        let mut order = order_20001("", 3, false);
        order.number = (20_001 + n).to_string();
        erp.add_order(&agent("nancy"), order);
    },
    change: |erp, at| erp.by_hand(|records| records.orders[at].1.lines[0].quantity = 9),
    keep: |erp, left| erp.by_hand(|records| records.orders.truncate(left)),
};

impl Listing {
    async fn stands_every_story(&self) {
        let house = House::open();
        (0..ROWS).for_each(|n| (self.add)(&house.erp, n));
        self.brings_what_is_new_and_tells_what_changed(&house).await;
        self.removes_what_vanished(&house).await;
        self.removes_nothing_where_too_much_vanished(&house).await;
        self.gives_way_and_goes_on().await;
    }

    async fn brings_what_is_new_and_tells_what_changed(&self, house: &House) {
        let first = self.run(house, "s1").await;
        assert_eq!(house.completed("nancy", first).await, counts(45, 45, 0, 0), "{}", self.name);
        assert_eq!(self.rows(house).await.len(), 45);
        assert_eq!(self.told(house, first).await.len(), 45);
        let second = self.run(house, "s2").await;
        assert_eq!(house.completed("nancy", second).await, counts(45, 0, 0, 0), "{}", self.name);
        assert_eq!(self.told(house, second).await.len(), 0, "what did not change is not told");
        (self.change)(&house.erp, 30);
        let third = self.run(house, "s3").await;
        assert_eq!(house.completed("nancy", third).await, counts(45, 0, 1, 0), "{}", self.name);
        assert_eq!(self.told(house, third).await.len(), 1);
        house.saw("nancy", third, "sync.completed").await;
    }

    async fn removes_what_vanished(&self, house: &House) {
        (self.keep)(&house.erp, 43);
        let sync = self.run(house, "s4").await;
        assert_eq!(house.completed("nancy", sync).await, counts(43, 0, 0, 2), "{}", self.name);
        assert_eq!(self.rows(house).await.len(), 43);
        assert_eq!(self.told(house, sync).await, [json!(null), json!(null)], "{}", self.name);
    }

    async fn removes_nothing_where_too_much_vanished(&self, house: &House) {
        (self.keep)(&house.erp, 34);
        let sync = self.run(house, "s5").await;
        assert_eq!(house.completed("nancy", sync).await, counts(34, 0, 0, 0), "{}", self.name);
        assert_eq!(self.rows(house).await.len(), 43);
        let warning = house.saw("nancy", sync, "warning").await.event.data;
        let why = format!("9 of 43 {} are not listed any more; nothing was removed", self.name);
        assert_eq!(warning["doc"]["why"], json!(why));
        (self.add)(&house.erp, 34);
        let sync = self.run(house, "s6").await;
        assert_eq!(house.completed("nancy", sync).await, counts(35, 0, 0, 8), "{}", self.name);
    }

    /// Seen in the middle of a list that may have moved under it, nothing counts as vanished.
    async fn gives_way_and_goes_on(&self) {
        let house = House::open();
        (0..ROWS).for_each(|n| (self.add)(&house.erp, n));
        let sync = self.run(&house, "s1").await;
        house.completed("nancy", sync).await;
        (self.keep)(&house.erp, 44);
        house.erp.hold_lists(true);
        let sync = self.run(&house, "s2").await;
        house.holds_a_page().await;
        let write = house.enqueue("nancy", "delete-order", "k1", json!({ "order": "none" })).await;
        house.asks_to_give_way().await;
        house.erp.hold_lists(false);
        assert_eq!(house.finished("nancy", write).await.operation.state.name(), "rejected");
        assert_eq!(house.completed("nancy", sync).await, counts(44, 0, 0, 0), "{}", self.name);
        let record = house.finished("nancy", sync).await;
        assert_eq!((record.operation.attempts, record.operation.preemptions), (1, 1), "{}", self.name);
        assert_eq!(self.rows(&house).await.len(), 45, "{}: the pass was interrupted", self.name);
        assert!(house.events("nancy").await.iter().all(|told| told.event.kind != "warning"), "{}", self.name);
    }

    async fn run(&self, house: &House, key: &str) -> OperationId {
        let id = house.enqueue("nancy", &format!("sync-{}", self.name), key, json!({})).await;
        if !key.starts_with("s2") {
            house.completed("nancy", id).await;
        }
        id
    }

    async fn rows(&self, house: &House) -> Vec<(String, Value)> {
        let collection = Collection::new(self.name).unwrap();
        let query = RowQuery { collection, search: None, after: None, limit: 500 };
        let page = house.archibald.rows(&agent("nancy"), &query).await.unwrap();
        page.rows.into_iter().map(|(id, doc, _)| (id, doc)).collect()
    }

    /// The contents that events of this sync told.
    async fn told(&self, house: &House, sync: OperationId) -> Vec<Value> {
        let events = house.events("nancy").await.into_iter().map(|told| told.event);
        let ours = events.filter(|event| event.kind == self.event && event.operation == Some(sync));
        ours.map(|event| event.data["doc"].clone()).collect()
    }
}

fn counts(read: u64, created: u64, updated: u64, removed: u64) -> Value {
    json!({ "read": read, "created": created, "updated": updated, "removed": removed })
}

#[tokio::test]
async fn customers_are_kept_in_step() {
    CUSTOMERS.stands_every_story().await;
}

#[tokio::test]
async fn products_are_kept_in_step() {
    PRODUCTS.stands_every_story().await;
}

#[tokio::test]
async fn prices_are_kept_in_step() {
    PRICES.stands_every_story().await;
}

#[tokio::test]
async fn orders_are_kept_in_step() {
    ORDERS.stands_every_story().await;
}

#[tokio::test]
async fn only_orders_whose_head_changed_are_opened() {
    let house = House::open();
    (0..3).for_each(|n| (ORDERS.add)(&house.erp, n));
    ORDERS.run(&house, "s1").await;
    assert_eq!(house.erp.opened(), ["20001", "20002", "20003"]);
    (ORDERS.change)(&house.erp, 1);
    ORDERS.run(&house, "s3").await;
    assert_eq!(house.erp.opened()[3..], ["20002"]);
    let rows = ORDERS.rows(&house).await;
    assert_eq!((&rows[1].1["lines"][0]["quantity"], &rows[1].1["total"]), (&json!(9), &json!("9")));
}

#[tokio::test]
async fn what_lists_leave_out_is_kept_where_its_detail_page_is_there() {
    let house = House::open();
    (0..10).for_each(|n| (ORDERS.add)(&house.erp, n));
    (0..10).for_each(|n| (CUSTOMERS.add)(&house.erp, n));
    ORDERS.run(&house, "s1").await;
    CUSTOMERS.run(&house, "c1").await;
    house.erp.leave_out_of_lists(["20002", "C0003"]);
    let orders = ORDERS.run(&house, "s3").await;
    let customers = CUSTOMERS.run(&house, "c3").await;
    assert_eq!(house.completed("nancy", orders).await, counts(9, 0, 0, 0));
    assert_eq!(house.completed("nancy", customers).await, counts(9, 0, 0, 0));
    assert_eq!((ORDERS.rows(&house).await.len(), CUSTOMERS.rows(&house).await.len()), (10, 10));
}

/// What moves up in the list while it is read is on none of the pages, and nowhere else to be looked for.
#[tokio::test]
async fn what_moved_from_page_to_page_has_not_vanished() {
    for listing in [PRODUCTS, PRICES] {
        let house = House::open();
        (0..ROWS).for_each(|n| (listing.add)(&house.erp, n));
        listing.run(&house, "s1").await;
        house.erp.by_hand_before_page(2, |records| {
            records.products.rotate_left(1);
            records.prices.rotate_left(1);
        });
        let sync = listing.run(&house, "s3").await;
        assert_eq!(house.completed("nancy", sync).await, counts(45, 0, 0, 0), "{}", listing.name);
        assert_eq!(listing.rows(&house).await.len(), 45, "{}", listing.name);
    }
}

/// The list shows cities, so an empty one is one that was cleared.
#[tokio::test]
async fn a_field_that_lists_show_may_be_cleared() {
    let house = House::open();
    house.erp.add_customers([customer("C1", "Rossi", "1", "Verona")]);
    CUSTOMERS.run(&house, "s1").await;
    house.erp.by_hand(|records| records.customers[0].city.clear());
    let sync = CUSTOMERS.run(&house, "s3").await;
    assert_eq!(house.completed("nancy", sync).await, counts(1, 0, 1, 0));
    assert_eq!(CUSTOMERS.rows(&house).await[0].1["city"], json!(""));
}

/// The list has no phone numbers, and a sync does not forget them.
#[tokio::test]
async fn a_sync_keeps_what_lists_do_not_show() {
    let house = House::open();
    let payload = json!({ "name": "Rossi", "vat": "1", "city": "Verona", "phone": "045 1" });
    let id = house.enqueue("nancy", "create-customer", "k1", payload).await;
    house.completed("nancy", id).await;
    house.erp.by_hand(|records| records.customers[0].city = "Milano".into());
    let sync = CUSTOMERS.run(&house, "s1").await;
    assert_eq!(house.completed("nancy", sync).await, counts(1, 0, 1, 0));
    let rows = CUSTOMERS.rows(&house).await;
    assert_eq!((&rows[0].1["phone"], &rows[0].1["city"]), (&json!("045 1"), &json!("Milano")));
}

/// A sync that goes on walks its list from the first page again, which takes long: it gives way on the way.
#[tokio::test]
async fn a_sync_that_goes_on_gives_way_before_it_is_where_it_was() {
    let house = House::open();
    (0..25).for_each(|n| (PRODUCTS.add)(&house.erp, n));
    house.erp.hold_lists(true);
    house.erp.hold_details(true);
    let sync = house.enqueue("nancy", "sync-products", "s2", json!({})).await;
    house.holds_a_page().await;
    let first = house.enqueue("nancy", "delete-order", "k1", json!({ "order": "none" })).await;
    house.gave_way(1).await;
    house.erp.hold_lists(false);
    house.saw("nancy", first, "operation.started").await;
    // The sync has its first page, and is held on the way to the second.
    house.erp.hold_lists(true);
    house.erp.hold_details(false);
    house.finished("nancy", first).await;
    house.holds_a_page().await;
    let second = house.enqueue("nancy", "delete-order", "k2", json!({ "order": "none" })).await;
    house.gave_way(2).await;
    house.erp.hold_lists(false);
    house.finished("nancy", second).await;
    assert_eq!(house.completed("nancy", sync).await, counts(25, 25, 0, 0));
    let record = house.finished("nancy", sync).await;
    assert_eq!((record.operation.preemptions, record.operation.yields), (2, 0));
    assert_eq!((record.operation.attempts, record.evidence.len()), (1, 0), "it is nobody's fault");
}

/// Detail pages take as long as lists: one that was read before it gave way is not read again.
#[tokio::test]
async fn orders_that_were_opened_before_it_gave_way_are_not_opened_again() {
    let house = House::open();
    (0..5).for_each(|n| (ORDERS.add)(&house.erp, n));
    house.erp.hold_details(true);
    let sync = house.enqueue("nancy", "sync-orders", "s2", json!({})).await;
    house.holds_a_page().await;
    let write = house.submit("nancy", "k1").await;
    house.asks_to_give_way().await;
    house.erp.hold_details(false);
    house.completed("nancy", write).await;
    house.completed("nancy", sync).await;
    assert_eq!(house.finished("nancy", sync).await.operation.preemptions, 1);
    assert_eq!(house.erp.opened(), ["20001", "20002", "20003", "20004", "20005", "O-1"]);
}

#[tokio::test]
async fn a_user_adds_a_kind_that_reads() {
    let house = House::open();
    (CUSTOMERS.add)(&house.erp, 1);
    let id = house.enqueue("nancy", "count-customers", "k1", json!({})).await;
    assert_eq!(house.completed("nancy", id).await, json!({ "customers": 1 }));
}
