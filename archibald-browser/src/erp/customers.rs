use archibald_core::erp::{Customer, CustomerPage};
use archibald_core::port::ClientError;

use super::grid::{List, Row};
use super::{At, Site};

impl Site {
    /// One page of the agent's customers, without a filter.
    pub(super) async fn read_customers(
        &self,
        at: At<'_>,
        places: (u32, u32),
    ) -> Result<CustomerPage, ClientError> {
        let list = self.read_list(at, self.customer_list(), places, customer).await?;
        Ok(CustomerPage { customers: list.rows, pages: list.pages })
    }

    /// All customers that the search box finds, over all pages of the list.
    pub(super) async fn find_customers(&self, at: At<'_>, text: &str) -> Result<Vec<Customer>, ClientError> {
        let list = &self.map.customers;
        let filters = [("search_text", &*list.search_text, text)];
        self.search_list(at, self.customer_list(), &filters, &list.search, customer).await
    }

    fn customer_list(&self) -> List<'_> {
        List { name: "customers", path: &self.map.customers.path, grid: &self.map.customers.grid }
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
