use archibald_core::erp::{OrderPage, OrderQuery, OrderSummary};
use archibald_core::port::ClientError;

use super::grid::{List, Row};
use super::{At, Site};

impl Site {
    /// One page of the agent's orders, without a filter.
    pub(super) async fn read_orders(&self, at: At<'_>, places: (u32, u32)) -> Result<OrderPage, ClientError> {
        let list = self.read_list(at, self.order_list(), places, |row| self.summary(row)).await?;
        Ok(OrderPage { orders: list.rows, pages: list.pages })
    }

    /// All orders that match, over all pages of the list.
    pub(super) async fn find_orders(
        &self,
        at: At<'_>,
        query: &OrderQuery,
    ) -> Result<Vec<OrderSummary>, ClientError> {
        let list = &self.map.orders;
        let date = query.date.map(|date| self.map.formats.write_date(date)).unwrap_or_default();
        let filters = [
            ("filter_reference", &*list.filter_reference, query.reference.as_deref().unwrap_or_default()),
            ("filter_customer", &list.filter_customer, query.customer.as_deref().unwrap_or_default()),
            ("filter_date", &list.filter_date, &date),
        ];
        self.search_list(at, self.order_list(), &filters, &list.search, |row| self.summary(row)).await
    }

    fn order_list(&self) -> List<'_> {
        List { name: "orders", path: &self.map.orders.path, grid: &self.map.orders.grid }
    }

    fn summary(&self, row: &Row<'_>) -> Result<OrderSummary, ClientError> {
        let formats = &self.map.formats;
        Ok(OrderSummary {
            number: row.text("number")?,
            customer: row.text("customer")?,
            date: row.read("date", |text| formats.read_date(text))?,
            reference: row.text("reference")?,
            sent: row.text("state")? == self.map.order.state_sent,
            total: row.read("total", |text| formats.read_number(text))?,
        })
    }
}
