use archibald_core::erp::{Customer, WantedCustomer};
use archibald_core::port::ClientError;

use super::fields::Fields;
use super::{At, Site};
use crate::driver::{Field, Limit, Page};

impl Site {
    /// A customer's detail page.
    pub(super) async fn read_customer(
        &self,
        At { page, limit, user }: At<'_>,
        code: &str,
    ) -> Result<Option<Customer>, ClientError> {
        let form = &self.map.customer;
        // Without a code the page is a new customer.
        if code.trim().is_empty() {
            return Ok(None);
        }
        self.open_one(page, limit, (&form.path, &form.code_parameter, code)).await?;
        self.recognise(page, limit, user).await?;
        let shown = self.read_customer_form(page, limit).await?;
        if shown.get("not_found").is_some() {
            return Ok(None);
        }
        shown.expect("code", code)?;
        customer_of(&shown).map(Some)
    }

    /// All that the page shows.
    pub(super) async fn read_customer_form(
        &self,
        page: &Page,
        limit: &Limit,
    ) -> Result<Fields<'_>, ClientError> {
        let form = &self.map.customer;
        let others = [("code", &*form.code), ("not_found", &form.not_found), ("message", &form.message)];
        let selectors = others.into_iter().chain(self.customer_fields());
        self.read_fields(page, limit, "customer", selectors).await
    }

    /// An empty form.
    pub(super) async fn open_new_customer(
        &self,
        At { page, limit, user }: At<'_>,
    ) -> Result<(), ClientError> {
        self.open(page, limit, &self.map.customer.path).await?;
        self.recognise(page, limit, user).await
    }

    /// Types what is wanted and differs into the form that is shown, and saves nothing.
    pub(super) async fn type_customer(
        &self,
        page: &Page,
        limit: &Limit,
        wanted: &WantedCustomer,
    ) -> Result<(), ClientError> {
        let shown = self.read_customer_form(page, limit).await?;
        let wanted = wanted.fields().into_iter().zip(self.customer_fields());
        let wanted: Vec<_> = wanted
            .filter_map(|((_, value), (key, selector))| value.map(|value| (key, selector, value)))
            .collect();
        for &(key, selector, value) in &wanted {
            if shown.text(key)? != value {
                let field = Field { selector, value, posts_back: false };
                self.fill(page, limit, ("customer", key), field).await?;
            }
        }
        let typed = self.read_customer_form(page, limit).await?;
        wanted.iter().try_for_each(|(key, _, value)| typed.expect(key, value))
    }

    /// Key in the page map and selector, in the order of [`WantedCustomer::fields`].
    fn customer_fields(&self) -> [(&'static str, &str); 8] {
        let form = &self.map.customer;
        [
            ("name", &form.name),
            ("vat", &form.vat),
            ("street", &form.street),
            ("city", &form.city),
            ("postal_code", &form.postal_code),
            ("country", &form.country),
            ("email", &form.email),
            ("phone", &form.phone),
        ]
    }
}

/// The customer that the form shows.
pub(super) fn customer_of(shown: &Fields<'_>) -> Result<Customer, ClientError> {
    Ok(Customer {
        code: shown.text("code")?,
        name: shown.text("name")?,
        vat: shown.text("vat")?,
        street: shown.text("street")?,
        city: shown.text("city")?,
        postal_code: shown.text("postal_code")?,
        country: shown.text("country")?,
        email: shown.text("email")?,
        phone: shown.text("phone")?,
    })
}
