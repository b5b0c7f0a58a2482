use archibald_core::erp::{Order, OrderLine, WantedLine, WantedOrder};
use archibald_core::port::ClientError;
use serde::{Deserialize, Serialize};

use super::orders::Row;
use super::{Site, client_error};
use crate::driver::{Field, Limit, Page};

/// The form's header in one evaluation: a field is its value, anything else its text.
const READ_HEADER: &str =
    "(selectors) => Object.fromEntries(Object.entries(selectors).map(([name, selector]) => {
  const element = document.querySelector(selector);
  return [name, element ? ('value' in element ? element.value : element.textContent).trim() : null];
}))";

/// Pages of lines that an order may have.
const MAX_PAGES: usize = 60;

#[derive(Serialize)]
struct HeaderSelectors<'a> {
    number: &'a str,
    not_found: &'a str,
    state: &'a str,
    customer: &'a str,
    date: &'a str,
    reference: &'a str,
    note: &'a str,
    line_count: &'a str,
}

#[derive(Debug, Deserialize)]
struct Header {
    number: Option<String>,
    not_found: Option<String>,
    state: Option<String>,
    customer: Option<String>,
    date: Option<String>,
    reference: Option<String>,
    note: Option<String>,
    line_count: Option<String>,
}

/// Why an order could not be typed.
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
    /// Types a whole new order and saves nothing.
    pub(super) async fn type_order(
        &self,
        page: &Page,
        limit: &Limit,
        user: &str,
        wanted: &WantedOrder,
        reference: &str,
    ) -> Result<(), Typing> {
        let form = &self.map.order;
        self.open(page, limit, &form.path).await?;
        self.recognise(page, limit, user).await?;
        self.type_header(page, limit, wanted, reference).await?;
        for line in &wanted.lines {
            self.type_line(page, limit, user, line).await?;
        }
        self.check_typed(page, limit, wanted, reference).await
    }

    async fn type_header(
        &self,
        page: &Page,
        limit: &Limit,
        wanted: &WantedOrder,
        reference: &str,
    ) -> Result<(), ClientError> {
        let form = &self.map.order;
        let date = self.map.formats.write_date(wanted.date);
        let fields = [
            ("customer", &form.customer, wanted.customer.as_str()),
            ("date", &form.date, &date),
            ("reference", &form.reference, reference),
            ("note", &form.note, &wanted.note),
        ];
        for (key, selector, value) in fields {
            self.type_field(page, limit, key, Field { selector, value, posts_back: false }).await?;
        }
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
        self.type_field(page, limit, "line_product", product).await?;
        self.expect_accepted(page, limit, user).await?;
        let (quantity, discount) = (line.quantity.to_string(), self.map.formats.write_number(line.discount));
        for (key, selector, value) in [
            ("line_quantity", &form.line_quantity, &quantity),
            ("line_discount", &form.line_discount, &discount),
        ] {
            self.type_field(page, limit, key, Field { selector, value, posts_back: false }).await?;
        }
        self.press(page, limit, ("order", "line_add", &form.line_add)).await?;
        self.expect_accepted(page, limit, user).await
    }

    async fn type_field(
        &self,
        page: &Page,
        limit: &Limit,
        key: &str,
        field: Field<'_>,
    ) -> Result<(), ClientError> {
        let filled = page.fill(&limit.within(self.step), field).await;
        filled.map_err(|error| client_error("order", key, error))
    }

    async fn expect_accepted(&self, page: &Page, limit: &Limit, user: &str) -> Result<(), Typing> {
        let look = self.look(page, limit).await?;
        look.expect_user(self, user)?;
        if look.validation.is_empty() { Ok(()) } else { Err(Typing::Refused(look.validation.join(" "))) }
    }

    /// Postbacks lose what is typed too early, so the form is read before it is saved.
    async fn check_typed(
        &self,
        page: &Page,
        limit: &Limit,
        wanted: &WantedOrder,
        reference: &str,
    ) -> Result<(), Typing> {
        let header = self.read_header(page, limit).await?;
        let date = self.map.formats.write_date(wanted.date);
        let lines = wanted.lines.len().to_string();
        let fields = [
            ("customer", header.customer, wanted.customer.as_str()),
            ("date", header.date, &date),
            ("reference", header.reference, reference),
            ("note", header.note, &wanted.note),
            ("line_count", header.line_count, &lines),
        ];
        for (key, shown, typed) in fields {
            if shown.as_deref() != Some(typed) {
                let detail = format!("shows {shown:?} where {typed:?} was typed");
                return Err(self.unrecognised(key, detail).into());
            }
        }
        Ok(())
    }

    /// An order's detail page.
    pub(super) async fn read_order(
        &self,
        page: &Page,
        limit: &Limit,
        user: &str,
        number: &str,
    ) -> Result<Option<Order>, ClientError> {
        let form = &self.map.order;
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair(&form.number_parameter, number)
            .finish();
        self.open(page, limit, &format!("{}?{query}", form.path)).await?;
        self.recognise(page, limit, user).await?;
        self.read_shown(page, limit, user).await
    }

    /// The order that the page shows, over all pages of its lines; `None` when it says that there is none.
    pub(super) async fn read_shown(
        &self,
        page: &Page,
        limit: &Limit,
        user: &str,
    ) -> Result<Option<Order>, ClientError> {
        let header = self.read_header(page, limit).await?;
        if header.not_found.is_some() {
            return Ok(None);
        }
        let mut order = self.order_of(header)?;
        let form = &self.map.order;
        for _ in 0..MAX_PAGES {
            let shown = self.read_grid(page, limit, "order", &form.lines).await?;
            let more = shown.more;
            for row in shown.into_rows("order", &form.lines) {
                order.lines.push(self.line_of(&row)?);
            }
            if !more {
                return Ok(Some(order));
            }
            self.press(page, limit, ("order", "lines.next", &form.lines.next)).await?;
            self.recognise(page, limit, user).await?;
        }
        Err(ClientError::Unavailable(format!("the order has more than {MAX_PAGES} pages of lines")))
    }

    async fn read_header(&self, page: &Page, limit: &Limit) -> Result<Header, ClientError> {
        let form = &self.map.order;
        let selectors = HeaderSelectors {
            number: &form.number,
            not_found: &form.not_found,
            state: &form.state,
            customer: &form.customer,
            date: &form.date,
            reference: &form.reference,
            note: &form.note,
            line_count: &form.line_count,
        };
        page.evaluate(limit, "reading an order", READ_HEADER, &selectors)
            .await
            .map_err(|error| client_error("order", "order", error))
    }

    fn order_of(&self, header: Header) -> Result<Order, ClientError> {
        let field = |key: &str, text: Option<String>| {
            text.ok_or_else(|| self.unrecognised(key, "is missing".to_owned()))
        };
        let date = field("date", header.date)?;
        Ok(Order {
            number: field("number", header.number)?,
            customer: field("customer", header.customer)?,
            date: self
                .map
                .formats
                .read_date(&date)
                .map_err(|error| self.unrecognised("date", error.to_string()))?,
            reference: field("reference", header.reference)?,
            note: field("note", header.note)?,
            sent: field("state", header.state)? == self.map.order.state_sent,
            lines: Vec::new(),
        })
    }

    fn line_of(&self, row: &Row<'_>) -> Result<OrderLine, ClientError> {
        let formats = &self.map.formats;
        let quantity = row.text("quantity")?;
        Ok(OrderLine {
            product: row.text("product")?,
            quantity: quantity
                .replace(formats.thousands, "")
                .parse()
                .map_err(|_| row.unrecognised("quantity", &format!("{quantity:?} is not a whole number")))?,
            unit_price: row.read("price", |text| formats.read_number(text))?,
            discount: row.read("discount", |text| formats.read_number(text))?,
        })
    }

    fn unrecognised(&self, key: &str, detail: String) -> ClientError {
        let form = &self.map.order;
        let selector = match key {
            "number" => &form.number,
            "customer" => &form.customer,
            "date" => &form.date,
            "reference" => &form.reference,
            "note" => &form.note,
            "state" => &form.state,
            "line_count" => &form.line_count,
            _ => "",
        };
        let selector: &str = selector;
        ClientError::Unrecognised {
            page: "order".to_owned(),
            key: key.to_owned(),
            selector: selector.to_owned(),
            detail,
        }
    }
}
