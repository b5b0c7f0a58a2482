use archibald_core::erp::{Customer, CustomerPage};
use archibald_core::port::ClientError;

use super::Site;
use super::orders::Row;
use crate::driver::{Limit, Page};

impl Site {
    /// One page of the list. `shown` is the page of it that the browser shows now, 0 for none: the list is
    /// walked on from there rather than from its start.
    pub(super) async fn read_customers(
        &self,
        page: &Page,
        limit: &Limit,
        user: &str,
        wanted: u32,
        shown: u32,
    ) -> Result<CustomerPage, ClientError> {
        let list = &self.map.customers;
        let mut shown = shown;
        if shown == 0 || shown > wanted {
            self.open(page, limit, &list.path).await?;
            shown = 1;
        }
        loop {
            self.recognise(page, limit, user).await?;
            let rows = self.read_grid(page, limit, "customers", &list.grid).await?;
            if shown < wanted && rows.more {
                self.press(page, limit, ("customers", "grid.next", &list.grid.next)).await?;
                shown += 1;
                continue;
            }
            let pages = if rows.more { shown + 1 } else { shown };
            // The list may have become shorter: past its end there is nobody.
            let rows = if shown == wanted { Some(rows) } else { None };
            let customers = rows
                .into_iter()
                .flat_map(|rows| rows.into_rows("customers", &list.grid))
                .map(|row| customer(&row))
                .collect::<Result<_, _>>()?;
            return Ok(CustomerPage { customers, pages });
        }
    }
}

fn customer(row: &Row<'_>) -> Result<Customer, ClientError> {
    Ok(Customer {
        code: row.text("code")?,
        name: row.text("name")?,
        vat: row.text("vat")?,
        street: String::new(),
        city: row.text("city")?,
        postal_code: String::new(),
        country: row.text("country")?,
        email: String::new(),
        phone: String::new(),
    })
}
