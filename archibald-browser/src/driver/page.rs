//! One page: navigate, click, fill, read.

use std::borrow::Cow;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::page::{
    CaptureScreenshotFormat, CaptureScreenshotParams, NavigateParams,
};
use chromiumoxide::types::{Command, Method};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::dialog::Dialog;
use super::download::{Awaited, Download};
use super::page_core::PageCore;
use super::script::{self, Acting, Filled, Problem, Waiting};
use super::steps::{On, Recorded};
use super::view::Mark;
use super::{DriverError, Gone, Limit};
use crate::ring::Place;

/// A page that is taller is not painted whole, in CSS pixels: it would take longer than anybody waits.
const TALLEST: f64 = 6000.0;
/// What the picture of a step may take.
const GLANCING: Duration = Duration::from_secs(1);
const WAITING: &str = "waiting for an element";

/// A command by its name.
#[derive(Debug)]
struct Plain {
    method: &'static str,
    params: Value,
}

impl Serialize for Plain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.params.serialize(serializer)
    }
}

impl Method for Plain {
    fn identifier(&self) -> Cow<'static, str> {
        self.method.into()
    }
}

impl Command for Plain {
    type Response = Value;
}

/// A page of a context. Dropping it closes it.
///
/// A step that is given up half way, by its budget, its lease or a dropped future, destroys the page: what
/// it began could else still happen under the next user. The context, and with it the login, lives on.
#[derive(Debug)]
pub struct Page {
    core: Arc<PageCore>,
}

/// A value for a form's field.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// CSS selector of the field.
    pub selector: &'a str,
    /// What it shall hold.
    pub value: &'a str,
    /// Whether a change makes the page post itself back.
    pub posts_back: bool,
}

/// What a page shows, in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PageState {
    /// Its address.
    pub url: String,
    /// Its title.
    pub title: String,
    /// The HTTP status of its document; 0 where there is none.
    pub status: u16,
}

impl Page {
    pub(super) fn new(core: Arc<PageCore>) -> Self {
        Self { core }
    }

    /// Goes to an address and waits until its document is loaded.
    ///
    /// # Errors
    /// [`DriverError::Navigation`] if nothing could be loaded. If the limit is met, or the future is
    /// dropped, the page is destroyed.
    pub async fn open(&self, limit: &Limit, url: &str) -> Result<(), DriverError> {
        let opening = async {
            let began = self.begin();
            let mut mark = began.mark();
            let loaded = limit.run("opening a page", async {
                let answer: Navigated = self.core.call(NavigateParams::new(url)).await?;
                match answer.error_text {
                    Some(text) => Err(DriverError::Navigation { url: url.into(), text }),
                    None => self.core.alive(mark.loaded()).await,
                }
            });
            began.done(loaded.await)
        };
        self.seen(limit, Doing { what: "opening a page", on: On::Address(url.into()), typed: None }, opening)
            .await
    }

    /// Clicks an element, once, as soon as it can be clicked; nothing is expected to come of it.
    ///
    /// # Errors
    /// [`DriverError::Element`] if it did not become ready within the limit: then it was not clicked.
    pub async fn click(&self, limit: &Limit, selector: &str) -> Result<(), DriverError> {
        self.seen(
            limit,
            Doing { what: "a click", on: On::Selector(selector.into()), typed: None },
            self.click_once(limit, selector),
        )
        .await
    }

    /// Clicks, once, and waits for the document that comes of it.
    ///
    /// # Errors
    /// As [`Page::click`]; and if the page asks something that is not expected, the document does not come
    /// within the limit, or the future is dropped, the page is destroyed.
    pub async fn click_through(&self, limit: &Limit, selector: &str) -> Result<(), DriverError> {
        let clicking = async {
            let began = self.begin();
            let mut mark = began.mark();
            let loaded = match self.click_without_question(limit, selector, &mark).await {
                Ok(()) => {
                    limit.run("waiting for the page after a click", self.core.alive(mark.loaded())).await
                }
                Err(error) => Err(error),
            };
            began.done(loaded)
        };
        self.seen(
            limit,
            Doing { what: "a click to another page", on: On::Selector(selector.into()), typed: None },
            clicking,
        )
        .await
    }

