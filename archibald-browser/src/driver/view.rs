//! What is known of a page from its events: a state to watch, not a queue to read.

use tokio::sync::watch;

use super::DriverError;
use super::event::Frame;

/// The main document of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    /// How many documents it has shown. Grows with each navigation that arrives.
    pub(super) documents: u64,
    /// Whether the current one has fired its load event.
    pub(super) loaded: bool,
    /// Whether another one may be on its way.
    pub(super) is_loading: bool,
    pub(super) url: String,
    /// Where it was to go, when Chromium shows an error page instead.
    pub(super) unreachable: Option<String>,
}

impl View {
    /// The main frame shows a new document.
    pub(super) fn committed(&mut self, frame: Frame) {
        self.documents += 1;
        self.loaded = false;
        self.url = frame.url;
        self.unreachable = frame.unreachable_url;
    }
}

/// A mark set before an action, so that its document is told from the one that was there.
#[derive(Debug)]
pub(super) struct Mark {
    view: watch::Receiver<View>,
    documents: u64,
}

impl Mark {
    pub(super) fn set(view: watch::Receiver<View>) -> Self {
        let documents = view.borrow().documents;
        Self { view, documents }
    }

    /// The document that was there.
    pub(super) fn document(&self) -> u64 {
        self.documents
    }

    /// Waits for the next document, loaded.
    pub(super) async fn loaded(&mut self) -> Result<(), DriverError> {
        let documents = self.documents;
        let there = |view: &View| view.documents > documents && (view.loaded || view.unreachable.is_some());
        // The sender lives in the page; its end is told by the page's own token, which callers watch.
        let unreachable = self.view.wait_for(there).await.map(|view| view.unreachable.clone());
        match unreachable {
            Ok(Some(url)) => Err(DriverError::unreachable(url)),
            Ok(None) => Ok(()),
            Err(_) => std::future::pending().await,
        }
    }
}
