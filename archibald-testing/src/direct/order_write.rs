//! The writes of `Order.aspx`: save, delete, send to Verona.

use archibald_core::erp::{Order, OrderLine, WantedLine, WantedOrder, differences};
use archibald_core::port::ClientError;
use async_trait::async_trait;

use super::form::Form;
use super::italian;
use super::order::{self, line_count};
use super::page::Page;
use super::tab::Tab;
use super::wire::Asked;
use super::write::{Stop, Write};

/// A new order, or other content for one that exists.
pub(super) struct SaveOrder<'a> {
    /// Of an order that exists.
    pub(super) number: Option<&'a str>,
    pub(super) wanted: &'a WantedOrder,
    /// Mark included.
    pub(super) reference: &'a str,
}

pub(super) struct DeleteOrder<'a>(pub(super) &'a str);

pub(super) struct SendOrder<'a>(pub(super) &'a str);

#[async_trait]
impl Write for SaveOrder<'_> {
    type Found = Order;

    async fn type_in(&mut self, tab: &Tab) -> Result<Asked, Stop> {
        let (page, order) = match self.number {
            None => (tab.open("/Order.aspx", &[]).await?, None),
            Some(number) => {
                let (order, page) = order::read_on(tab, open_order(tab, number).await?).await?;
                (page, Some(order))
            }
        };
        let lines = order.as_ref().map_or(&[][..], |order| &order.lines);
        let kept = lines.iter().zip(&self.wanted.lines).take_while(|(is, wanted)| equal(is, wanted)).count();
        let mut typing = Typing { tab, form: self.header(&page, order.as_ref())?, page, lines: lines.len() };
        while typing.lines > kept {
            typing.remove_last().await?;
        }
        for (place, line) in self.wanted.lines.iter().enumerate().skip(kept) {
            tab.guard.filling_line(place + 1, self.wanted.lines.len());
            typing.add(line).await?;
        }
        tab.guard.filled_in(self.wanted.lines.len());
        Ok(typing.form.press("Save")?)
    }

    fn is_form(&self, page: &Page) -> bool {
        page.has("Save") && page.text("Number") == Some(self.number.unwrap_or_default())
    }

    fn is_written(&self, page: &Page) -> bool {
        let shown = page.text("Number").filter(|shown| !shown.is_empty());
        shown.is_some_and(|shown| self.number.is_none_or(|number| number == shown))
    }

    async fn read_back(&self, tab: &Tab, page: Page) -> Result<Order, ClientError> {
        order::read(tab, page).await
    }

    fn differences(&self, found: &Order) -> Vec<String> {
        differences(self.wanted, self.reference, found)
    }
}

#[async_trait]
impl Write for DeleteOrder<'_> {
    type Found = ();

    async fn type_in(&mut self, tab: &Tab) -> Result<Asked, Stop> {
        Ok(Form::of(&open_order(tab, self.0).await?)?.press("Delete")?)
    }

    fn is_form(&self, page: &Page) -> bool {
        page.has("Delete") && page.text("Number") == Some(self.0)
    }

    /// A page without an order, whose message names the one that is gone.
    fn is_written(&self, page: &Page) -> bool {
        let message = page.text("Message").unwrap_or_default();
        !page.has("Number") && message.split_whitespace().any(|word| word == self.0)
    }

    async fn read_back(&self, _tab: &Tab, _page: Page) -> Result<(), ClientError> {
        Ok(())
    }

    fn differences(&self, (): &()) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Write for SendOrder<'_> {
    type Found = Order;

    async fn type_in(&mut self, tab: &Tab) -> Result<Asked, Stop> {
        Ok(Form::of(&open_order(tab, self.0).await?)?.press("Send")?)
    }

    fn is_form(&self, page: &Page) -> bool {
        page.has("Send") && page.text("Number") == Some(self.0)
    }

    fn is_written(&self, page: &Page) -> bool {
        page.text("Number") == Some(self.0)
    }

    async fn read_back(&self, tab: &Tab, page: Page) -> Result<Order, ClientError> {
        order::read(tab, page).await
    }

    fn differences(&self, found: &Order) -> Vec<String> {
        let open = || r#"state: wanted "sent", found "open""#.to_owned();
        (!found.sent).then(open).into_iter().collect()
    }
}

impl SaveOrder<'_> {
    /// The page's form, with what differs of the header typed in.
    fn header(&self, page: &Page, order: Option<&Order>) -> Result<Form, ClientError> {
        let mut form = Form::of(page)?;
        let fields = [
            ("Customer", self.wanted.customer.clone(), order.map(|order| order.customer.clone())),
            ("Date", italian::date(self.wanted.date), order.map(|order| italian::date(order.date))),
            ("Reference", self.reference.to_owned(), order.map(|order| order.reference.clone())),
            ("Note", self.wanted.note.clone(), order.map(|order| order.note.clone())),
        ];
        for (name, wanted, is) in fields {
            if is.as_ref() != Some(&wanted) {
                form.fill(name, wanted)?;
            }
        }
        Ok(form)
    }
}

/// The page of an order that can still be changed.
async fn open_order(tab: &Tab, number: &str) -> Result<Page, Stop> {
    let page = order::open(tab, number).await?;
    let page = page.ok_or_else(|| Stop::Refused(format!("there is no order {number}")))?;
    if order::is_sent(&page)? {
        let text = format!("order {number} is sent to Verona and cannot be changed any more");
        return Err(Stop::Refused(text));
    }
    Ok(page)
}

/// An order's form between two postbacks.
struct Typing<'a> {
    tab: &'a Tab,
    page: Page,
    /// The page's, with what was typed since.
    form: Form,
    lines: usize,
}

impl Typing<'_> {
    async fn remove_last(&mut self) -> Result<(), Stop> {
        let link = format!("Lines_Remove_{}", self.lines);
        if !self.page.has(&link) {
            return Err(self.page.missing(&link).into());
        }
        let removal = self.form.clone().post_back("Lines", &format!("Remove${}", self.lines));
        self.submit(removal, self.lines - 1).await
    }

    async fn add(&mut self, line: &WantedLine) -> Result<(), Stop> {
        self.form.fill("LineProduct", &line.product)?;
        self.form.fill("LineQuantity", line.quantity.to_string())?;
        self.form.fill("LineDiscount", italian::decimal(line.discount))?;
        let addition = self.form.clone().press("AddLine")?;
        self.submit(addition, self.lines + 1).await
    }

    /// A postback that must leave so many lines.
    async fn submit(&mut self, asked: Asked, lines: usize) -> Result<(), Stop> {
        let page = self.tab.submit(asked).await?;
        if let Some(text) = page.refusal() {
            return Err(Stop::Refused(text));
        }
        let count = line_count(&page)?;
        if count as usize != lines {
            let detail = format!("{count} lines where {lines} were typed");
            return Err(page.unrecognised("LineCount", "#ctl00_Main_LineCount", detail).into());
        }
        self.form = Form::of(&page)?;
        self.page = page;
        self.lines = lines;
        Ok(())
    }
}

fn equal(is: &OrderLine, wanted: &WantedLine) -> bool {
    (&is.product, is.quantity, is.discount) == (&wanted.product, wanted.quantity, wanted.discount)
}
