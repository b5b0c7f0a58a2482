//! The pieces that every page is made of: escaping, controls, grids, the shell around them.

use std::fmt::Write as _;

use jiff::civil::Date;

/// What stands before the name of every control of a page's own.
pub(crate) const MAIN: &str = "ctl00$Main$";
/// Rows of every grid.
pub(crate) const GRID_ROWS: usize = 20;

/// Text for an element or an attribute in double quotes.
pub(crate) fn esc(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `22/11/2026`.
pub(crate) fn italian_date(date: Date) -> String {
    format!("{:02}/{:02}/{:04}", date.day(), date.month(), date.year())
}

/// Reads `22/11/2026`; nothing else is a date here.
pub(crate) fn parse_italian_date(text: &str) -> Option<Date> {
    let [day, month, year] = text.trim().split('/').collect::<Vec<_>>().try_into().ok()?;
    if year.len() != 4 || day.len() > 2 || month.len() > 2 {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// `<span>` with the id of the control.
pub(crate) fn span(name: &str, text: &str) -> String {
    format!(r#"<span id="ctl00_Main_{name}">{}</span>"#, esc(text))
}

/// A one-line field; `extra` is attributes as they are.
pub(crate) fn input(name: &str, value: &str, extra: &str) -> String {
    let value = esc(value);
    format!(r#"<input type="text" name="{MAIN}{name}" id="ctl00_Main_{name}" value="{value}" {extra}/>"#)
}

/// A submit button; `extra` is attributes as they are.
pub(crate) fn button(name: &str, label: &str, extra: &str) -> String {
    let label = esc(label);
    format!(r#"<input type="submit" name="{MAIN}{name}" id="ctl00_Main_{name}" value="{label}" {extra}/>"#)
}

/// A labelled row of a form: the control and the validator beside it.
pub(crate) fn row(label: &str, name: &str, control: &str, error: Option<&str>) -> String {
    let validator = validator(name, error);
    format!(
        r#"<div class="row-field"><label for="ctl00_Main_{name}">{}</label> {control} {validator}</div>"#,
        esc(label)
    )
}

/// The validator of a control: always there, seen only with a text.
pub(crate) fn validator(name: &str, error: Option<&str>) -> String {
    let id = format!("ctl00_Main_{name}Error");
    match error {
        Some(text) => format!(r#"<span id="{id}" class="validator validator-shown">{}</span>"#, esc(text)),
        None => format!(r#"<span id="{id}" class="validator" style="display:none"></span>"#),
    }
}

/// All refusals of a page, in one box; nothing where there are none.
pub(crate) fn summary<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let items: String = texts.map(|text| format!("<li>{}</li>", esc(text))).collect();
    if items.is_empty() {
        return items;
    }
    format!(r#"<div id="ctl00_Main_ValidationSummary" class="validation-summary"><ul>{items}</ul></div>"#)
}

/// A link that posts back.
pub(crate) fn post_link(id: &str, target: &str, argument: &str, label: &str) -> String {
    let script = esc(&format!("javascript:__doPostBack('{target}','{argument}')"));
    format!(r#"<a id="{id}" href="{script}">{}</a>"#, esc(label))
}

/// A grid of twenty rows with a pager that posts back.
pub(crate) struct Grid<'a> {
    /// Name of the control.
    pub(crate) name: &'a str,
    /// Class of the cells and heading, column by column.
    pub(crate) columns: &'a [(&'a str, &'a str)],
    /// Page shown, from 1; out of range means the nearest.
    pub(crate) page: usize,
}

impl Grid<'_> {
    /// The grid's HTML; `cells` gives the HTML of an item's cells.
    pub(crate) fn render<T>(&self, items: &[T], cells: impl Fn(&T) -> Vec<String>) -> String {
        let pages = pages(items.len());
        let page = self.page.clamp(1, pages);
        let mut html = format!(r#"<table id="ctl00_Main_{}" class="grid"><thead><tr>"#, self.name);
        for (_, heading) in self.columns {
            let _ = write!(html, "<th>{}</th>", esc(heading));
        }
        html.push_str("</tr></thead><tbody>");
        for item in items.iter().skip((page - 1) * GRID_ROWS).take(GRID_ROWS) {
            html.push_str(r#"<tr class="row">"#);
            for ((class, _), cell) in self.columns.iter().zip(cells(item)) {
                let _ = write!(html, r#"<td class="{class}">{cell}</td>"#);
            }
            html.push_str("</tr>");
        }
        if items.is_empty() {
            let _ = write!(
                html,
                r#"<tr class="empty"><td colspan="{}">Nessun dato</td></tr>"#,
                self.columns.len()
            );
        }
        html.push_str("</tbody></table>");
        html + &self.pager(page, pages, items.len())
    }

    fn pager(&self, page: usize, pages: usize, count: usize) -> String {
        let (id, target) = (format!("ctl00_Main_{}", self.name), format!("{MAIN}{}", self.name));
        let to = |place: &str, label: &str, page: usize| {
            post_link(&format!("{id}_{place}"), &target, &format!("Page${page}"), label)
        };
        let before = if page > 1 { to("Prev", "Precedente", page - 1) } else { String::new() };
        let next = if page < pages { to("Next", "Successiva", page + 1) } else { String::new() };
        let summary = format!(r#"<span id="{id}_Summary">Pagina {page} di {pages} ({count})</span>"#);
        format!(r#"<div class="pager">{before} {summary} {next}</div>"#)
    }
}

/// Pages that so many items fill, at least 1.
pub(crate) fn pages(items: usize) -> usize {
    items.div_ceil(GRID_ROWS).max(1)
}

/// Reads `Page$3`.
pub(crate) fn page_argument(argument: &str) -> Option<usize> {
    argument.strip_prefix("Page$")?.parse().ok().filter(|page| *page > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_italian_dates_are_dates() {
        assert_eq!(parse_italian_date("22/11/2026"), Date::new(2026, 11, 22).ok());
        assert_eq!(italian_date(Date::constant(2026, 1, 2)), "02/01/2026");
        for bad in ["2026-11-22", "31/02/2026", "11/22/2026", "1/1/26", "", "1/1/2026/1"] {
            assert_eq!(parse_italian_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_grid_shows_twenty_rows_and_the_way_to_its_neighbours() {
        let items: Vec<usize> = (1..=45).collect();
        let grid = Grid { name: "Orders", columns: &[("number", "Numero")], page: 2 };
        let html = grid.render(&items, |item| vec![item.to_string()]);
        assert_eq!(html.matches(r#"<tr class="row">"#).count(), 20);
        assert!(html.contains(r#"<td class="number">21</td>"#) && html.contains("Pagina 2 di 3 (45)"));
        assert!(html.contains("Orders_Prev") && html.contains("Orders_Next"));
        let last = Grid { page: 9, ..grid }.render(&items, |item| vec![item.to_string()]);
        assert!(last.contains("Pagina 3 di 3 (45)") && !last.contains("Orders_Next"));
    }
}
