//! The life of an order, and the pages it is seen on.

use archibald_testing::data::{Line, Order, Percent};
use archibald_testing::erp::{EffectKind, ErpControl, HandOrder, OrderContent, OrderState};

use crate::browser::{Browser, Cause, Page, borrowed, data, order_of, start};

fn content(order: &Order, reference: &str) -> OrderContent {
    OrderContent {
        customer: order.customer.clone(),
        date: order.date,
        reference: reference.to_owned(),
        note: String::new(),
        lines: order.lines.clone(),
    }
}

fn three_lines() -> Order {
    let line = |product: &str, quantity, discount| Line { product: product.to_owned(), quantity, discount };
    let lines = vec![
        line("A0001", 12, Percent(0)),
        line("A0002", 3, Percent(1250)),
        line("A0003", 1000, Percent(10_000)),
    ];
    Order { lines, ..order_of("nancy") }
}

#[tokio::test]
async fn an_order_is_typed_saved_read_back_and_found() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let order = three_lines();
    let saved = browser.save_order(&order, "rif. <1> & co").await.unwrap();
    assert_eq!((saved.status, saved.text("Number").as_str()), (200, "20001"));
    assert_eq!(saved.text("Message"), "Ordine 20001 salvato.");
    assert_eq!((saved.text("State"), saved.text("LineCount")), ("Aperto".to_owned(), "3".to_owned()));
    assert_eq!(
        (saved.value("Customer"), saved.value("Reference")),
        (order.customer.clone(), "rif. <1> & co".to_owned())
    );
    assert_eq!(saved.value("Date"), order.date.strftime("%d/%m/%Y").to_string());
    assert_eq!(saved.rows("Lines")[1]["discount"], "12,50");

    let list = browser.get("/Orders.aspx").await;
    let found = browser.submit(&list, &[("FilterReference", "<1>")], Cause::Button("Search")).await;
    let rows = found.rows("Orders");
    assert_eq!((rows.len(), rows[0]["number"].as_str(), rows[0]["state"].as_str()), (1, "20001", "Aperto"));
    assert!(found.body.contains(r#"<a href="/Order.aspx?number=20001">20001</a>"#));
    assert_eq!(browser.get("/Order.aspx?number=20001").await.value("Reference"), "rif. <1> & co");

    let ledger = erp.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(
        (ledger[0].kind, ledger[0].user.as_str(), ledger[0].seq),
        (EffectKind::OrderSaved, "nancy", 1)
    );
    assert_eq!(ledger[0].order, Some(content(&order, "rif. <1> & co")));
    assert_eq!(erp.stats().posts["Order.aspx"]["ctl00$Main$AddLine"], 3);
    assert_eq!(erp.stats().saves, 1);
}

#[tokio::test]
async fn the_same_form_posted_twice_is_two_orders() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let (page, header) = browser.type_order(&order_of("nancy"), "twice").await;
    for number in ["20001", "20002"] {
        let saved = browser.submit(&page, &borrowed(&header), Cause::Button("Save")).await;
        assert_eq!(saved.text("Number"), number);
    }
    let ledger = erp.ledger();
    assert_eq!(ledger.len(), 2);
    assert_eq!(ledger[0].order, ledger[1].order);
    assert_ne!(ledger[0].request, ledger[1].request);
}

#[tokio::test]
async fn an_order_is_edited_in_place() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let order = three_lines();
    browser.save_order(&order, "before").await.unwrap();
    let page = browser.get("/Order.aspx?number=20001").await;
    let page = browser.submit(&page, &[], Cause::Link("ctl00$Main$Lines", "Remove$2")).await;
    let fields = [("Reference", "after"), ("Note", "prima riga\r\nseconda")];
    let saved = browser.submit(&page, &fields, Cause::Button("Save")).await;
    assert_eq!((saved.text("Number").as_str(), saved.text("LineCount").as_str()), ("20001", "2"));
    let edited = erp.ledger().pop().unwrap();
    assert_eq!(edited.kind, EffectKind::OrderEdited);
    let mut wanted = OrderContent { note: "prima riga\nseconda".to_owned(), ..content(&order, "after") };
    wanted.lines.remove(1);
    assert_eq!(edited.order, Some(wanted));
}

