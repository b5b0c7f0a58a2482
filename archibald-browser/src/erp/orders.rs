use archibald_core::erp::{OrderQuery, OrderSummary};
use archibald_core::port::ClientError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{Site, client_error};
use crate::driver::{Field, Limit, Page};
use crate::page_map::{Grid, NotOfThisFormat};

/// Pages of one search that are read at the most; a search that matches more is no answer.
const MAX_PAGES: usize = 50;

/// All rows of the grid's page that is shown, in one evaluation: a cell is its text.
const READ_GRID: &str = "({ present, rows, columns, next }) => ({
  present: document.querySelector(present) !== null,
  more: document.querySelector(next) !== null,
  rows: Array.from(document.querySelectorAll(rows), (row) => Object.fromEntries(
    Object.entries(columns).map(([name, selector]) =>
      [name, row.querySelector(selector)?.textContent.trim() ?? null]))),
})";

/// What a grid shows.
#[derive(Debug, Deserialize)]
pub(super) struct Rows {
    present: bool,
    pub(super) more: bool,
    rows: Vec<BTreeMap<String, Option<String>>>,
}

/// One row, for reading cells by column.
pub(super) struct Row<'a> {
    page: &'a str,
    grid: &'a Grid,
    cells: BTreeMap<String, Option<String>>,
}

#[derive(Serialize)]
struct GridSelectors<'a> {
    present: &'a str,
    rows: &'a str,
    columns: &'a BTreeMap<String, String>,
    next: &'a str,
}

impl Site {
    /// All orders that match, over all pages of the list.
    pub(super) async fn find_orders(
        &self,
        page: &Page,
        limit: &Limit,
        user: &str,
        query: &OrderQuery,
    ) -> Result<Vec<OrderSummary>, ClientError> {
        let list = &self.map.orders;
        self.open(page, limit, &list.path).await?;
        self.recognise(page, limit, user).await?;
        let date = query.date.map(|date| self.map.formats.write_date(date));
        let filters = [
            ("filter_reference", &list.filter_reference, query.reference.as_deref()),
            ("filter_customer", &list.filter_customer, query.customer.as_deref()),
            ("filter_date", &list.filter_date, date.as_deref()),
        ];
        for (key, selector, value) in filters {
            let field = Field { selector, value: value.unwrap_or_default(), posts_back: false };
            page.fill(limit, field).await.map_err(|error| client_error("orders", key, error))?;
        }
        self.press(page, limit, ("orders", "search", &list.search)).await?;
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            self.recognise(page, limit, user).await?;
            let shown = self.read_grid(page, limit, "orders", &list.grid).await?;
            let more = shown.more;
            for row in shown.into_rows("orders", &list.grid) {
                found.push(self.summary(&row)?);
            }
            if !more {
                return Ok(found);
            }
            self.press(page, limit, ("orders", "grid.next", &list.grid.next)).await?;
        }
        Err(ClientError::Unavailable(format!("more than {MAX_PAGES} pages of orders match")))
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

    /// Clicks what loads a page; `what` is page, key and selector.
    pub(super) async fn press(
        &self,
        page: &Page,
        limit: &Limit,
        what: (&str, &str, &str),
    ) -> Result<(), ClientError> {
        let (name, key, selector) = what;
        let clicked = page.click_through(&limit.within(self.step), selector).await;
        clicked.map_err(|error| client_error(name, key, error))
    }

    pub(super) async fn read_grid(
        &self,
        page: &Page,
        limit: &Limit,
        name: &str,
        grid: &Grid,
    ) -> Result<Rows, ClientError> {
        let selectors = GridSelectors {
            present: &grid.present,
            rows: &grid.rows,
            columns: &grid.columns,
            next: &grid.next,
        };
        let rows: Rows = page
            .evaluate(limit, "reading a grid", READ_GRID, &selectors)
            .await
            .map_err(|error| client_error(name, "grid", error))?;
        if rows.present {
            return Ok(rows);
        }
        Err(ClientError::Unrecognised {
            page: name.to_owned(),
            key: "grid.present".to_owned(),
            selector: grid.present.clone(),
            detail: "is missing".to_owned(),
        })
    }
}

impl Rows {
    pub(super) fn into_rows<'a>(self, page: &'a str, grid: &'a Grid) -> impl Iterator<Item = Row<'a>> {
        self.rows.into_iter().map(move |cells| Row { page, grid, cells })
    }
}

impl Row<'_> {
    pub(super) fn text(&self, column: &str) -> Result<String, ClientError> {
        match self.cells.get(column) {
            Some(Some(text)) => Ok(text.clone()),
            _ => Err(self.unrecognised(column, "is missing in a row")),
        }
    }

    pub(super) fn read<T>(
        &self,
        column: &str,
        read: impl FnOnce(&str) -> Result<T, NotOfThisFormat>,
    ) -> Result<T, ClientError> {
        let text = self.text(column)?;
        read(&text).map_err(|error| self.unrecognised(column, &error.to_string()))
    }

    pub(super) fn unrecognised(&self, column: &str, detail: &str) -> ClientError {
        ClientError::Unrecognised {
            page: self.page.to_owned(),
            key: format!("columns.{column}"),
            selector: self.grid.columns.get(column).cloned().unwrap_or_default(),
            detail: detail.to_owned(),
        }
    }
}
