//! `Order.aspx`: typing an order, and reading one.

use archibald_core::erp::{Order, OrderLine, WantedLine, WantedOrder};
use archibald_core::port::ClientError;

use super::form::Form;
use super::italian;
use super::page::{Page, Row};
use super::tab::Tab;
use super::wire::Asked;

/// What became of typing an order.
#[derive(Debug)]
pub(super) enum Typed {
    /// All of it is there: this is the save, not sent yet.
    Whole(Asked),
    /// The form did not take a line.
    Refused(String),
}

/// Types a new order, one postback a line, up to the press of Save.
pub(super) async fn type_in(tab: &Tab, wanted: &WantedOrder, reference: &str) -> Result<Typed, ClientError> {
    let mut form = Form::of(&tab.open("/Order.aspx", &[]).await?)?;
    form.fill("Customer", &wanted.customer)?;
    form.fill("Date", italian::date(wanted.date))?;
    form.fill("Reference", reference)?;
    form.fill("Note", &wanted.note)?;
    for (place, line) in (1..).zip(&wanted.lines) {
        let page = tab.submit(add_line(form, line)?).await?;
        if let Some(text) = page.refusal() {
            return Ok(Typed::Refused(text));
        }
        let count = line_count(&page)?;
        if count != place {
            let detail = format!("{count} lines after line {place} was added");
            return Err(page.unrecognised("LineCount", "#ctl00_Main_LineCount", detail));
        }
        form = Form::of(&page)?;
    }
    form.press("Save").map(Typed::Whole)
}

/// The order that the page shows, with the lines of all pages of its grid.
pub(super) async fn read(tab: &Tab, page: Page) -> Result<Order, ClientError> {
    let lines = line_count(&page)?;
    let mut order = Order {
        number: page.expect_text("Number")?.to_owned(),
        customer: page.value("Customer")?.to_owned(),
        date: page.understand("Date", page.value("Date")?, italian::parse_date)?,
        reference: page.value("Reference")?.to_owned(),
        note: page.value("Note")?.to_owned(),
        sent: page.understand("State", page.expect_text("State")?, sent)?,
        lines: Vec::new(),
    };
    let incomplete =
        page.unrecognised("Lines", "#ctl00_Main_Lines", format!("not the {lines} lines it counts"));
    let rows = tab.every_row(page, "Lines").await?;
    for (place, row) in (1..).zip(&rows) {
        if row.understand("position", number)? != place {
            return Err(incomplete);
        }
        order.lines.push(line(row)?);
    }
    if rows.len() == lines as usize { Ok(order) } else { Err(incomplete) }
}

fn add_line(mut form: Form, line: &WantedLine) -> Result<Asked, ClientError> {
    form.fill("LineProduct", &line.product)?;
    form.fill("LineQuantity", line.quantity.to_string())?;
    form.fill("LineDiscount", italian::decimal(line.discount))?;
    form.press("AddLine")
}

fn line(row: &Row) -> Result<OrderLine, ClientError> {
    Ok(OrderLine {
        product: row.text("product")?.to_owned(),
        quantity: row.understand("quantity", number)?,
        unit_price: row.understand("price", italian::parse_decimal)?,
        discount: row.understand("discount", italian::parse_decimal)?,
    })
}

fn line_count(page: &Page) -> Result<u32, ClientError> {
    page.understand("LineCount", page.expect_text("LineCount")?, number)
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

pub(super) fn sent(state: &str) -> Option<bool> {
    match state {
        "Aperto" => Some(false),
        "Inviato" => Some(true),
        _ => None,
    }
}
