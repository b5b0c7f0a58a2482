//! Grids: their rows, whether each cell can be read, and the way to the next page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::probe::LONGEST;
use super::report::{PageReport, Problem, Verdict};
use super::visit::Visitor;
use crate::driver::DriverError;
use crate::page_map::{Formats, Grid, PageMap};
use crate::text::shortened;

const GRID: &str = "({ present, rows, columns, next }) => {
  const find = (where, selector) => {
    try { return Array.from(where.querySelectorAll(selector)); } catch { return null; }
  };
  const [grids, found, links] = [present, rows, next].map((selector) => find(document, selector));
  const cell = (cells) => cells && { count: cells.length, text: cells[0]?.textContent.trim() ?? '' };
  const names = Object.entries(columns);
  const cells = (names) => names.map(([, selector]) => grids?.[0] && find(grids[0], selector) || []);
  const alike = Math.max(
    Array.from(grids?.[0]?.querySelectorAll('tr') ?? [])
      .filter((row) => row.querySelectorAll('td').length >= names.length).length,
    Math.min(...cells(names).map((cells) => cells.length)),
  );
  const valid = ([, selector]) => find(document, selector) !== null;
  return {
    present: grids && grids.length,
    next: links && links.length,
    rows: found && found.map((row) => Object.fromEntries(
      names.filter(valid).map(([name, selector]) => [name, cell(find(row, selector))]))),
    invalid: names.filter((it) => !valid(it)).map(([name]) => name),
    alike,
  };
}";

#[derive(Debug, Serialize)]
struct GridSelectors<'a> {
    present: &'a str,
    rows: &'a str,
    columns: &'a BTreeMap<String, String>,
    next: &'a str,
}

#[derive(Debug, Clone, Deserialize)]
struct Cell {
    count: usize,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Read {
    /// `None` for what is no selector.
    present: Option<usize>,
    next: Option<usize>,
    rows: Option<Vec<BTreeMap<String, Cell>>>,
    invalid: Vec<String>,
    /// Rows of a table with at least as many cells as there are columns, or cells that every column has.
    alike: usize,
}

/// The texts of a row by column; what could not be found is empty.
pub(super) type Texts = BTreeMap<String, String>;

/// What a grid showed.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    pub(super) rows: Vec<Texts>,
    /// Whether there is a next page.
    pub(super) more: bool,
}

/// A grid of a page of the map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// `grid` or `lines`.
    pub(super) key: &'static str,
    pub(super) grid: &'a Grid,
}

impl Visitor<'_> {
    /// Reads the grid that is shown, and says of each of its keys what became of it.
    pub(super) async fn grid(
        &mut self,
        report: &mut PageReport,
        place: Place<'_>,
    ) -> Result<Shown, DriverError> {
        let Place { key, grid } = place;
        let selectors = GridSelectors {
            present: &grid.present,
            rows: &grid.rows,
            columns: &grid.columns,
            next: &grid.next,
        };
        let Some(read) = self.ask::<Read>(report, GRID, &selectors).await? else {
            return Ok(Shown::default());
        };
        report.add(format!("{key}.present"), one(&grid.present, read.present));
        let more = read.next.is_some_and(|links| links > 0);
        report.add(
            format!("{key}.next"),
            match read.next {
                Some(0) => Verdict::NotSeen("there is one page, or this is the last".to_owned()),
                found => one(&grid.next, found),
            },
        );
        for name in &read.invalid {
            let selector = grid.columns.get(name).cloned().unwrap_or_default();
            report.wrong(format!("{key}.columns.{name}"), Problem::NoSelector(selector));
        }
        let rows = read.rows.as_deref().unwrap_or_default();
        report.add(
            format!("{key}.rows"),
            match &read.rows {
                None => Verdict::Wrong(Problem::NoSelector(grid.rows.clone())),
                Some(_) if !rows.is_empty() => Verdict::Found,
                Some(_) if read.alike > 0 => Verdict::Wrong(Problem::Reads(format!(
                    "{} matches nothing, though {} seems to have {} rows",
                    grid.rows, grid.present, read.alike
                ))),
                Some(_) => Verdict::NotSeen("the grid is empty".to_owned()),
            },
        );
        for (name, selector) in &grid.columns {
            let verdict = column(&self.site.map, name, selector, rows);
            report.add(format!("{key}.columns.{name}"), verdict);
        }
        let texts = |row: &BTreeMap<String, Cell>| {
            row.iter().map(|(name, cell)| (name.clone(), cell.text.clone())).collect()
        };
        Ok(Shown { rows: rows.iter().map(texts).collect(), more })
    }

    /// Goes to the next page of a grid, if there is one, which must show other rows.
    pub(super) async fn next_page(
        &mut self,
        report: &mut PageReport,
        place: Place<'_>,
        next: &'static str,
        shown: &Shown,
    ) -> Result<(), DriverError> {
        if !shown.more || report.is_wrong(next) || !self.press(report, next, &place.grid.next).await? {
            return Ok(());
        }
        let mut second = PageReport::new(report.page, "");
        let rows = self.grid(&mut second, place).await?.rows;
        for finding in second.findings {
            if matches!(finding.verdict, Verdict::Wrong(_)) {
                report.add(finding.key, finding.verdict);
            }
        }
        if rows == shown.rows {
            report.wrong(next, Problem::Reads("leads to the same rows again".to_owned()));
        } else {
            report.add(next, Verdict::Found);
        }
        Ok(())
    }
}

