//! Grids, and lists that come page by page.

use std::collections::BTreeMap;

use archibald_core::port::ClientError;
use serde::{Deserialize, Serialize};

use super::{At, Site, client_error};
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

/// A page that is a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    /// As the page map calls it.
    pub(super) name: &'static str,
    pub(super) path: &'a str,
    pub(super) grid: &'a Grid,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct ListPage<T> {
    pub(super) rows: Vec<T>,
    /// How many pages the list has, as far as it tells.
    pub(super) pages: u32,
}

impl Site {
    /// One page of a list. `shown` is the page of it that the browser shows now, 0 for none: the list is
    /// walked on from there rather than from its start.
    pub(super) async fn read_list<T>(
        &self,
        At { page, limit, user }: At<'_>,
        list: List<'_>,
        (wanted, mut shown): (u32, u32),
        read: impl Fn(&Row<'_>) -> Result<T, ClientError>,
    ) -> Result<ListPage<T>, ClientError> {
        if shown == 0 || shown > wanted {
            self.open(page, limit, list.path).await?;
            shown = 1;
        }
        loop {
            self.recognise(page, limit, user).await?;
            let rows = self.read_grid(page, limit, list.name, list.grid).await?;
            if shown < wanted && rows.more {
                // The walk may be long, and between two pages nothing is half done.
                if limit.should_yield() {
                    return Err(ClientError::GaveWay);
                }
                self.press(page, limit, (list.name, "grid.next", &list.grid.next)).await?;
                shown += 1;
                continue;
            }
            let pages = if rows.more { shown + 1 } else { shown };
            // The list may have become shorter: past its end there is nothing.
            let rows = if shown == wanted { rows.read(list.name, list.grid, read)? } else { Vec::new() };
            return Ok(ListPage { rows, pages });
        }
    }

    /// Everything that a search finds, over all pages of the list; `filters` is key, selector and text.
    pub(super) async fn search_list<T>(
        &self,
        At { page, limit, user }: At<'_>,
        list: List<'_>,
        filters: &[(&str, &str, &str)],
        search: &str,
        read: impl Fn(&Row<'_>) -> Result<T, ClientError>,
    ) -> Result<Vec<T>, ClientError> {
        self.open(page, limit, list.path).await?;
        self.recognise(page, limit, user).await?;
        for (key, selector, value) in filters {
            self.fill(page, limit, (list.name, key), Field { selector, value, posts_back: false }).await?;
        }
        self.press(page, limit, (list.name, "search", search)).await?;
        let mut found = Vec::new();
        for _ in 0..MAX_PAGES {
            self.recognise(page, limit, user).await?;
            let rows = self.read_grid(page, limit, list.name, list.grid).await?;
            let more = rows.more;
            found.extend(rows.read(list.name, list.grid, &read)?);
            if !more {
                return Ok(found);
            }
            self.press(page, limit, (list.name, "grid.next", &list.grid.next)).await?;
        }
        Err(ClientError::Unavailable(format!("more than {MAX_PAGES} pages of {} match", list.name)))
    }

    /// Fills a field; `what` is page and key.
    pub(super) async fn fill(
        &self,
        page: &Page,
        limit: &Limit,
        what: (&str, &str),
        field: Field<'_>,
    ) -> Result<(), ClientError> {
        let filled = page.fill(&limit.within(self.step), field).await;
        filled.map_err(|error| client_error(what.0, what.1, error))
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
    pub(super) fn read<T>(
        self,
        page: &str,
        grid: &Grid,
        read: impl Fn(&Row<'_>) -> Result<T, ClientError>,
    ) -> Result<Vec<T>, ClientError> {
        self.rows.into_iter().map(|cells| read(&Row { page, grid, cells })).collect()
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
