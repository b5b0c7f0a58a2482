//! The pieces that this site's pages are made of.

use std::fmt::Write as _;

use super::formats::reworded;
use crate::erp::html::{GRID_ROWS, esc, pages};

/// What stands before the name of every control of a page's own.
pub(super) const PREFIX: &str = "ctl00$cphCorpo$";
/// Page numbers that a pager shows at once.
const WINDOW: usize = 10;
/// What image buttons show: nothing but their size, and the text in its place.
const IMAGE: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='64' height='20'%3E\
%3Crect width='64' height='20' fill='%23468'/%3E%3C/svg%3E";

/// Id of a control: not its name with other separators, as newer versions of ASP.NET have it.
pub(super) fn id(control: &str) -> String {
    format!("cphCorpo_{control}")
}

/// A one-line field; `extra` is attributes as they are.
pub(super) fn field(control: &str, value: &str, extra: &str) -> String {
    let (id, value) = (id(control), esc(value));
    format!(
        r#"<input name="{PREFIX}{control}" type="text" value="{value}" id="{id}" class="campo" {extra}/>"#
    )
}

/// Text with an id.
pub(super) fn label(control: &str, text: &str) -> String {
    format!(r#"<b id="{}">{}</b>"#, id(control), esc(text))
}

/// A row of a form's table. Its error is there only where there is one.
pub(super) fn entry(caption: &str, control: &str, html: &str, error: Option<&str>) -> String {
    let caption = esc(caption);
    format!(r#"<tr><td class="didascalia">{caption}</td><td>{html}{}</td></tr>"#, mistake(control, error))
}

/// The error of a control, if there is one.
pub(super) fn mistake(control: &str, error: Option<&str>) -> String {
    let html = |text| format!(r#"<em id="{}_err" class="errore">{}</em>"#, id(control), esc(reworded(text)));
    error.map_or_else(String::new, html)
}

/// A link that posts back, as a button. `question` is asked before.
pub(super) fn link(control: &str, text: &str, question: Option<&str>) -> String {
    let ask = |text: &str| {
        let script = format!("return confirm('{}');", text.replace('\'', "\\'"));
        format!(r#" onclick="{}""#, esc(&script))
    };
    let (id, ask) = (id(control), question.map_or_else(String::new, ask));
    let script = post_back(control, "");
    format!(r#"<a id="{id}" class="tasto"{ask} href="{script}">{}</a>"#, esc(text))
}

/// An image that submits the form.
pub(super) fn image(control: &str, text: &str) -> String {
    let (id, text) = (id(control), esc(text));
    format!(
        r#"<input type="image" name="{PREFIX}{control}" id="{id}" src="{IMAGE}" alt="{text}" title="{text}" />"#
    )
}

/// The address of a link that posts back.
pub(super) fn post_back(control: &str, argument: &str) -> String {
    esc(&format!("javascript:__doPostBack('{PREFIX}{control}','{argument}')"))
}

/// All refusals of a page; nothing where there are none.
pub(crate) fn notices<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: String = texts.map(|text| format!("<p>{}</p>", esc(reworded(text)))).collect();
    if texts.is_empty() {
        return texts;
    }
    format!(r#"<div id="{}" class="avvisi" role="alert">{texts}</div>"#, id("pnlAvvisi"))
}

/// What was done.
pub(crate) fn outcome(text: &str) -> String {
    format!(r#"<div id="{}" class="esito" role="status">{}</div>"#, id("pnlEsito"), esc(text))
}

/// What stands in place of what is not there.
pub(crate) fn missing(text: &str) -> String {
    format!(r#"<div id="{}" class="assente">{}</div>"#, id("pnlAssente"), esc(reworded(text)))
}

/// A grid of twenty rows, of `<div>`, with a pager of numbers.
pub(super) struct Listing<'a> {
    pub(super) control: &'a str,
    /// Class of the cells and heading, column by column.
    pub(super) columns: &'a [(&'a str, &'a str)],
    /// Page shown, from 1; out of range means the nearest.
    pub(super) page: usize,
}

impl Listing<'_> {
    /// The grid's HTML; `cells` gives the HTML of an item's cells.
    pub(super) fn render<T>(&self, items: &[T], cells: impl Fn(&T) -> Vec<String>) -> String {
        let mut html = format!(r#"<div id="{}" class="elenco"><div class="testata">"#, id(self.control));
        for (_, heading) in self.columns {
            let _ = write!(html, "<span>{}</span>", esc(heading));
        }
        html.push_str("</div>");
        for item in shown(items, self.page) {
            html.push_str(r#"<div class="voce">"#);
            for ((class, _), cell) in self.columns.iter().zip(cells(item)) {
                let _ = write!(html, r#"<div class="{class}">{cell}</div>"#);
            }
            html.push_str("</div>");
        }
        if items.is_empty() {
            html.push_str(r#"<div class="vuoto">Nessun elemento</div>"#);
        }
        html.push_str("</div>");
        html + &pager(self.control, self.page, items.len())
    }
}

/// The items of a page, from 1; out of range means the nearest.
pub(super) fn shown<T>(items: &[T], page: usize) -> impl Iterator<Item = &T> {
    let page = page.clamp(1, pages(items.len()));
    items.iter().skip((page - 1) * GRID_ROWS).take(GRID_ROWS)
}

/// Ten page numbers at a time, the one shown no link; dots lead to the ten before and after.
pub(super) fn pager(control: &str, page: usize, count: usize) -> String {
    let pages = pages(count);
    let page = page.clamp(1, pages);
    let first = (page - 1) / WINDOW * WINDOW + 1;
    let last = pages.min(first + WINDOW - 1);
    let to = |page: usize, text: &str| {
        format!(r#"<a href="{}">{text}</a>"#, post_back(control, &format!("PN{}", page - 1)))
    };
    let mut html = format!(r#"<div id="{}_sfoglia" class="sfoglia">"#, id(control));
    if first > 1 {
        html += &to(first - 1, "...");
    }
    for number in first..=last {
        html += &if number == page { format!("<b>{number}</b>") } else { to(number, &number.to_string()) };
    }
    if last < pages {
        html += &to(last + 1, "...");
    }
    html + &format!(r#"<small id="{}_totale">{count} elementi</small></div>"#, id(control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_shows_twenty_rows_and_ten_page_numbers() {
        let items: Vec<usize> = (1..=250).collect();
        let listing = Listing { control: "grdOrdini", columns: &[("c-num", "N.")], page: 2 };
        let html = listing.render(&items, |item| vec![item.to_string()]);
        assert_eq!(html.matches(r#"<div class="voce">"#).count(), 20);
        assert!(html.contains(r#"<div class="c-num">21</div>"#) && html.contains("250 elementi"));
        assert!(html.contains("<b>2</b><a ") && html.contains(r#"&#39;PN10&#39;)">...</a>"#));
        let last = Listing { page: 99, ..listing }.render(&items, |item| vec![item.to_string()]);
        assert!(last.contains("<b>13</b><small") && last.contains(r#"&#39;PN9&#39;)">...</a>"#));
        assert!(last.contains(r#"<div class="c-num">250</div>"#));
    }
}
