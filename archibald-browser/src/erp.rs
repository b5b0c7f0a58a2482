//! The ERP's pages, one a file, and the client that walks them.
//!
//! [`Site`] is the page map with an address; every flow is plain sequential code over [`Page`]. After each
//! step that loads a page it is *recognised* first: a login page, an error page or somebody else's session
//! ends the flow with a typed error before anything is read or typed.
//!
//! Reading and typing is the site's; what changes the ERP is the client's, always in the same three steps:
//! type, `write` through the gate, judge what the answering page shows.

mod catalogue;
mod check;
mod client;
mod customer;
mod customer_acts;
mod customers;
mod evidence;
mod fields;
mod grid;
mod login;
mod look;
mod order;
mod order_acts;
mod order_form;
mod orders;
mod trace;
mod write;

use std::time::Duration;

use archibald_core::port::ClientError;
use url::Url;

pub use self::check::{
    CheckError, Finding, MapReport, PageReport, Picture, Problem, Verdict, check_page_map,
};
pub use self::client::ErpClient;
use crate::driver::{DownloadProblem, DriverError, Limit, Page};
use crate::page_map::PageMap;

/// One site: what it looks like and where it is.
#[derive(Debug)]
pub struct Site {
    map: PageMap,
    base: Url,
    step: Duration,
}

/// Where a flow works: a page, what bounds it, and whose session it must be.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    page: &'a Page,
    limit: &'a Limit,
    user: &'a str,
}

impl Site {
    /// A site at `base`; `step` bounds each step in it that loads a page.
    #[must_use]
    pub fn new(map: PageMap, base: Url, step: Duration) -> Self {
        Self { map, base, step }
    }

    /// The page map.
    #[must_use]
    pub fn map(&self) -> &PageMap {
        &self.map
    }

    /// Where it is.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// What a step may take.
    #[must_use]
    pub fn step(&self) -> Duration {
        self.step
    }

    /// Whether the session is logged in as `user` and reads its start page.
    ///
    /// # Errors
    /// [`ClientError`] says what is wrong with it.
    ///
    /// # Cancel safety
    /// Dropped, the page is destroyed.
    pub async fn validate(&self, page: &Page, limit: &Limit, user: &str) -> Result<(), ClientError> {
        self.open(page, limit, &self.map.start.path).await?;
        self.recognise(page, limit, user).await
    }

    fn address(&self, path: &str) -> String {
        match self.base.join(path) {
            Ok(address) => address.to_string(),
            Err(_) => format!("{}{path}", self.base),
        }
    }

    async fn open(&self, page: &Page, limit: &Limit, path: &str) -> Result<(), ClientError> {
        let opened = page.open(&limit.within(self.step), &self.address(path)).await;
        opened.map_err(|error| client_error("the browser", path, error))
    }

    /// Opens the page of one thing: path, the query's parameter and its value.
    async fn open_one(
        &self,
        page: &Page,
        limit: &Limit,
        (path, parameter, value): (&str, &str, &str),
    ) -> Result<(), ClientError> {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair(parameter, value).finish();
        self.open(page, limit, &format!("{path}?{query}")).await
    }
}

/// What a failed command means for whoever asked. `page` and `key` say which entry of the page map was
/// used.
fn client_error(page: &str, key: &str, error: DriverError) -> ClientError {
    match error {
        DriverError::LeaseLost { source, .. } => source.into(),
        DriverError::Timeout { what, after } => ClientError::TimedOut {
            what: what.to_owned(),
            limit_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        },
        DriverError::BrowserLost { .. } | DriverError::PageGone { .. } => {
            ClientError::PageLost(error.to_string())
        }
        DriverError::Navigation { .. } | DriverError::Download { problem: DownloadProblem::Ended } => {
            ClientError::Unavailable(error.to_string())
        }
        DriverError::Element { selector, problem } => ClientError::Unrecognised {
            page: page.to_owned(),
            key: key.to_owned(),
            selector,
            detail: problem.to_string(),
        },
        other => ClientError::Unrecognised {
            page: page.to_owned(),
            key: key.to_owned(),
            selector: String::new(),
            detail: other.to_string(),
        },
    }
}