    /// Clicks, once, and waits for the file that comes of it, of at most so many bytes: an answer that is an
    /// attachment, or of a type that is not shown, in the page itself, one of its frames or a window that it opens.
    /// The file is fetched over the context's gate, and none is left on the disk. At any other time, files are refused.
    /// Pages of one context take turns.
    ///
    /// It is the first file that the page hands out from now on; a page or window that is shown after the click, and
    /// fetches the file by itself later, is not waited for. What a site shows in a frame instead of the file is not
    /// noticed before the limit. Behind a gate a file has at most 64 MiB, whatever `most` says.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use archibald_browser::driver::{DriverError, Limit, Page};
    ///
    /// async fn export(page: &Page) -> Result<Vec<u8>, DriverError> {
    ///     let limit = Limit::budget(Duration::from_secs(60));
    ///     Ok(page.download(&limit, "#export", 10_000_000).await?.bytes)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Page::click`]; [`DriverError::Download`] if something else came of it, [`DriverError::Navigation`] if that is an
    /// error without a document: then the page can still be used.
    /// If the page asks something that is not expected, nothing comes within the limit (which the turn is waited for,
    /// too), or the future is dropped, the page is destroyed once it has its turn, and what had come of the file is removed.
    pub async fn download(&self, limit: &Limit, selector: &str, most: u64) -> Result<Download, DriverError> {
        let fetching = async {
            let awaited = Awaited::begin(&self.core, limit).await?;
            let began = self.begin();
            let mut mark = began.mark();
            let file = match self.click_without_question(limit, selector, &mark).await {
                Ok(()) => {
                    let file = self.core.alive(awaited.file(most, &mut mark));
                    limit.run("waiting for a file", file).await
                }
                Err(error) => Err(error),
            };
            began.done(file)
        };
        let doing = Doing { what: "a click for a file", on: On::Selector(selector.into()), typed: None };
        self.seen(limit, doing, fetching).await
    }

    /// Fills a field and, if it posts back when it changes, waits for the new document.
    ///
    /// # Errors
    /// As [`Page::click_through`].
    pub async fn fill(&self, limit: &Limit, field: Field<'_>) -> Result<(), DriverError> {
        let filling = async {
            let began = self.begin();
            let mut mark = began.mark();
            let filled =
                self.act(limit, "filling a field", script::FILL, field.selector, Some(field.value)).await;
            let changed = match filled {
                Ok(Filled { problem: Some(problem), .. }) => Err(problem.of(field.selector)),
                Ok(Filled { changed, .. }) => Ok(changed),
                Err(DriverError::Replaced) if field.posts_back => Ok(true),
                Err(error) => Err(error),
            };
            let loaded = match changed {
                Ok(true) if field.posts_back => {
                    limit.run("waiting for the page after a change", self.core.alive(mark.loaded())).await
                }
                other => other.map(|_| ()),
            };
            began.done(loaded)
        };
        let doing = Doing {
            what: "filling a field",
            on: On::Selector(field.selector.into()),
            typed: Some(field.value),
        };
        self.seen(limit, doing, filling).await
    }

    /// Waits until the selector matches, and the predicate (a JavaScript function of the element, which
    /// may be null) holds. `false` if it does not within the limit.
    ///
    /// # Errors
    /// [`DriverError`], but no time-out.
    pub async fn wait_for(
        &self,
        limit: &Limit,
        selector: &str,
        predicate: Option<&str>,
    ) -> Result<bool, DriverError> {
        let argument = Waiting { selector, predicate, limit: millis(patience(limit)) };
        let doing = Doing { what: WAITING, on: On::Selector(selector.into()), typed: None };
        self.recorded(doing, self.ask(limit, WAITING, script::WAIT, &argument)).await.1
    }

    /// Calls a JavaScript function expression with one argument and reads its result.
    ///
    /// # Errors
    /// [`DriverError::Script`] if it throws, [`DriverError::Answer`] if its result has another shape.
    pub async fn evaluate<T: DeserializeOwned>(
        &self,
        limit: &Limit,
        what: &'static str,
        function: &str,
        argument: &(impl Serialize + Sync),
    ) -> Result<T, DriverError> {
        self.recorded(Doing { what, on: On::Page, typed: None }, self.ask(limit, what, function, argument))
            .await
            .1
    }

