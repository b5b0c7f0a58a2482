//! Customers, products, prices and the look-up.

use archibald_testing::erp::{EffectKind, Fault, FaultRule};

use crate::browser::{Browser, Cause, data, start};

#[tokio::test]
async fn a_new_customer_gets_a_code_and_is_found() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let page = browser.get("/Customer.aspx").await;
    let fields =
        [("Name", "Forno <Nuovo>"), ("Vat", "IT01234567890"), ("City", "Verona"), ("Email", "a@example.com")];
    let saved = browser.submit(&page, &fields, Cause::Button("Save")).await;
    assert_eq!(
        (saved.text("Code").as_str(), saved.text("Message").as_str()),
        ("N0001", "Cliente N0001 salvato.")
    );
    assert_eq!((saved.value("Name").as_str(), saved.value("City").as_str()), ("Forno <Nuovo>", "Verona"));

    let list = browser.get("/Customers.aspx").await;
    for text in ["<nuovo>", "IT01234567890", "n0001"] {
        let found = browser.submit(&list, &[("SearchText", text)], Cause::Button("Search")).await;
        assert_eq!(found.rows("Customers")[0]["name"], "Forno <Nuovo>", "{text}");
        assert_eq!(found.rows("Customers").len(), 1, "{text}");
    }
    let entry = erp.ledger().pop().unwrap();
    assert_eq!((entry.kind, entry.number.as_str()), (EffectKind::CustomerSaved, "N0001"));
    assert_eq!(entry.customer.unwrap().vat, "IT01234567890");
}

#[tokio::test]
async fn a_customer_is_edited_and_the_same_vat_number_twice_is_no_matter() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let seen = data().assignments();
    let codes: Vec<&String> = seen["nancy"].iter().take(2).collect();
    let other = browser.get(&format!("/Customer.aspx?code={}", codes[1])).await.value("Vat");
    let page = browser.get(&format!("/Customer.aspx?code={}", codes[0])).await;
    let saved = browser.submit(&page, &[("Vat", &other), ("Phone", "045 1")], Cause::Button("Save")).await;
    assert_eq!((saved.text("Code"), saved.value("Phone").as_str()), (codes[0].clone(), "045 1"));
    assert_eq!(erp.ledger()[0].kind, EffectKind::CustomerEdited);
}

#[tokio::test]
async fn a_customer_that_is_wrong_is_refused_beside_the_field() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let page = browser.get("/Customer.aspx").await;
    for (field, value) in [("Name", ""), ("Vat", "12-34"), ("Email", "nowhere")] {
        let mut fields = vec![("Name", "Bar"), (field, value)];
        fields.dedup_by_key(|(name, _)| *name);
        if field == "Name" {
            fields = vec![("Name", "")];
        }
        let answer = browser.submit(&page, &fields, Cause::Button("Save")).await;
        assert!(!answer.text(&format!("{field}Error")).is_empty(), "{field}");
        assert_eq!(answer.text("Code"), "");
    }
    assert!(erp.ledger().is_empty());
}

#[tokio::test]
async fn a_saved_customer_meets_faults_too() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let page = browser.get("/Customer.aspx").await;
    let fields = [("Name", "Bar"), ("City", "Verona")];
    erp.script([
        FaultRule::next("Customer.aspx", "Save", Fault::Reject),
        FaultRule { nth: 2, ..FaultRule::next("Customer.aspx", "Save", Fault::Altered) },
    ]);
    let rejected = browser.submit(&page, &fields, Cause::Button("Save")).await;
    assert!(rejected.has("ValidationSummary") && erp.ledger().is_empty());
    let altered = browser.submit(&page, &fields, Cause::Button("Save")).await;
    assert_eq!(altered.value("City"), "VERONA.");
}

#[tokio::test]
async fn another_agents_customer_is_not_there() {
    let erp = start().await;
    let seen = data().assignments();
    let foreign = seen["nancy"].difference(&seen["anne"]).next().unwrap();
    let mut anne = Browser::logged_in(&erp, "anne").await;
    assert_eq!(
        anne.get(&format!("/Customer.aspx?code={foreign}")).await.text("NotFound"),
        "Cliente non trovato."
    );
}

#[tokio::test]
async fn products_and_prices_are_paged_through() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    for (name, total) in [("Products", 80), ("Prices", 160)] {
        let mut page = browser.get(&format!("/{name}.aspx")).await;
        let mut rows = page.rows(name);
        for number in 2.. {
            if !page.has(&format!("{name}_Next")) {
                break;
            }
            let target = format!("ctl00$Main${name}");
            page = browser.submit(&page, &[], Cause::Link(&target, &format!("Page${number}"))).await;
            rows.extend(page.rows(name));
        }
        assert_eq!(rows.len(), total, "{name}");
    }
    let first = &browser.get("/Products.aspx").await.rows("Products")[7];
    let product = &data().products[7];
    assert_eq!((first["code"].as_str(), first["discontinued"].as_str()), ("A0008", "Sì"));
    assert_eq!(first["price"], product.price.italian());
}

#[tokio::test]
async fn the_look_up_answers_a_callback_and_leaves_the_view_state_alone() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let page = browser.get("/Order.aspx").await;
    let seen = data().assignments();
    let code = seen["nancy"].first().unwrap();
    let answer = browser.call_back(&page, "ctl00$Main$CustomerPopup", &code.to_lowercase()).await;
    assert!(answer.body.starts_with("0|<tr"), "{}", answer.body);
    assert!(answer.body.contains(&format!(r#"data-code="{code}""#)) && !answer.body.contains("__VIEWSTATE"));
    assert_eq!(erp.stats().posts["Order.aspx"]["ctl00$Main$CustomerPopup"], 1);
    erp.expire(None);
    let expired = browser.call_back(&page, "ctl00$Main$CustomerPopup", "").await;
    assert_eq!(expired.status, 302, "a callback of an ended session is led to the login page too");
}

#[tokio::test]
async fn a_customer_picked_in_the_look_up_comes_by_an_update_panel() {
    let erp = start().await;
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let data = data();
    let seen = data.assignments();
    let code = seen["nancy"].first().unwrap();
    let name = &data.customers.iter().find(|customer| customer.code == *code).unwrap().name;
    let page = browser.get("/Order.aspx").await;
    let pick = format!("Pick${code}");
    let answer = browser.post_async(&page, "ctl00$Main$CustomerPopup", &pick).await;
    assert!(answer.body.starts_with("1|#||4|") && !answer.body.contains("<html"));
    assert!(answer.body.contains("|updatePanel|ctl00_Main_CustomerPanel|"));
    assert!(answer.body.contains("|hiddenField|__VIEWSTATE|"));
    assert_eq!((answer.value("Customer"), answer.text("CustomerName")), (code.clone(), name.clone()));
    let whole = browser.submit(&page, &[], Cause::Link("ctl00$Main$CustomerPopup", &pick)).await;
    assert_eq!((whole.value("Customer"), whole.text("LineCount").as_str()), (code.clone(), "0"));
    erp.expire(None);
    let expired = browser.post_async(&page, "ctl00$Main$CustomerPopup", &pick).await;
    assert!(expired.body.contains("|pageRedirect||/Login.aspx?ReturnUrl="), "{}", expired.body);
}
