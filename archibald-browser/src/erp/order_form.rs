//! Typing an order; nothing is saved here.

use archibald_core::erp::{Order, OrderLine, WantedLine, WantedOrder};
use archibald_core::port::ClientError;

use super::{At, Site};
use crate::driver::{Field, Limit, Page};

/// Why something could not be typed.
#[derive(Debug)]
pub(super) enum Typing {
    /// The site does not accept what was typed, in its own words.
    Refused(String),
    /// The site could not be used.
    Client(ClientError),
}

impl From<ClientError> for Typing {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl Site {
    /// Types a whole new order.
    pub(super) async fn type_order(
        &self,
        At { page, limit, user }: At<'_>,
        wanted: &WantedOrder,
        reference: &str,
    ) -> Result<(), Typing> {
        self.open(page, limit, &self.map.order.path).await?;
        self.recognise(page, limit, user).await?;
        for (key, selector, value) in self.header_of(wanted, reference) {
            let field = Field { selector, value: &value, posts_back: false };
            self.fill(page, limit, ("order", key), field).await?;
        }
        self.type_lines(At { page, limit, user }, wanted, 0).await?;
        self.check_typed(page, limit, wanted, reference).await
    }

    /// Types what differs into the form of an order that was just read, so that the last page of its lines
    /// is shown. Lines are told by their place: those that are equal from the first on are kept.
    pub(super) async fn type_changes(
        &self,
        At { page, limit, user }: At<'_>,
        shown: &Order,
        wanted: &WantedOrder,
        reference: &str,
    ) -> Result<(), Typing> {
        let head = self.read_order_head(page, limit).await?;
        for (key, selector, value) in self.header_of(wanted, reference) {
            if head.text(key)? != value {
                let field = Field { selector, value: &value, posts_back: false };
                self.fill(page, limit, ("order", key), field).await?;
            }
        }
        let kept = shown.lines.iter().zip(&wanted.lines).take_while(|(have, want)| is_as(have, want)).count();
        for line in shown.lines[kept..].iter().rev() {
            self.remove_last_line(page, limit, user, line).await?;
        }
        self.type_lines(At { page, limit, user }, wanted, kept).await?;
        self.check_typed(page, limit, wanted, reference).await
    }

    /// Key in the page map, selector and text of the header's fields.
    fn header_of(&self, wanted: &WantedOrder, reference: &str) -> [(&'static str, &str, String); 4] {
        let form = &self.map.order;
        [
            ("customer", &form.customer, wanted.customer.clone()),
            ("date", &form.date, self.map.formats.write_date(wanted.date)),
            ("reference", &form.reference, reference.to_owned()),
            ("note", &form.note, wanted.note.clone()),
        ]
    }

    /// All but the first `kept`, which are there; tells of each before it is typed, and of their end.
    async fn type_lines(&self, at: At<'_>, wanted: &WantedOrder, kept: usize) -> Result<(), Typing> {
        let At { page, limit, user } = at;
        for (place, line) in wanted.lines.iter().enumerate().skip(kept) {
            limit.filling_line(place + 1, wanted.lines.len());
            self.type_line(page, limit, user, line).await?;
        }
        limit.filled_in(wanted.lines.len());
        Ok(())
    }

    async fn type_line(
        &self,
        page: &Page,
        limit: &Limit,
        user: &str,
        line: &WantedLine,
    ) -> Result<(), Typing> {
        let form = &self.map.order;
        let product = Field { selector: &form.line_product, value: &line.product, posts_back: true };
        self.fill(page, limit, ("order", "line_product"), product).await?;
        self.expect_accepted(page, limit, user).await?;
        let (quantity, discount) = (line.quantity.to_string(), self.map.formats.write_number(line.discount));
        for (key, selector, value) in [
            ("line_quantity", &form.line_quantity, &quantity),
            ("line_discount", &form.line_discount, &discount),
        ] {
            self.fill(page, limit, ("order", key), Field { selector, value, posts_back: false }).await?;
        }
        self.press(page, limit, ("order", "line_add", &form.line_add)).await?;
        self.expect_accepted(page, limit, user).await
    }

    /// Takes out the last line, which must be this one.
    async fn remove_last_line(
        &self,
        page: &Page,
        limit: &Limit,
        user: &str,
        line: &OrderLine,
    ) -> Result<(), Typing> {
        let selector = &self.map.order.line_remove_last;
        let (lines, more) = self.read_lines(page, limit).await?;
        if more || lines.last() != Some(line) {
            let detail = format!("the last line is {:?}, not {line:?}", lines.last());
            return Err(unrecognised("line_remove_last", selector, detail).into());
        }
        self.press(page, limit, ("order", "line_remove_last", selector)).await?;
        self.expect_accepted(page, limit, user).await
    }

    async fn expect_accepted(&self, page: &Page, limit: &Limit, user: &str) -> Result<(), Typing> {
        let look = self.look(page, limit, &self.map.order.validation).await?;
        look.expect_user(self, user)?;
        if look.validation.is_empty() { Ok(()) } else { Err(Typing::Refused(look.validation.join(" "))) }
    }

    /// Postbacks lose what is typed too early, so the form is read before it is saved: its fields, how many
    /// lines it has, and those of them that are shown.
    async fn check_typed(
        &self,
        page: &Page,
        limit: &Limit,
        wanted: &WantedOrder,
        reference: &str,
    ) -> Result<(), Typing> {
        let head = self.read_order_head(page, limit).await?;
        for (key, _, typed) in self.header_of(wanted, reference) {
            head.expect(key, &typed)?;
        }
        head.expect("line_count", &wanted.lines.len().to_string())?;
        let (lines, _) = self.read_lines(page, limit).await?;
        let before = wanted.lines.len().saturating_sub(lines.len());
        let typed = &wanted.lines[before..];
        if lines.len() == typed.len() && lines.iter().zip(typed).all(|(have, want)| is_as(have, want)) {
            return Ok(());
        }
        let detail = format!("show {lines:?} where {typed:?} was typed");
        Err(unrecognised("lines.rows", &self.map.order.lines.rows, detail).into())
    }
}

fn is_as(have: &OrderLine, want: &WantedLine) -> bool {
    have.product == want.product && have.quantity == want.quantity && have.discount == want.discount
}

fn unrecognised(key: &str, selector: &str, detail: String) -> ClientError {
    ClientError::Unrecognised {
        page: "order".to_owned(),
        key: key.to_owned(),
        selector: selector.to_owned(),
        detail,
    }
}