fn one(selector: &str, found: Option<usize>) -> Verdict {
    match found {
        None => Verdict::Wrong(Problem::NoSelector(selector.to_owned())),
        Some(0) => Verdict::Wrong(Problem::Missing(selector.to_owned())),
        Some(1) => Verdict::Found,
        Some(several) => Verdict::Wrong(Problem::Several(selector.to_owned(), several)),
    }
}

fn column(map: &PageMap, name: &str, selector: &str, rows: &[BTreeMap<String, Cell>]) -> Verdict {
    if rows.is_empty() {
        return Verdict::NotSeen("the grid shows no rows".to_owned());
    }
    for (row, cells) in (1..).zip(rows) {
        let Some(cell) = cells.get(name) else { continue };
        let wrong = match cell.count {
            0 => Some(format!("{selector} matches nothing in row {row}")),
            1 => unreadable(map, name, &cell.text).map(|why| format!("in row {row}, {why}")),
            several => Some(format!("{selector} matches {several} elements in row {row}")),
        };
        if let Some(why) = wrong {
            return Verdict::Wrong(Problem::Reads(why));
        }
    }
    if name == "date" && !tells_day_from_month(&map.formats, rows) {
        return Verdict::NotSeen("no date here tells day from month (formats.date)".to_owned());
    }
    Verdict::Found
}

/// Whether a date is among them that no format with day and month swapped would read.
fn tells_day_from_month(formats: &Formats, rows: &[BTreeMap<String, Cell>]) -> bool {
    let date = formats.date.replace("dd", "##").replace("mm", "dd").replace("##", "mm");
    let swapped = Formats { date, ..formats.clone() };
    rows.iter().filter_map(|row| row.get("date")).any(|cell| swapped.read_date(&cell.text).is_err())
}

/// Why the flows could not read the text of this column, or would read something else than it says.
pub(super) fn unreadable(map: &PageMap, column: &str, text: &str) -> Option<String> {
    let (formats, shown) = (&map.formats, shortened(text, LONGEST));
    match column {
        "date" => formats.read_date(text).err().map(|error| format!("{error} (formats.date)")),
        "total" | "price" | "list_price" | "discount" => {
            let not_read = formats.read_number(text).is_err() || !is_grouped(formats, text);
            let (decimal, thousands) = (formats.decimal, formats.thousands);
            not_read.then(|| {
                format!(
                    "{shown:?} is not a number with {decimal:?} and {thousands:?} (formats.decimal, formats.thousands)"
                )
            })
        }
        "quantity" => {
            let not_read = formats.read_whole(text).is_err() || !is_grouped(formats, text);
            not_read.then(|| format!("{shown:?} is not a whole number (formats.thousands)"))
        }
        "discontinued" => {
            let (yes, no) = (&map.products.discontinued_yes, &map.products.discontinued_no);
            let is_neither = text != yes && text != no;
            is_neither.then(|| {
                format!("{shown:?} is neither {yes:?} nor {no:?} (discontinued_yes, discontinued_no)")
            })
        }
        "number" | "code" | "product" => text.is_empty().then(|| "it is empty".to_owned()),
        _ => None,
    }
}

/// Whether separators stand where they can: swapped ones would make another number of it.
fn is_grouped(formats: &Formats, text: &str) -> bool {
    let (whole, fraction) = text.split_once(formats.decimal).unwrap_or((text, ""));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
    let mut groups = whole.split(formats.thousands);
    let first = groups.next().unwrap_or_default();
    let is_split = whole.contains(formats.thousands);
    !fraction.contains(formats.thousands)
        && groups.all(|group| group.len() == 3 && digits(group) == 3)
        && (!is_split || (1..=3).contains(&digits(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_that_are_swapped_are_noticed() {
        let map = PageMap::simulator().unwrap();
        let mut swapped = map.clone();
        (swapped.formats.decimal, swapped.formats.thousands) = ('.', ',');
        for text in ["12,50", "1.234,50", "-3,5", "0"] {
            assert_eq!(unreadable(&map, "price", text), None, "{text}");
        }
        for text in ["12,50", "1.234,50", "-3,5"] {
            let why = unreadable(&swapped, "price", text).unwrap();
            assert!(why.contains(text) && why.contains("formats.decimal"), "{why}");
        }
        assert!(unreadable(&map, "price", "€ 12,50").is_some());
        assert!(unreadable(&map, "quantity", "1.200").is_none());
        assert!(unreadable(&map, "quantity", "1.20").is_some());
    }

    #[test]
    fn dates_that_read_both_ways_are_told() {
        let map = PageMap::simulator().unwrap();
        let row =
            |text: &str| BTreeMap::from([("date".to_owned(), Cell { count: 1, text: text.to_owned() })]);
        let both = [row("03/04/2026"), row("12/12/2026")];
        assert!(matches!(column(&map, "date", "td", &both), Verdict::NotSeen(_)));
        assert_eq!(column(&map, "date", "td", &[both[0].clone(), row("13/04/2026")]), Verdict::Found);
    }

    #[test]
    fn what_is_no_date_and_what_says_neither_yes_nor_no_names_the_key() {
        let map = PageMap::simulator().unwrap();
        assert_eq!(unreadable(&map, "date", "22/11/2026"), None);
        assert!(unreadable(&map, "date", "2026-11-22").unwrap().contains("formats.date"));
        assert!(unreadable(&map, "discontinued", "Ja").unwrap().contains("discontinued_yes"));
        assert!(unreadable(&map, "number", "").is_some());
        assert_eq!(unreadable(&map, "reference", ""), None);
    }
}
