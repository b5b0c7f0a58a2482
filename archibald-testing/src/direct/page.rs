//! A page of the ERP: controls and grids by their names, and errors that say what was missing.

use std::collections::BTreeMap;

use archibald_core::port::ClientError;
use url::Url;

use super::html::{Document, Element};
use super::wire::Answer;

/// What stands before the name of every control of a page's own.
pub(super) const MAIN: &str = "ctl00$Main$";

/// A page that was served.
#[derive(Debug)]
pub(super) struct Page {
    url: Url,
    document: Document,
}

/// A data row of a grid.
#[derive(Debug)]
pub(super) struct Row {
    page: String,
    grid: String,
    cells: BTreeMap<String, String>,
}

/// Where in a grid the page is: `Pagina 1 di 7 (131)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pager {
    pub(super) page: u32,
    pub(super) pages: u32,
    pub(super) rows: u32,
}

impl Page {
    /// The answer as a page, whichever it is.
    pub(super) fn served(answer: &Answer) -> Result<Self, ClientError> {
        let page = Self { url: answer.url.clone(), document: Document::read(&answer.body) };
        match answer.status {
            200 => Ok(page),
            status @ 500.. => Err(ClientError::Unavailable(page.apology(status))),
            status => Err(page.unrecognised("status", "HTTP 200", format!("HTTP {status}"))),
        }
    }

    /// The answer as a page that only a session sees.
    pub(super) fn of_session(answer: &Answer) -> Result<Self, ClientError> {
        if answer.leads_to_login() {
            return Err(ClientError::SessionExpired);
        }
        let page = Self::served(answer)?;
        if page.has("LoginButton") { Err(ClientError::SessionExpired) } else { Ok(page) }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn document(&self) -> &Document {
        &self.document
    }

    /// `Order.aspx`.
    pub(super) fn name(&self) -> &str {
        self.url.path().trim_start_matches('/')
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.control(name).is_some()
    }

    /// Text of a control; `None` where the page does not have it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.control(name).map(|element| self.document.text(element).trim())
    }

    /// Text of a control that must be there.
    pub(super) fn expect_text(&self, name: &str) -> Result<&str, ClientError> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    /// What a field holds.
    pub(super) fn value(&self, name: &str) -> Result<&str, ClientError> {
        let field = self.control(name).ok_or_else(|| self.missing(name))?;
        Ok(self.document.value(field))
    }

    /// A control's text or a field's value, understood.
    pub(super) fn understand<T>(
        &self,
        name: &str,
        text: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ClientError> {
        let wrong = || self.unrecognised(name, &selector(name), format!("cannot be read: {text:?}"));
        read(text).ok_or_else(wrong)
    }

    /// Whose session the page says that it is.
    pub(super) fn user(&self) -> Result<&str, ClientError> {
        let shown = self.document.by_id("ctl00_UserName");
        let shown = shown.ok_or_else(|| self.unrecognised("UserName", "#ctl00_UserName", "not there"))?;
        Ok(self.document.text(shown).trim())
    }

    /// Every reason why the ERP did not do as asked, if it says so.
    pub(super) fn refusal(&self) -> Option<String> {
        let summary = self.control("ValidationSummary")?;
        let texts: Vec<&str> =
            self.document.within(summary, "li").map(|item| self.document.text(item).trim()).collect();
        Some(texts.join(" "))
    }

    /// The rows that this page shows of a grid.
    pub(super) fn rows(&self, grid: &str) -> Result<Vec<Row>, ClientError> {
        let table = self.control(grid).ok_or_else(|| self.missing(grid))?;
        let rows = self.document.within(table, "tr").filter(|row| row.has_class("row"));
        Ok(rows.map(|row| self.row(grid, row)).collect())
    }

    pub(super) fn pager(&self, grid: &str) -> Result<Pager, ClientError> {
        let name = format!("{grid}_Summary");
        self.understand(&name, self.expect_text(&name)?, Pager::read)
    }

    /// The error of a grid that does not show the page it should.
    pub(super) fn elsewhere(&self, grid: &str, wanted: u32) -> ClientError {
        let shown = self.text(&format!("{grid}_Summary")).unwrap_or_default();
        let detail = format!("page {wanted} was asked for, it shows {shown:?}");
        self.unrecognised(grid, &format!("{}_Summary", selector(grid)), detail)
    }

    pub(super) fn missing(&self, name: &str) -> ClientError {
        self.unrecognised(name, &selector(name), "not there")
    }

    pub(super) fn unrecognised(&self, key: &str, selector: &str, detail: impl Into<String>) -> ClientError {
        ClientError::Unrecognised {
            page: self.name().to_owned(),
            key: key.to_owned(),
            selector: selector.to_owned(),
            detail: detail.into(),
        }
    }

    fn control(&self, name: &str) -> Option<&Element> {
        self.document.by_id(&format!("ctl00_Main_{name}"))
    }

    fn row(&self, grid: &str, row: &Element) -> Row {
        let cell = |cell: &Element| {
            let column = cell.attribute("class").unwrap_or_default().to_owned();
            (column, self.document.text(cell).trim().to_owned())
        };
        let cells = self.document.within(row, "td").map(cell).collect();
        Row { page: self.name().to_owned(), grid: grid.to_owned(), cells }
    }

    /// The words of an error page.
    fn apology(&self, status: u16) -> String {
        let words = ["yellow-title", "maintenance"].into_iter().find_map(|id| self.document.by_id(id));
        let words = words.map_or("", |element| self.document.text(element).trim());
        format!("{} answers {status} {words}", self.name()).trim_end().to_owned()
    }
}

impl Row {
    pub(super) fn text(&self, column: &str) -> Result<&str, ClientError> {
        let text = self.cells.get(column).map(String::as_str);
        text.ok_or_else(|| self.unrecognised(column, "not there".to_owned()))
    }