#[tokio::test]
async fn a_sent_order_stays_as_it_is() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let open = browser.save_order(&three_lines(), "x").await.unwrap();
    let sent = browser.submit(&open, &[], Cause::Button("Send")).await;
    assert_eq!(
        (sent.text("State").as_str(), sent.text("Message").as_str()),
        ("Inviato", "Ordine 20001 inviato a Verona.")
    );
    assert!(!sent.has("Save") && !sent.has("Delete") && !sent.has("AddLine") && !sent.has("Lines_Remove_1"));
    // The page as it was before is still around: in another tab, or in a browser that resends.
    for button in ["Save", "Delete", "Send"] {
        let refused = browser.submit(&open, &[], Cause::Button(button)).await;
        assert!(refused.body.contains("già stato inviato"), "{button}");
    }
    let kinds: Vec<EffectKind> = erp.ledger().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EffectKind::OrderSaved, EffectKind::OrderSent]);
}

#[tokio::test]
async fn a_deleted_order_is_gone_and_its_number_not_used_again() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let open = browser.save_order(&three_lines(), "x").await.unwrap();
    let gone = browser.submit(&open, &[], Cause::Button("Delete")).await;
    assert_eq!(gone.text("Message"), "Ordine 20001 eliminato.");
    assert!(browser.get("/Order.aspx?number=20001").await.has("NotFound"));
    assert_eq!(erp.orders(), []);
    assert_eq!(browser.save_order(&three_lines(), "x").await.unwrap().text("Number"), "20002");
}

#[tokio::test]
async fn an_agent_sees_nobody_elses_orders_and_customers() {
    let erp = start().await;
    let mut nancy = Browser::logged_in(&erp, "nancy").await;
    nancy.save_order(&three_lines(), "mine").await.unwrap();
    let mut anne = Browser::logged_in(&erp, "anne").await;
    assert!(anne.get("/Order.aspx?number=20001").await.has("NotFound"));
    assert!(anne.get("/Orders.aspx").await.rows("Orders").is_empty());
    let seen = data().assignments();
    let foreign = seen["nancy"].difference(&seen["anne"]).next().unwrap();
    let refused =
        anne.save_order(&Order { customer: foreign.clone(), ..order_of("anne") }, "").await.unwrap();
    assert_eq!(refused.text("CustomerError"), "Cliente sconosciuto.");
}

/// Presses Save or AddLine with one thing wrong and expects the message beside that field, and no effect.
async fn refused(field: &str, fields: &[(&str, &str)], button: &str) -> Page {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let (page, header) = browser.type_order(&three_lines(), "x").await;
    let mut all = borrowed(&header);
    all.extend(fields);
    let answer = browser.submit(&page, &all, Cause::Button(button)).await;
    assert_eq!(answer.status, 200);
    let message = answer.text(&format!("{field}Error"));
    assert!(
        !message.is_empty() && answer.body.contains(&format!("<li>{message}</li>")),
        "{field}: {message}"
    );
    assert_eq!((answer.text("Number").as_str(), answer.text("LineCount").as_str()), ("", "3"));
    assert!(erp.ledger().is_empty() && erp.orders().is_empty());
    answer
}

#[tokio::test]
async fn a_header_that_is_wrong_is_refused_beside_its_field() {
    refused("Customer", &[("Customer", "NOBODY")], "Save").await;
    refused("Date", &[("Date", "2026-11-22")], "Save").await;
    let answer = refused("Reference", &[("Reference", &"x".repeat(41))], "Save").await;
    assert_eq!(answer.value("Reference").len(), 41, "what was typed is still there");
}

#[tokio::test]
async fn a_line_that_is_wrong_is_not_added() {
    let line = |product, quantity, discount| {
        [("LineProduct", product), ("LineQuantity", quantity), ("LineDiscount", discount)]
    };
    refused("LineProduct", &line("A9999", "1", ""), "AddLine").await;
    let answer = refused("LineProduct", &line("A0008", "1", ""), "AddLine").await;
    assert_eq!(answer.text("LineProductError"), "Articolo fuori produzione.");
    for quantity in ["0", "-1", "1,5", "many", ""] {
        refused("LineQuantity", &line("A0001", quantity, ""), "AddLine").await;
    }
    for discount in ["101", "12.5", "-1", "1,234"] {
        refused("LineDiscount", &line("A0001", "1", discount), "AddLine").await;
    }
}

