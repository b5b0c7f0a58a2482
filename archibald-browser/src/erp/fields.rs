//! Named elements of a page, read at once.

use std::collections::BTreeMap;

use archibald_core::port::ClientError;

use super::{Site, client_error};
use crate::driver::{Limit, Page};

/// All of them in one evaluation: a form's field is its value, anything else its text.
const READ_FIELDS: &str =
    "(selectors) => Object.fromEntries(Object.entries(selectors).map(([name, selector]) => {
  const element = document.querySelector(selector);
  return [name, element ? ('value' in element ? element.value : element.textContent).trim() : null];
}))";

/// What named elements show. `None` where there is no such element.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    page: &'static str,
    selectors: BTreeMap<&'static str, &'a str>,
    texts: BTreeMap<String, Option<String>>,
}

impl Site {
    /// Reads the elements of one page of the page map: key there → selector.
    pub(super) async fn read_fields<'a>(
        &self,
        page: &Page,
        limit: &Limit,
        name: &'static str,
        selectors: impl IntoIterator<Item = (&'static str, &'a str)>,
    ) -> Result<Fields<'a>, ClientError> {
        let selectors: BTreeMap<_, _> = selectors.into_iter().collect();
        let texts = page
            .evaluate(limit, "reading a form", READ_FIELDS, &selectors)
            .await
            .map_err(|error| client_error(name, "form", error))?;
        Ok(Fields { page: name, selectors, texts })
    }
}

impl Fields<'_> {
    /// What it shows, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.texts.get(key)?.as_deref()
    }

    /// What it shows; an error that names it if it is not there.
    pub(super) fn text(&self, key: &str) -> Result<String, ClientError> {
        self.get(key).map(str::to_owned).ok_or_else(|| self.unrecognised(key, "is missing".to_owned()))
    }

    /// Postbacks lose what is typed too early, so a form is read before it is saved.
    pub(super) fn expect(&self, key: &str, typed: &str) -> Result<(), ClientError> {
        match self.get(key) {
            Some(shown) if shown == typed => Ok(()),
            shown => Err(self.unrecognised(key, format!("shows {shown:?} where {typed:?} was typed"))),
        }
    }

    pub(super) fn unrecognised(&self, key: &str, detail: String) -> ClientError {
        ClientError::Unrecognised {
            page: self.page.to_owned(),
            key: key.to_owned(),
            selector: self.selectors.get(key).copied().unwrap_or_default().to_owned(),
            detail,
        }
    }
}
