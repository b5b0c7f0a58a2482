//! The second site: the same ERP behind other paths, names, HTML and formats.

mod names;
mod orders;
mod ways;

use std::collections::BTreeMap;

use archibald_testing::data::{Line, Order, Percent, password_of};
use archibald_testing::erp::{ErpOptions, ErpSimulator, RunningErp, Site};

use crate::browser::{Browser, Page, fast, order_of, unescape};

async fn start() -> RunningErp {
    ErpSimulator::start(ErpOptions { site: Site::Gestionale, ..fast() }).await.unwrap()
}

/// Types user and password at the login page of this address and presses its button.
async fn log_in(browser: &mut Browser, path: &str, user: &str, password: &str) -> Page {
    let page = browser.get(path).await;
    submit(browser, &page, &[("txtUtente", user), ("txtParola", password), ("btnEntra", "1")]).await
}

async fn logged_in(erp: &RunningErp, user: &str) -> Browser {
    let mut browser = Browser::new(erp);
    let answer = log_in(&mut browser, "/Accesso.aspx", user, &password_of(user)).await;
    assert_eq!((answer.status, answer.location.as_deref()), (302, Some("/Principale.aspx")));
    browser
}

/// Posts the form with these fields and buttons, named by their last part.
async fn submit(browser: &mut Browser, page: &Page, controls: &[(&str, &str)]) -> Page {
    let named: Vec<(String, &str)> =
        controls.iter().map(|(name, value)| (format!("ctl00$cphCorpo${name}"), *value)).collect();
    let named: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    browser.post(page, &named).await.unwrap()
}

/// Fills fields and follows a link that posts back.
async fn follow(
    browser: &mut Browser,
    page: &Page,
    fields: &[(&str, &str)],
    target: &str,
    argument: &str,
) -> Page {
    try_follow(browser, page, fields, target, argument).await.unwrap()
}

async fn try_follow(
    browser: &mut Browser,
    page: &Page,
    fields: &[(&str, &str)],
    target: &str,
    argument: &str,
) -> Option<Page> {
    let target = format!("ctl00$cphCorpo${target}");
    let named: Vec<(String, &str)> =
        fields.iter().map(|(name, value)| (format!("ctl00$cphCorpo${name}"), *value)).collect();
    let mut all: Vec<(&str, &str)> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    all.extend([("__EVENTTARGET", target.as_str()), ("__EVENTARGUMENT", argument)]);
    browser.post(page, &all).await
}

/// Two lines, one with a discount, of an agent's customer.
fn two_lines() -> Order {
    let line = |product: &str, quantity, discount| Line { product: product.to_owned(), quantity, discount };
    let lines = vec![line("A0001", 12, Percent(1250)), line("A0002", 3, Percent(0))];
    Order { lines, ..order_of("nancy") }
}

/// Types a whole order into a new form, without saving it.
async fn type_order(browser: &mut Browser, order: &Order, reference: &str) -> Page {
    let date = order.date.to_string();
    let header =
        [("txtCliente", order.customer.as_str()), ("txtDataOrdine", date.as_str()), ("txtVsRif", reference)];
    let mut page = browser.get("/SchedaOrdine.aspx").await;
    for line in &order.lines {
        let (pieces, discount) = (line.quantity.to_string(), line.discount.to_string());
        let mut fields = header.to_vec();
        fields.extend([
            ("txtArticolo", line.product.as_str()),
            ("txtPezzi", &pieces),
            ("txtSconto", &discount),
        ]);
        page = follow(browser, &page, &fields, "lnkInserisci", "").await;
    }
    page
}

async fn save_order(browser: &mut Browser, order: &Order, reference: &str) -> Option<Page> {
    let page = type_order(browser, order, reference).await;
    try_follow(browser, &page, &[], "lnkRegistra", "").await
}

/// Text of the element of that id, which must be there and hold nothing but text.
fn text(page: &Page, id: &str) -> String {
    let found = page.body.split_once(&format!(r#"id="{id}""#));
    let (_, rest) = found.unwrap_or_else(|| panic!("no {id} in {}", page.body));
    unescape(rest.split_once('>').unwrap().1.split('<').next().unwrap())
}

fn has(page: &Page, id: &str) -> bool {
    page.body.contains(&format!(r#"id="{id}""#))
}

fn value(page: &Page, control: &str) -> String {
    page.fields().remove(&format!("ctl00$cphCorpo${control}")).unwrap_or_else(|| panic!("no field {control}"))
}

/// Rows of a grid: class of the cell to its text.
fn rows(page: &Page) -> Vec<BTreeMap<String, String>> {
    page.body
        .split(r#"<div class="voce">"#)
        .skip(1)
        .map(|row| cells(row, "</div>", r#"<div class=""#))
        .collect()
}

/// Lines of an order, in the same way.
fn lines(page: &Page) -> Vec<BTreeMap<String, String>> {
    page.body.split(r#"<tr class="riga">"#).skip(1).map(|row| cells(row, "</td>", r#"<td class=""#)).collect()
}

fn cells(row: &str, end: &str, begin: &str) -> BTreeMap<String, String> {
    let row = row.split(r#"class="sfoglia""#).next().unwrap();
    let cell = |part: &str| {
        let (class, rest) = part.split_once("\">").unwrap();
        let html = rest.split(end).next().unwrap();
        let plain: String =
            html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
        (class.to_owned(), unescape(&plain))
    };
    row.split(begin).skip(1).filter(|part| part.starts_with("c-")).map(cell).collect()
}