    /// A command of the DevTools protocol that has no method of its own here, such as keys, viewports and metrics;
    /// answers its result as it came.
    ///
    /// # Errors
    /// [`DriverError::Refused`] when Chromium does not accept it. If the future is dropped, it may be carried out
    /// all the same.
    pub async fn command(
        &self,
        limit: &Limit,
        method: &'static str,
        params: Value,
    ) -> Result<Value, DriverError> {
        limit.run(method, self.core.call(Plain { method, params })).await
    }

    /// Address, title and HTTP status of what it shows.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn state(&self, limit: &Limit) -> Result<PageState, DriverError> {
        self.evaluate(limit, "looking at the page", script::STATE, &()).await
    }

    /// The document as HTML, with what was typed, without the values of password fields.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn content(&self, limit: &Limit) -> Result<String, DriverError> {
        self.ask(limit, "copying the document", script::CONTENT, &()).await
    }

    /// The page as PNG.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn screenshot(&self, limit: &Limit) -> Result<Vec<u8>, DriverError> {
        let whole = CaptureScreenshotParams::builder()
            .format(CaptureScreenshotFormat::Png)
            .capture_beyond_viewport(true);
        self.core.shot(limit, whole.build()).await
    }

    /// A picture of at most so many bytes, with its media type: the whole page as PNG, or what of it is
    /// visible as JPEG.
    ///
    /// # Errors
    /// [`DriverError`], also if both are larger.
    pub async fn picture(&self, limit: &Limit, most: usize) -> Result<(&'static str, Vec<u8>), DriverError> {
        let height = "() => document.documentElement.scrollHeight";
        if self.ask::<f64>(limit, "measuring the page", height, &()).await? <= TALLEST {
            let whole = self.screenshot(limit).await?;
            if whole.len() <= most {
                return Ok(("image/png", whole));
            }
        }
        let coarse = CaptureScreenshotParams::builder().format(CaptureScreenshotFormat::Jpeg).quality(40);
        let coarse = self.core.shot(limit, coarse.build()).await?;
        if coarse.len() <= most {
            return Ok(("image/jpeg", coarse));
        }
        Err(DriverError::Script { message: format!("the picture has {} bytes", coarse.len()) })
    }

    /// The next question of the document that is shown now is answered with OK if it is exactly `text`,
    /// once; until the value is dropped.
    pub fn expect_question(&self, text: &str) -> ExpectedQuestion {
        let document = self.core.view.borrow().documents;
        self.core.dialogs().expect(text, document);
        ExpectedQuestion(Arc::clone(&self.core))
    }

    /// How many dialogs it showed, ever.
    pub fn dialogs_shown(&self) -> u64 {
        self.core.dialogs().count()
    }

    /// The first question that was dismissed since so many dialogs were shown.
    pub fn dismissed_since(&self, dialogs: u64) -> Option<String> {
        self.core.dialogs().dismissed(dialogs, None).map(str::to_owned)
    }

    /// The dialogs shown since the last call.
    pub fn take_dialogs(&self) -> Vec<Dialog> {
        self.core.dialogs().take()
    }

    /// Somebody begins to use it: from now on its steps are remembered, until [`Page::forget_steps`]; with a picture
    /// after each that may have changed what it shows, if so wanted, which takes each of them longer.
    pub fn remember_steps(&self, pictures: bool) {
        self.core.steps().begin(pictures);
    }

    /// Nobody uses it any more.
    pub fn forget_steps(&self) {
        self.core.steps().end();
    }

    pub(crate) fn steps(&self) -> Option<Recorded> {
        self.core.steps().recorded()
    }

    /// Why it can be used no more, if so.
    pub fn why_gone(&self) -> Option<Gone> {
        self.core.why.get().copied()
    }

    /// Fires when it can be used no more, for whatever reason short of the browser's end.
    pub fn gone(&self) -> &CancellationToken {
        &self.core.gone
    }

    /// For those who look at it and do not keep it.
    pub(super) fn downgrade(&self) -> Weak<PageCore> {
        Arc::downgrade(&self.core)
    }

    /// Closes it, and returns when Chromium says that it is gone.
    ///
    /// # Errors
    /// [`DriverError::Timeout`]: it may still be there; dispose of its context.
    pub async fn close(self, limit: &Limit) -> Result<(), DriverError> {
        let core = Arc::clone(&self.core);
        drop(self);
        limit.run("closing a page", core.until_destroyed()).await
    }

    async fn act<T: DeserializeOwned>(
        &self,
        limit: &Limit,
        what: &'static str,
        function: &str,
        selector: &str,
        value: Option<&str>,
    ) -> Result<T, DriverError> {
        let argument = Acting { selector, value, limit: millis(patience(limit)) };
        self.ask(limit, what, function, &argument).await
    }

    async fn click_once(&self, limit: &Limit, selector: &str) -> Result<(), DriverError> {
        let problem: Option<Problem> = self.act(limit, "a click", script::CLICK, selector, None).await?;
        problem.map_or(Ok(()), |problem| Err(problem.of(selector)))
    }

    /// Clicks, once. A question that was dismissed meanwhile ends the click: nothing will come of it.
    async fn click_without_question(
        &self,
        limit: &Limit,
        selector: &str,
        mark: &Mark,
    ) -> Result<(), DriverError> {
        let dialogs = self.dialogs_shown();
        let clicked = match self.click_once(limit, selector).await {
            // The document may be gone before the script could say that it clicked.
            Err(DriverError::Replaced) => Ok(()),
            clicked => clicked,
        };
        let asked = self.core.dialogs().dismissed(dialogs, Some(mark.document())).map(str::to_owned);
        match (clicked, asked) {
            (Ok(()), Some(text)) => Err(DriverError::Question { text }),
            (clicked, _) => clicked,
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        limit: &Limit,
        what: &'static str,
        function: &str,
        argument: &(impl Serialize + Sync),
    ) -> Result<T, DriverError> {
        let command = script::call(function, argument)?;
        limit.run(what, self.core.evaluate(command)).await
    }

    /// Remembers a step, and what was to be seen after it where pictures are wanted.
    async fn seen<T>(
        &self,
        limit: &Limit,
        doing: Doing<'_>,
        step: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        let (place, done) = self.recorded(doing, step).await;
        if self.core.gone.is_cancelled() || !self.core.steps().wants_pictures() {
            return done;
        }
        let coarse = CaptureScreenshotParams::builder().format(CaptureScreenshotFormat::Jpeg).quality(30);
        let picture = self.core.shot(&limit.within(GLANCING), coarse.build()).await.ok();
        self.core.steps().seen(place, picture);
        done
    }

    async fn recorded<T>(
        &self,
        doing: Doing<'_>,
        step: impl Future<Output = Result<T, DriverError>>,
    ) -> (Option<Place>, Result<T, DriverError>) {
        let place = self.core.steps().push(doing.what, doing.on, doing.typed);
        let done = step.await;
        self.core.steps().ended(place, self.core.document().1, done.as_ref().err());
        (place, done)
    }

    fn begin(&self) -> Begun<'_> {
        Begun { page: self, done: false }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.core.give_up(Gone::Closed);
    }
}

