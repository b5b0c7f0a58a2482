//! What can go wrong between us and a page.

use std::time::Duration;

/// Why a command to the browser did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The browser is gone, and with it all of its contexts and pages.
    #[error("the browser is lost: {why}")]
    BrowserLost {
        /// What was noticed first.
        why: String,
    },
    /// The page is gone; its context, and the session in it, live on.
    #[error("the page is gone: {why}")]
    PageGone {
        /// What became of it.
        why: Gone,
    },
    /// The step's budget is spent. What was begun may still go on in the page.
    #[error("{what} took longer than {after:?}")]
    Timeout {
        /// The step.
        what: &'static str,
        /// The budget that it had.
        after: Duration,
    },
    /// The lease under which the page is used is over: nothing may be done any more.
    #[error("{what}: {source}")]
    LeaseLost {
        /// The step that was asked for.
        what: &'static str,
        /// The guard's word.
        #[source]
        source: archibald_core::port::LeaseLost,
    },
    /// Chromium refused a command.
    #[error("chromium refused {method}: {message}")]
    Refused {
        /// The command.
        method: &'static str,
        /// Chromium's words.
        message: String,
    },
    /// Chromium's answer could not be read, or a script returned something else than was expected.
    #[error("the answer to {method} is not what was expected")]
    Answer {
        /// The command.
        method: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A script in the page failed.
    #[error("a script in the page failed: {message}")]
    Script {
        /// The exception's text.
        message: String,
    },
    /// The page went elsewhere while a script ran in it.
    #[error("the page was replaced by another one while a script ran in it")]
    Replaced,
    /// The page asked something that nobody expected; it was dismissed.
    #[error("the page asked {text:?}, which was not expected and so dismissed")]
    Question {
        /// What it asked.
        text: String,
    },
    /// A document could not be loaded at all.
    #[error("{url} could not be loaded: {text}")]
    Navigation {
        /// Where it was to go.
        url: String,
        /// The network error.
        text: String,
    },
    /// An element did not become usable in time.
    #[error("{selector} {problem}")]
    Element {
        /// The CSS selector.
        selector: String,
        /// What kept it from being used.
        problem: ElementProblem,
    },
    /// The file that a click was made for did not come.
    #[error("the file did not come: {problem}")]
    Download {
        /// What came of it.
        #[source]
        problem: DownloadProblem,
    },
}

impl DriverError {
    /// Chromium shows a page of its own in place of this address.
    pub(super) fn unreachable(url: String) -> Self {
        Self::Navigation { url, text: "chromium shows an error page".into() }
    }

    pub(super) fn unkept(source: std::io::Error) -> Self {
        Self::Download { problem: DownloadProblem::Unkept(source) }
    }
}

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// Its process crashed.
    #[error("it crashed")]
    Crashed,
    /// It was closed.
    #[error("it was closed")]
    Closed,
    /// A step in it was given up half way, so it was destroyed before anybody else could use it.
    #[error("a step in it was given up, so it was destroyed")]
    GivenUp,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum DownloadProblem {
    /// A page was shown instead, such as that of a login.
    #[error("{0} was shown instead")]
    Page(String),
    /// The gate did not let the request through, or the answer did not come whole.
    #[error("the gate says: {0}")]
    Gate(String),
    /// It is larger than whoever asked for it allows.
    #[error("it has more than {most} bytes")]
    TooLarge {
        /// How many are allowed.
        most: u64,
    },
    /// It broke off, or Chromium refused it.
    #[error("it broke off")]
    Ended,
    /// It could not be written or read.
    #[error("it could not be kept: {0}")]
    Unkept(#[source] std::io::Error),
}

/// What keeps an element from being used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElementProblem {
    /// The selector matches nothing.
    #[error("matches nothing in the page")]
    Missing,
    /// It has no size or is invisible.
    #[error("is not visible")]
    Hidden,
    /// It is disabled or read-only.
    #[error("is disabled or read-only")]
    Disabled,
    /// It did not stand still.
    #[error("does not stand still")]
    Moving,
    /// Something lies over it.
    #[error("is covered by {0}")]
    Covered(String),
    /// A list without the wanted entry.
    #[error("has no entry {0:?}")]
    NoEntry(String),
}
