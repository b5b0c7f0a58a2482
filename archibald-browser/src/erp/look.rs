use archibald_core::port::ClientError;
use serde::{Deserialize, Serialize};

use super::{Site, client_error};
use crate::driver::{Limit, Page};

/// What the gate says in place of the site, as far as a person reads it: an ERP could say it too, at any length.
macro_rules! gate_says {
    () => {
        "() => {
  const said = document.contentType === 'text/plain' ? document.body.textContent : '';
  return said.startsWith('The gate says: ') ? said.slice(0, 300).trim() : null;
}"
    };
}

pub(super) const GATE_SAYS: &str = gate_says!();

/// One look at a page tells what kind of page it is.
const LOOK: &str = concat!(
    "({ user, password, error, maintenance, refusal, validation }) => {
  const text = (selector) => document.querySelector(selector)?.textContent.trim() ?? null;
  const texts = Array.from(document.querySelectorAll(validation), (e) => e.textContent.trim());
  const navigation = performance.getEntriesByType('navigation')[0];
  return {
    user: text(user),
    login: document.querySelector(password) !== null,
    error: text(error),
    maintenance: document.querySelector(maintenance) !== null,
    refusal: text(refusal),
    validation: texts.filter((text) => text !== ''),
    status: navigation ? navigation.responseStatus : 0,
    gate: (",
    gate_says!(),
    ")(),
  };
}"
);

/// A selector that matches nothing, for pages without validation texts.
pub(super) const NOTHING: &str = ":not(*)";

#[derive(Serialize)]
struct Selectors<'a> {
    user: &'a str,
    password: &'a str,
    error: &'a str,
    maintenance: &'a str,
    refusal: &'a str,
    validation: &'a str,
}

/// What kind of page it is.
#[derive(Debug, Deserialize)]
pub(super) struct Look {
    pub(super) user: Option<String>,
    pub(super) login: bool,
    pub(super) refusal: Option<String>,
    pub(super) validation: Vec<String>,
    error: Option<String>,
    maintenance: bool,
    status: u16,
    gate: Option<String>,
}

impl Site {
    /// `validation` is the page's own selector of validation texts.
    pub(super) async fn look(
        &self,
        page: &Page,
        limit: &Limit,
        validation: &str,
    ) -> Result<Look, ClientError> {
        let selectors = Selectors {
            user: &self.map.frame.user,
            password: &self.map.login.password,
            error: &self.map.frame.error,
            maintenance: &self.map.frame.maintenance,
            refusal: &self.map.login.refusal,
            validation,
        };
        page.evaluate(limit, "looking at the page", LOOK, &selectors)
            .await
            .map_err(|error| client_error("any", "frame", error))
    }

    /// Refuses a page that is not a working page of this user's session.
    pub(super) async fn recognise(&self, page: &Page, limit: &Limit, user: &str) -> Result<(), ClientError> {
        self.look(page, limit, NOTHING).await?.expect_user(self, user)
    }
}

impl Look {
    pub(super) fn expect_user(&self, site: &Site, user: &str) -> Result<(), ClientError> {
        self.expect_service()?;
        if self.login {
            return Err(ClientError::SessionExpired);
        }
        match &self.user {
            Some(found) if found == user => Ok(()),
            Some(found) => Err(ClientError::WrongUser { expected: user.to_owned(), found: found.clone() }),
            None => Err(ClientError::Unrecognised {
                page: "any".to_owned(),
                key: "frame.user".to_owned(),
                selector: site.map.frame.user.clone(),
                detail: format!("is missing (HTTP status {})", self.status),
            }),
        }
    }

    /// Refuses error and maintenance pages.
    pub(super) fn expect_service(&self) -> Result<(), ClientError> {
        if self.maintenance {
            return Err(ClientError::Unavailable("the site is closed for maintenance".to_owned()));
        }
        if let Some(error) = &self.error {
            return Err(ClientError::Unavailable(format!("an error page: {error}")));
        }
        if self.status >= 500 {
            let said = self.gate.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
            return Err(ClientError::Unavailable(format!("HTTP status {}{said}", self.status)));
        }
        Ok(())
    }
}
