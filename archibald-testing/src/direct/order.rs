//! `Order.aspx`: what an order's page shows.

use archibald_core::erp::{Order, OrderLine};
use archibald_core::port::ClientError;

use super::italian;
use super::page::{Page, Row};
use super::tab::Tab;

/// An order's own page; `None` where the ERP has no such order for this agent.
pub(super) async fn open(tab: &Tab, number: &str) -> Result<Option<Page>, ClientError> {
    tab.open_detail("/Order.aspx", ("number", number), "Number").await
}

/// The order that the page shows, with the lines of all pages of its grid.
pub(super) async fn read(tab: &Tab, page: Page) -> Result<Order, ClientError> {
    read_on(tab, page).await.map(|(order, _)| order)
}

/// The same, and the page that is shown then: the grid's last.
pub(super) async fn read_on(tab: &Tab, page: Page) -> Result<(Order, Page), ClientError> {
    let lines = line_count(&page)?;
    let mut order = Order {
        number: page.expect_text("Number")?.to_owned(),
        customer: page.value("Customer")?.to_owned(),
        date: page.understand("Date", page.value("Date")?, italian::parse_date)?,
        reference: page.value("Reference")?.to_owned(),
        note: page.value("Note")?.to_owned(),
        sent: is_sent(&page)?,
        lines: Vec::new(),
    };
    let incomplete =
        page.unrecognised("Lines", "#ctl00_Main_Lines", format!("not the {lines} lines it counts"));
    let (rows, page) = tab.every_row(page, "Lines").await?;
    for (place, row) in (1..).zip(&rows) {
        if row.understand("position", number)? != place {
            return Err(incomplete);
        }
        order.lines.push(line(row)?);
    }
    if rows.len() == lines as usize { Ok((order, page)) } else { Err(incomplete) }
}

pub(super) fn is_sent(page: &Page) -> Result<bool, ClientError> {
    page.understand("State", page.expect_text("State")?, sent)
}

pub(super) fn line_count(page: &Page) -> Result<u32, ClientError> {
    page.understand("LineCount", page.expect_text("LineCount")?, number)
}

/// Reads a state as the pages call it.
pub(super) fn sent(state: &str) -> Option<bool> {
    match state {
        "Aperto" => Some(false),
        "Inviato" => Some(true),
        _ => None,
    }
}

/// Reads a row as an order's line, whatever it is of.
pub(super) fn read_any(row: &Row) {
    let _ = line(row);
}

fn line(row: &Row) -> Result<OrderLine, ClientError> {
    Ok(OrderLine {
        product: row.text("product")?.to_owned(),
        quantity: row.understand("quantity", number)?,
        unit_price: row.understand("price", italian::parse_decimal)?,
        discount: row.understand("discount", italian::parse_decimal)?,
    })
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}
