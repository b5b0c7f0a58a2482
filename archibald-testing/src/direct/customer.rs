//! `Customer.aspx`: reading a customer, and saving one.

use archibald_core::erp::{Customer, WantedCustomer, customer_differences};
use archibald_core::port::ClientError;
use async_trait::async_trait;

use super::form::Form;
use super::page::Page;
use super::tab::Tab;
use super::wire::Asked;
use super::write::{Stop, Write};

/// The form's fields, in the order of [`Customer::fields`].
const FIELDS: [&str; 8] = ["Name", "Vat", "Street", "City", "PostalCode", "Country", "Email", "Phone"];

/// A customer's own page; `None` where the ERP has no such customer for this agent.
pub(super) async fn open(tab: &Tab, code: &str) -> Result<Option<Page>, ClientError> {
    tab.open_detail("/Customer.aspx", ("code", code), "Code").await
}

/// The customer that the page shows; one that is not saved yet has no code.
pub(super) fn read(page: &Page) -> Result<Customer, ClientError> {
    let text = |name: &str| page.value(name).map(str::to_owned);
    Ok(Customer {
        code: page.expect_text("Code")?.to_owned(),
        name: text("Name")?,
        vat: text("Vat")?,
        street: text("Street")?,
        city: text("City")?,
        postal_code: text("PostalCode")?,
        country: text("Country")?,
        email: text("Email")?,
        phone: text("Phone")?,
    })
}

/// A new customer, or other content for one that exists.
pub(super) struct SaveCustomer<'a> {
    code: Option<&'a str>,
    /// As it is asked for until it is typed; from then on, for one that exists, as the whole form must read
    /// afterwards.
    wanted: WantedCustomer,
}

impl<'a> SaveCustomer<'a> {
    pub(super) fn new(code: Option<&'a str>, wanted: &WantedCustomer) -> Self {
        Self { code, wanted: wanted.clone() }
    }
}

#[async_trait]
impl Write for SaveCustomer<'_> {
    type Found = Customer;

    async fn type_in(&mut self, tab: &Tab) -> Result<Asked, Stop> {
        let page = match self.code {
            None => tab.open("/Customer.aspx", &[]).await?,
            Some(code) => {
                let page = open(tab, code).await?;
                page.ok_or_else(|| Stop::Refused(format!("there is no customer {code}")))?
            }
        };
        let shown = read(&page)?;
        let mut form = Form::of(&page)?;
        for (name, ((_, wanted), (_, is))) in
            FIELDS.into_iter().zip(self.wanted.fields().into_iter().zip(shown.fields()))
        {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
                form.fill(name, wanted)?;
            }
        }
        if self.code.is_some() {
            self.wanted = self.wanted.completed(&shown);
        }
        Ok(form.press("Save")?)
    }

    fn is_form(&self, page: &Page) -> bool {
        page.has("Save") && page.text("Code") == Some(self.code.unwrap_or_default())
    }

    fn is_written(&self, page: &Page) -> bool {
        let shown = page.text("Code").filter(|shown| !shown.is_empty());
        shown.is_some_and(|shown| self.code.is_none_or(|code| code == shown))
    }

    async fn read_back(&self, _tab: &Tab, page: Page) -> Result<Customer, ClientError> {
        read(&page)
    }

    fn differences(&self, found: &Customer) -> Vec<String> {
        customer_differences(&self.wanted, found)
    }
}
