//! An agent's place at the site: every request is bounded by the lease, every answer is looked at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use archibald_core::port::{ClientError, Guard, LeaseLost};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::form::Form;
use super::html::without_passwords;
use super::page::{Page, Row};
use super::wire::{Answer, Asked, Jar, exchange, in_full};

/// The site, and what all sessions of a pool share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) base: Url,
    /// How long a read may take.
    pub(super) request_limit: Duration,
    /// Logins, released requests and sessions in use: what a shutdown waits for.
    pub(super) open: TaskTracker,
    /// Reads end here.
    pub(super) closed: CancellationToken,
}

/// A session under one lease.
pub(super) struct Tab {
    pub(super) site: Arc<Site>,
    pub(super) jar: Arc<Jar>,
    pub(super) guard: Arc<dyn Guard>,
    /// Whose session it must be.
    pub(super) user: String,
    /// The HTML of the last answer.
    shown: Mutex<Option<String>>,
    /// The page of a list without a filter, where that is what is shown.
    list: Mutex<Option<Page>>,
}

impl Tab {
    pub(super) fn new(site: Arc<Site>, jar: Arc<Jar>, guard: Arc<dyn Guard>, user: &str) -> Self {
        Self { site, jar, guard, user: user.to_owned(), shown: Mutex::default(), list: Mutex::default() }
    }

    /// Loads a page.
    pub(super) async fn open(&self, path: &str, query: &[(&str, &str)]) -> Result<Page, ClientError> {
        self.submit(Asked::get(self.site.at(path, query))).await
    }

    /// Loads the page of one thing, which shows its identity in a control; `None` where there is no such thing.
    pub(super) async fn open_detail(
        &self,
        path: &str,
        (key, id): (&str, &str),
        control: &str,
    ) -> Result<Option<Page>, ClientError> {
        // Without an identity the address is a new thing's form.
        if id.is_empty() {
            return Ok(None);
        }
        let page = self.open(path, &[(key, id)]).await?;
        if page.has("NotFound") {
            return Ok(None);
        }
        let shown = page.expect_text(control)?;
        if shown != id {
            let detail = format!("{id:?} was asked for, {shown:?} is shown");
            return Err(page.unrecognised(control, &format!("#ctl00_Main_{control}"), detail));
        }
        Ok(Some(page))
    }

    /// Sends a request that changes nothing at the ERP; its answer must be a page of this session.
    pub(super) async fn submit(&self, asked: Asked) -> Result<Page, ClientError> {
        self.recognise(&self.ask(asked).await?)
    }

    /// The start page must be there and show the user's name.
    pub(super) async fn check_user(&self) -> Result<(), ClientError> {
        self.open("/Default.aspx", &[]).await?.expect_text("Welcome").map(drop)
    }

    /// Every row of a grid, from the page that shows its first page, and the page that shows its last.
    pub(super) async fn every_row(
        &self,
        mut page: Page,
        grid: &str,
    ) -> Result<(Vec<Row>, Page), ClientError> {
        let mut rows = Vec::new();
        for to in 1..=page.pager(grid)?.pages {
            if page.pager(grid)?.page != to {
                page = self.turn(&page, grid, to).await?;
            }
            if page.pager(grid)?.page != to {
                return Err(page.elsewhere(grid, to));
            }
            rows.extend(page.rows(grid)?);
        }
        Ok((rows, page))
    }

    /// Another page of a grid; its last where it got shorter than that meanwhile.
    pub(super) async fn turn(&self, page: &Page, grid: &str, to: u32) -> Result<Page, ClientError> {
        let page = self.submit(Form::of(page)?.post_back(grid, &format!("Page${to}"))).await?;
        let pager = page.pager(grid)?;
        if pager.page == to || pager.pages < to { Ok(page) } else { Err(page.elsewhere(grid, to)) }
    }

    /// Remembers the page of a list until the next request.
    pub(super) fn keep_list(&self, page: Page) {
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
    }

    /// The page of a list, where it is what is shown now.
    pub(super) fn take_list(&self) -> Option<Page> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One request that changes nothing, and its whole answer, whatever it is.
    pub(super) async fn ask(&self, asked: Asked) -> Result<Answer, ClientError> {
        let limit = self.time_left()?.min(self.site.request_limit);
        self.take_list();
        let exchange = timeout(limit, exchange(&asked, &self.jar));
        match self.site.closed.run_until_cancelled(exchange).await {
            None => Err(ClientError::PageLost("the pool is shut down".to_owned())),
            Some(Ok(Ok(answer))) => {
                self.show(&answer);
                Ok(answer)
            }
            Some(Ok(Err(error))) => Err(ClientError::Unavailable(format!("{asked}: {}", in_full(&error)))),
            Some(Err(_)) => {
                self.time_left()?;
                let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                Err(ClientError::TimedOut { what: asked.to_string(), limit_ms })
            }
        }
    }

    /// The answer as a page of this user's session.
    pub(super) fn recognise(&self, answer: &Answer) -> Result<Page, ClientError> {
        let page = Page::of_session(answer)?;
        let found = page.user()?;
        if found.to_lowercase() != self.user.to_lowercase() {
            let (expected, found) = (self.user.clone(), found.to_owned());
            return Err(ClientError::WrongUser { expected, found });
        }
        Ok(page)
    }

    /// Keeps an answer as what is shown now.
    pub(super) fn show(&self, answer: &Answer) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.body.clone());
    }

    /// What is shown now, without passwords.
    pub(super) fn shown(&self) -> Option<String> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).as_deref().map(without_passwords)
    }

    /// How long the lease still holds: not at all is lost.
    pub(super) fn time_left(&self) -> Result<Duration, LeaseLost> {
        self.guard.check().and_then(|left| if left.is_zero() { Err(LeaseLost) } else { Ok(left) })
    }
}

impl Site {
    pub(super) fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}
