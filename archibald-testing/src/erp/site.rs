//! The looks of the site: paths, names of controls, HTML, formats and texts. What the ERP does is none of it.
//!
//! The first site's HTML stands in the pages' own files, the other's in [`gestionale`].

pub(crate) mod gestionale;

use std::fmt;
use std::str::FromStr;

use hyper::StatusCode;
use jiff::civil::Date;

use super::html::{italian_date, parse_italian_date, span, summary};
use super::ledger::{Applied, EffectKind};
use super::page::Page;
use super::web::{Answer, Form};
use crate::data::{AmountError, Percent};

/// Whose pages a simulator shows.
///
/// The ERP behind them is the same: rules, sessions, faults, ledger. Rules of faults and counts of posts name pages
/// and controls as [`Site::Archibald`] has them (`Order.aspx`, `ctl00$Main$Save`), whichever site is shown, so that
/// what tests say of one holds for the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Site {
    /// English names of controls, grids as tables, submit buttons, `22/11/2026`, `1.234,50`.
    #[default]
    Archibald,
    /// Another vendor's installation: Italian paths and names, grids of `<div>`, tables in tables, links and images
    /// as buttons, pagers with numbers, `2026-11-22`, `1,234.50`.
    Gestionale,
}

/// A name that no site has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no site {0:?}; there are archibald and gestionale")]
pub struct SiteError(
    /// The name as it came.
    pub String,
);

impl Site {
    /// The name as command lines write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Archibald => "archibald",
            Self::Gestionale => "gestionale",
        }
    }

    /// File of a page, without the slash before it.
    pub(crate) fn file(self, page: Page) -> &'static str {
        match self {
            Self::Archibald => page.name(),
            Self::Gestionale => gestionale::names::file(page),
        }
    }

    /// The page of a path; case does not matter.
    pub(crate) fn page(self, path: &str) -> Option<Page> {
        let file = path.strip_prefix('/')?;
        Page::ALL.into_iter().find(|page| self.file(*page).eq_ignore_ascii_case(file))
    }

    /// A query, its names as the pages know them.
    pub(crate) fn read_query(self, query: Form) -> Form {
        match self {
            Self::Archibald => query,
            Self::Gestionale => query.renamed(gestionale::names::read_parameter),
        }
    }

    /// A posted form, its controls and arguments as the pages know them.
    pub(crate) fn read_form(self, form: Form) -> Form {
        match self {
            Self::Archibald => form,
            Self::Gestionale => form.renamed(gestionale::names::read_field),
        }
    }

    pub(crate) fn date(self, date: Date) -> String {
        match self {
            Self::Archibald => italian_date(date),
            Self::Gestionale => gestionale::formats::date(date),
        }
    }

    /// Reads a date as the site writes it; nothing else is a date there.
    pub(crate) fn parse_date(self, text: &str) -> Option<Date> {
        match self {
            Self::Archibald => parse_italian_date(text),
            Self::Gestionale => gestionale::formats::parse_date(text),
        }
    }

    pub(crate) fn parse_percent(self, text: &str) -> Result<Percent, AmountError> {
        match self {
            Self::Archibald => Percent::from_italian(text),
            Self::Gestionale => text.parse(),
        }
    }

    /// What a page says after its write.
    pub(crate) fn said(self, applied: &Applied) -> String {
        let number = &applied.number;
        if self == Self::Gestionale {
            return gestionale::formats::said(applied.kind, number);
        }
        match applied.kind {
            EffectKind::OrderDeleted => format!("Ordine {number} eliminato."),
            EffectKind::OrderSent => format!("Ordine {number} inviato a Verona."),
            EffectKind::OrderSaved | EffectKind::OrderEdited => format!("Ordine {number} salvato."),
            EffectKind::CustomerSaved | EffectKind::CustomerEdited => format!("Cliente {number} salvato."),
        }
    }

    /// HTML of a message about what was done.
    pub(crate) fn message(self, text: &str) -> String {
        match self {
            Self::Archibald => span("Message", text),
            Self::Gestionale => gestionale::parts::outcome(text),
        }
    }

    /// HTML in place of what is not there.
    pub(crate) fn missing(self, text: &str) -> String {
        match self {
            Self::Archibald => span("NotFound", text),
            Self::Gestionale => gestionale::parts::missing(text),
        }
    }

    /// HTML of a refusal that is about no field.
    pub(crate) fn refusal(self, text: &str) -> String {
        let texts = std::iter::once(text);
        match self {
            Self::Archibald => summary(texts),
            Self::Gestionale => gestionale::parts::notices(texts),
        }
    }

    /// What an unhandled exception looks like.
    pub(crate) fn failure(self, title: &str) -> Answer {
        match self {
            Self::Archibald => Answer::yellow(title),
            Self::Gestionale => gestionale::failure(title),
        }
    }

    pub(crate) fn maintenance(self) -> Answer {
        let body = match self {
            Self::Archibald => {
                "<html><body><h1 id=\"maintenance\">Sito in manutenzione</h1></body></html>".to_owned()
            }
            Self::Gestionale => gestionale::maintenance(),
        };
        Answer::html(StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Site {
    type Err = SiteError;

    fn from_str(text: &str) -> Result<Self, SiteError> {
        let known = [Self::Archibald, Self::Gestionale].into_iter().find(|site| site.name() == text);
        known.ok_or_else(|| SiteError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_read_by_its_name() {
        for site in [Site::Archibald, Site::Gestionale] {
            assert_eq!(site.to_string().parse(), Ok(site));
        }
        let error = "verona".parse::<Site>().unwrap_err();
        assert_eq!(error.to_string(), "there is no site \"verona\"; there are archibald and gestionale");
    }

    #[test]
    fn no_page_of_one_site_is_at_a_path_of_the_other() {
        for page in Page::ALL {
            let path = |site: Site| format!("/{}", site.file(page));
            assert_eq!(Site::Gestionale.page(&path(Site::Gestionale).to_uppercase()), Some(page));
            assert_eq!(Site::Gestionale.page(&path(Site::Archibald)), None);
            assert_eq!(Site::Archibald.page(&path(Site::Gestionale)), None);
        }
    }
}
