//! Every fault × every write, through the commit gate and by the same click without it: what reached the ERP, and what
//! it did. `cargo test -p archibald-browser --test ungated -- --nocapture` prints the table.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use archibald_browser::driver::{Field, Page};
use archibald_core::erp::WantedCustomer;
use archibald_core::port::Credentials;
use archibald_testing::data::password_of;
use archibald_testing::erp::{Fault, OrderState};
use common::office::{Desk, Office};
use common::seconds;

/// Whose page, which control, and what is written by it.
const WRITES: [(&str, &str, &str); 6] = [
    ("Order.aspx", "Save", "a new order"),
    ("Order.aspx", "Save", "an order changed"),
    ("Order.aspx", "Send", "an order sent"),
    ("Order.aspx", "Delete", "an order deleted"),
    ("Customer.aspx", "Save", "a new customer"),
    ("Customer.aspx", "Save", "a customer changed"),
];

/// And in how many requests and effects a click may end.
const FAULTS: [(Fault, usize); 6] = [
    (Fault::Slow, 1),
    (Fault::FailBefore, 0),
    (Fault::FailAfter, 1),
    (Fault::DropAfter, 1),
    (Fault::Truncate, 1),
    (Fault::Reject, 0),
];

/// What differs between two clicks of a sort.
struct Case {
    write: &'static str,
    /// Of an order that is there.
    number: String,
    /// Of a customer that is there.
    customer: String,
    text: String,
}

#[tokio::test]
async fn one_click_is_one_request_with_the_gate_and_several_without() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let bare = office.bench.browser.new_context(None).await.unwrap();
    let login = bare.new_page().await.unwrap();
    let who = Credentials { user: office.user.clone(), password: password_of(&office.user) };
    office.site.login(&login, &seconds(20), &who).await.unwrap();
    let customer = office.data.assignments()[&office.user].iter().next().unwrap().clone();
    let (mut clicks, mut repeated, mut doubled) = (0, 0, 0);
    eprintln!("| write, fault | with the gate: requests, effects | without |\n| --- | --- | --- |");
    for (n, (page, control, write)) in (0_u128..).zip(WRITES) {
        for (m, (fault, effects)) in (0_u128..).zip(FAULTS) {
            let mut told = vec![];
            for is_gated in [true, false] {
                let number = office.put_order(&office.wanted(1), "~A", OrderState::Open).await;
                let text = format!("{write} {m} {is_gated}");
                let case = Case { write, number, customer: customer.clone(), text };
                let before = (office.posts(page, control), office.effects().len());
                office.next(page, control, fault);
                if is_gated {
                    with_the_gate(&office, &desk, &case, n * 100 + m + 1).await;
                } else {
                    let page = bare.new_page().await.unwrap();
                    without(&office, &page, &case).await;
                }
                told.push((office.posts(page, control) - before.0, office.effects().len() - before.1));
                office.erp.clear_faults();
            }
            let [gated, bare] = told[..] else { panic!("{told:?}") };
            assert_eq!(gated, (1, effects), "{write}, {fault:?}: one request, told truly");
            assert!(bare.0 >= 1, "{write}, {fault:?}: the click without a gate came through");
            eprintln!("| {write}, {fault:?} | {}, {} | {}, {} |", gated.0, gated.1, bare.0, bare.1);
            clicks += 1;
            repeated += u64::from(bare.0 > 1);
            doubled += u64::from(bare.1 > effects);
        }
    }
    eprintln!("without the gate, of {clicks} clicks {repeated} were sent again, and {doubled} done twice");
    assert!(
        repeated >= 6 && doubled >= 2,
        "{repeated} sent again, {doubled} done twice: why there is a gate"
    );
    drop((login, bare, desk));
    office.close().await;
}

async fn with_the_gate(office: &Office, desk: &Desk, case: &Case, n: u128) {
    let mut wanted = office.wanted(1);
    wanted.note.clone_from(&case.text);
    let customer = WantedCustomer { name: Some(case.text.clone()), ..WantedCustomer::default() };
    match case.write {
        "a new order" => drop(desk.create(n, &wanted).await),
        "an order changed" => drop(desk.edit(&case.number, &wanted, "~A").await),
        "an order sent" => drop(desk.send(&case.number).await),
        "an order deleted" => drop(desk.delete(&case.number).await),
        "a new customer" => drop(desk.create_customer(&customer).await),
        _ => drop(desk.update_customer(&case.customer, &customer).await),
    }
}

/// The same form, filled by the same driver, and the same click; what the page shows then, nobody asks.
async fn without(office: &Office, page: &Page, case: &Case) {
    let (limit, map, wanted) = (seconds(20), office.site.map(), office.wanted(1));
    let (order, customer) = (&map.order, &map.customer);
    let path = match case.write {
        "a new order" => order.path.clone(),
        "a new customer" => customer.path.clone(),
        "a customer changed" => {
            format!("{}?{}={}", customer.path, customer.code_parameter, case.customer)
        }
        _ => format!("{}?{}={}", order.path, order.number_parameter, case.number),
    };
    let address = office.site.base().join(&path).unwrap();
    page.open(&limit, address.as_str()).await.unwrap();
    let line = &wanted.lines[0];
    let quantity = line.quantity.to_string();
    let date = map.formats.write_date(wanted.date);
    let fields: &[(&str, &str, bool)] = match case.write {
        "a new order" => &[
            (&order.customer, &wanted.customer, false),
            (&order.date, &date, false),
            (&order.line_product, &line.product, true),
            (&order.line_quantity, &quantity, false),
        ],
        "an order changed" => &[(&order.note, &case.text, false)],
        "an order sent" | "an order deleted" => &[],
        _ => &[(&customer.name, &case.text, false)],
    };
    for (selector, value, posts_back) in fields {
        page.fill(&limit, Field { selector, value, posts_back: *posts_back }).await.unwrap();
    }
    if case.write == "a new order" {
        page.click_through(&limit, &order.line_add).await.unwrap();
    }
    let (control, question) = match case.write {
        "an order sent" => (&order.send, &*order.send_question),
        "an order deleted" => (&order.delete, &*order.delete_question),
        write if write.contains("customer") => (&customer.save, ""),
        _ => (&order.save, ""),
    };
    let _question = page.expect_question(question);
    // An answer that is lost or broken off is an error here; what it did is counted at the ERP.
    page.click_through(&seconds(3), control).await.ok();
}