/// A step, for those who want to see how it went.
struct Doing<'a> {
    what: &'static str,
    on: On,
    typed: Option<&'a str>,
}

/// Until it is dropped, the question may be asked.
#[derive(Debug)]
pub struct ExpectedQuestion(Arc<PageCore>);

impl Drop for ExpectedQuestion {
    fn drop(&mut self) {
        self.0.dialogs().expect_none();
    }
}

/// Something that may end in another document. Unless it ends well, or surely did nothing, its page is
/// destroyed.
struct Begun<'a> {
    page: &'a Page,
    done: bool,
}

impl Begun<'_> {
    fn mark(&self) -> Mark {
        Mark::set(self.page.core.view.subscribe())
    }

    fn done<T>(mut self, outcome: Result<T, DriverError>) -> Result<T, DriverError> {
        let harmless = matches!(
            outcome,
            Ok(_)
                | Err(DriverError::Element { .. }
                    | DriverError::Download { .. }
                    | DriverError::Navigation { .. }
                    | DriverError::Script { .. })
        );
        self.done = harmless;
        outcome
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.page.core.give_up(Gone::GivenUp);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Navigated {
    error_text: Option<String>,
}

/// The page's own patience ends a little before ours, so that it can still say what was missing.
fn patience(limit: &Limit) -> Duration {
    let left = limit.left();
    left.saturating_sub((left / 5).min(Duration::from_millis(500)))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