    /// A cell's text, understood.
    pub(super) fn understand<T>(
        &self,
        column: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ClientError> {
        let text = self.text(column)?;
        read(text).ok_or_else(|| self.unrecognised(column, format!("cannot be read: {text:?}")))
    }

    fn unrecognised(&self, column: &str, detail: String) -> ClientError {
        ClientError::Unrecognised {
            page: self.page.clone(),
            key: format!("{}.{column}", self.grid),
            selector: format!("{} td.{column}", selector(&self.grid)),
            detail,
        }
    }
}

impl Pager {
    fn read(text: &str) -> Option<Self> {
        let (page, rest) = text.strip_prefix("Pagina ")?.split_once(" di ")?;
        let (pages, rows) = rest.split_once(" (")?;
        let rows = rows.strip_suffix(')')?;
        Some(Self { page: page.parse().ok()?, pages: pages.parse().ok()?, rows: rows.parse().ok()? })
    }
}

impl Answer {
    /// A redirect, to whatever place.
    pub(super) fn is_redirect(&self) -> bool {
        (300..400).contains(&self.status)
    }

    pub(super) fn leads_to_login(&self) -> bool {
        let to = self.location.as_deref().and_then(|to| self.url.join(to).ok());
        self.is_redirect() && to.is_some_and(|to| to.path().eq_ignore_ascii_case("/Login.aspx"))
    }
}

fn selector(name: &str) -> String {
    format!("#ctl00_Main_{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let url = Url::parse("http://127.0.0.1/Order.aspx?number=5").unwrap();
        Answer { url, status, location: None, body: body.to_owned() }
    }

    #[test]
    fn a_pager_is_read_and_nothing_like_it() {
        assert_eq!(Pager::read("Pagina 1 di 7 (131)"), Some(Pager { page: 1, pages: 7, rows: 131 }));
        for other in ["", "Pagina 1", "Pagina 1 di 7", "Pagina x di 7 (1)", "Pagina 1 di 7 (131"] {
            assert_eq!(Pager::read(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let page = Page::of_session(&answer(200, "<p>hello")).unwrap();
        let error = page.expect_text("Number").unwrap_err().to_string();
        assert_eq!(error, "page Order.aspx: Number (#ctl00_Main_Number) does not match: not there");
    }

    #[test]
    fn an_error_page_is_no_page_and_a_login_form_is_an_ended_session() {
        let yellow = answer(500, "<h2 id=yellow-title><i>Runtime Error</i></h2>");
        let error = Page::of_session(&yellow).unwrap_err();
        assert!(
            matches!(&error, ClientError::Unavailable(text) if text == "Order.aspx answers 500 Runtime Error")
        );
        let login = answer(200, "<input type=submit id=ctl00_Main_LoginButton>");
        assert!(matches!(Page::of_session(&login), Err(ClientError::SessionExpired)));
        let to_login = Answer { location: Some("Login.aspx?ReturnUrl=%2F".to_owned()), ..answer(302, "") };
        assert!(matches!(Page::of_session(&to_login), Err(ClientError::SessionExpired)));
        let elsewhere = Answer { location: Some("/Default.aspx".to_owned()), ..answer(302, "") };
        assert!(matches!(Page::of_session(&elsewhere), Err(ClientError::Unrecognised { .. })));
    }
}
