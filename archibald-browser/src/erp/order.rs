use archibald_core::erp::{Order, OrderLine};
use archibald_core::port::ClientError;

use super::fields::Fields;
use super::grid::Row;
use super::{At, Site};
use crate::driver::{Limit, Page};

/// Pages of lines that an order may have.
const MAX_PAGES: usize = 60;

impl Site {
    /// An order's detail page.
    pub(super) async fn read_order(
        &self,
        At { page, limit, user }: At<'_>,
        number: &str,
    ) -> Result<Option<Order>, ClientError> {
        let form = &self.map.order;
        // Without a number the page is a new order.
        if number.trim().is_empty() {
            return Ok(None);
        }
        self.open_one(page, limit, (&form.path, &form.number_parameter, number)).await?;
        self.recognise(page, limit, user).await?;
        let head = self.read_order_head(page, limit).await?;
        if head.get("not_found").is_some() {
            return Ok(None);
        }
        head.expect("number", number)?;
        self.read_order_shown(At { page, limit, user }, &head).await.map(Some)
    }

    /// All that the page shows of an order but its lines.
    pub(super) async fn read_order_head(
        &self,
        page: &Page,
        limit: &Limit,
    ) -> Result<Fields<'_>, ClientError> {
        let form = &self.map.order;
        let selectors = [
            ("number", &*form.number),
            ("not_found", &form.not_found),
            ("state", &form.state),
            ("customer", &form.customer),
            ("date", &form.date),
            ("reference", &form.reference),
            ("note", &form.note),
            ("line_count", &form.line_count),
            ("message", &form.message),
        ];
        self.read_fields(page, limit, "order", selectors).await
    }

    /// The order whose head was read, with its lines from the page that is shown on; the grid ends up on
    /// its last page.
    pub(super) async fn read_order_shown(
        &self,
        At { page, limit, user }: At<'_>,
        head: &Fields<'_>,
    ) -> Result<Order, ClientError> {
        let mut order = self.order_of(head)?;
        for _ in 0..MAX_PAGES {
            let (lines, more) = self.read_lines(page, limit).await?;
            order.lines.extend(lines);
            if !more {
                return Ok(order);
            }
            self.press(page, limit, ("order", "lines.next", &self.map.order.lines.next)).await?;
            self.recognise(page, limit, user).await?;
        }
        Err(ClientError::Unavailable(format!("the order has more than {MAX_PAGES} pages of lines")))
    }

    /// The lines that are shown, and whether there are more behind them.
    pub(super) async fn read_lines(
        &self,
        page: &Page,
        limit: &Limit,
    ) -> Result<(Vec<OrderLine>, bool), ClientError> {
        let grid = &self.map.order.lines;
        let rows = self.read_grid(page, limit, "order", grid).await?;
        let more = rows.more;
        Ok((rows.read("order", grid, |row| self.line_of(row))?, more))
    }

    fn order_of(&self, head: &Fields<'_>) -> Result<Order, ClientError> {
        let date = self.map.formats.read_date(&head.text("date")?);
        Ok(Order {
            number: head.text("number")?,
            customer: head.text("customer")?,
            date: date.map_err(|error| head.unrecognised("date", error.to_string()))?,
            reference: head.text("reference")?,
            note: head.text("note")?,
            sent: head.text("state")? == self.map.order.state_sent,
            lines: Vec::new(),
        })
    }

    fn line_of(&self, row: &Row<'_>) -> Result<OrderLine, ClientError> {
        let formats = &self.map.formats;
        Ok(OrderLine {
            product: row.text("product")?,
            quantity: row.read("quantity", |text| formats.read_whole(text))?,
            unit_price: row.read("price", |text| formats.read_number(text))?,
            discount: row.read("discount", |text| formats.read_number(text))?,
        })
    }
}