#[tokio::test]
async fn an_order_without_lines_is_refused() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let answer = browser.save_order(&Order { lines: Vec::new(), ..three_lines() }, "").await.unwrap();
    assert_eq!(answer.text("LinesError"), "Inserire almeno una riga.");
}

#[tokio::test]
async fn a_product_fills_its_price_by_a_postback() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let page = browser.get("/Order.aspx").await;
    let product = &data().products[0];
    let fields = [("Customer", "typed before"), ("LineProduct", product.code.as_str())];
    let filled = browser.submit(&page, &fields, Cause::Link("ctl00$Main$LineProduct", "")).await;
    assert_eq!(filled.text("LinePrice"), product.price.italian());
    assert_eq!(filled.text("LineDescription"), product.description);
    assert_eq!(filled.value("Customer"), "typed before");
}

#[tokio::test]
async fn lines_and_orders_come_twenty_a_page() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let line = three_lines().lines.remove(0);
    let long = Order { lines: vec![line; 25], ..three_lines() };
    let saved = browser.save_order(&long, "long").await.unwrap();
    assert_eq!((saved.rows("Lines").len(), saved.text("LineCount").as_str()), (20, "25"));
    let second = browser.submit(&saved, &[], Cause::Link("ctl00$Main$Lines", "Page$2")).await;
    assert_eq!(second.rows("Lines").len(), 5);
    assert_eq!(second.rows("Lines")[4]["position"], "25");

    let control = ErpControl::new(&erp.control_url()).unwrap();
    let by_hand = |reference: &str| HandOrder {
        number: None,
        agent: "nancy".to_owned(),
        state: OrderState::Open,
        content: content(&three_lines(), reference),
    };
    for n in 0..30 {
        control.put_order(&by_hand(&format!("bulk {n}"))).await.unwrap();
    }
    let list = browser.get("/Orders.aspx").await;
    let found = browser.submit(&list, &[("FilterReference", "bulk")], Cause::Button("Search")).await;
    assert_eq!(found.text("Orders_Summary"), "Pagina 1 di 2 (30)");
    let next = browser.submit(&found, &[], Cause::Link("ctl00$Main$Orders", "Page$2")).await;
    assert_eq!((next.rows("Orders").len(), next.rows("Orders")[9]["reference"].as_str()), (10, "bulk 0"));
    assert!(erp.ledger()[1..].iter().all(|entry| entry.by_hand));
}

#[tokio::test]
async fn orders_are_found_by_each_filter() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let order = three_lines();
    browser.save_order(&order, "alpha").await.unwrap();
    let date = order.date.strftime("%d/%m/%Y").to_string();
    let list = browser.get("/Orders.aspx").await;
    for (filter, hit, miss) in [
        ("FilterCustomer", order.customer.as_str(), "NOBODY"),
        ("FilterDate", date.as_str(), "01/01/1990"),
        ("FilterReference", "ALPHA", "beta"),
        ("FilterNumber", "20001", "20002"),
    ] {
        for (text, rows) in [(hit, 1), (miss, 0)] {
            let found = browser.submit(&list, &[(filter, text)], Cause::Button("Search")).await;
            assert_eq!(found.rows("Orders").len(), rows, "{filter} {text}");
        }
    }
    let wrong = browser.submit(&list, &[("FilterDate", "yesterday")], Cause::Button("Search")).await;
    assert!(!wrong.text("FilterDateError").is_empty());
}

#[tokio::test]
async fn a_postback_of_an_unknown_control_is_refused() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let page = browser.get("/Order.aspx").await;
    let answer = browser.submit(&page, &[], Cause::Link("ctl00$Main$Nothing", "")).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("Invalid postback or callback argument."));
    let delete = browser.submit(&page, &[], Cause::Button("Delete")).await;
    assert_eq!(delete.status, 500, "an order without a number cannot be deleted");
}
