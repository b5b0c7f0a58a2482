//! What is known, from its events, of the file that a page is to bring: a state to watch, not a queue to read.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::browser::{
    BrowserContextId, CancelDownloadParams, SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::timeout;

use super::event::{DownloadProgress, DownloadWillBegin, Frame};
use super::link::{Link, Outgoing};
use super::{DownloadProblem, DriverError};

/// What a file is called that the site has no usable name for.
const NAMELESS: &str = "download";
/// How long Chromium may take to hear that a file is not wanted any more.
const TELLING: Duration = Duration::from_secs(5);
/// Windows that a click may open before its file comes.
const WINDOWS: usize = 4;

/// Where a context's files are written while they are fetched: those of one click at a time.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    context: BrowserContextId,
    pub(super) folder: Arc<Path>,
    pub(super) turn: Arc<Mutex<()>>,
}

impl Shelf {
    /// Of a context of an engine that has this profile. Chromium makes the folder when it needs it.
    pub(super) fn new(context: &str, profile: &Path) -> Self {
        let folder = profile.join("downloads").join(context).into();
        Self { context: context.to_owned().into(), folder, turn: Arc::default() }
    }

    pub(super) fn context(&self) -> BrowserContextId {
        self.context.clone()
    }

    /// No file is written.
    pub(super) fn refuse(&self) -> SetDownloadBehaviorParams {
        self.behave(SetDownloadBehaviorBehavior::Deny)
    }

    /// Files are written, each named by its guid.
    pub(super) fn allow(&self) -> SetDownloadBehaviorParams {
        let mut command = self.behave(SetDownloadBehaviorBehavior::AllowAndName);
        command.download_path = Some(self.folder.display().to_string());
        command
    }

    fn behave(&self, behavior: SetDownloadBehaviorBehavior) -> SetDownloadBehaviorParams {
        let mut command = SetDownloadBehaviorParams::new(behavior);
        command.browser_context_id = Some(self.context());
        // For the whole connection, not for this context: one that is told no would silence the others.
        command.events_enabled = Some(true);
        command
    }

    pub(super) fn cancel(&self, guid: &str) -> CancelDownloadParams {
        let mut command = CancelDownloadParams::new(guid);
        command.browser_context_id = Some(self.context());
        command
    }

    /// Once files are refused again: ends what is still coming and removes all that has come.
    pub(super) async fn clear(self, link: Link, begun: Vec<String>, turn: OwnedMutexGuard<()>) {
        let _ = timeout(TELLING, link.call::<_, Value>(None, self.refuse())).await;
        for guid in begun {
            // Chromium itself removes what it cancels; what is there when it has answered is whole.
            let _ = timeout(TELLING, link.call::<_, Value>(None, self.cancel(&guid))).await;
        }
        let Ok(mut files) = tokio::fs::read_dir(&self.folder).await else { return };
        while let Ok(Some(file)) = files.next_entry().await {
            let _ = tokio::fs::remove_file(file.path()).await;
        }
        drop(turn);
    }
}

/// Of one page: the file that is awaited, if any, as far as it has come.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) shelf: Shelf,
    pub(super) awaited: watch::Sender<Option<Arrival>>,
}

/// What is known of a file that is awaited.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// Where a file may come from, besides windows.
    frames: HashSet<String>,
    pub(super) windows: HashSet<String>,
    /// All files that began, also what was sent away.
    pub(super) begun: Vec<String>,
    file: Option<Arriving>,
    instead: Option<Instead>,
}

#[derive(Debug)]
struct Arriving {
    guid: String,
    name: String,
    bytes: f64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Arriving,
    There,
    Ended,
}

/// What came in a file's place.
#[derive(Debug, Clone)]
enum Instead {
    /// In a window.
    Page(String),
    Unreachable(String),
    Question(String),
}

impl Inbox {
    pub(super) fn new(shelf: Shelf) -> Self {
        Self { shelf, awaited: watch::Sender::default() }
    }

    /// From now on a file is awaited.
    pub(super) fn open(&self) {
        self.awaited.send_replace(Some(Arrival::default()));
    }

    /// For tests: the name of the file that comes, and whether no more is to be heard of it.
    pub(super) fn file(&self) -> Option<(String, bool)> {
        let awaited = self.awaited.borrow();
        let file = awaited.as_ref()?.file.as_ref()?;
        Some((file.name.clone(), file.state != State::Arriving))
    }

    /// A window that the page opened: let be if a file may come of it.
    pub(super) fn takes_window(&self, target: &str) -> bool {
        let taken = self.with(|arrival| {
            let has_room = arrival.windows.len() < WINDOWS;
            has_room && arrival.windows.insert(target.to_owned())
        });
        taken == Some(true)
    }

    /// Whether a file of this frame, or window, is one that is awaited here.
    pub(super) fn awaits(&self, frame: &str) -> bool {
        let awaited = self.awaited.borrow();
        awaited.as_ref().is_some_and(|it| it.frames.contains(frame) || it.windows.contains(frame))
    }

    pub(super) fn frame_attached(&self, frame: String) {
        self.with(|arrival| arrival.frames.insert(frame));
    }

    /// A document is shown in a window.
    pub(super) fn window_shows(&self, frame: Frame) {
        self.came_instead(match frame.unreachable_url {
            Some(url) => Instead::Unreachable(url),
            None => Instead::Page(frame.url),
        });
    }

    /// A question was dismissed.
    pub(super) fn asked(&self, text: String) {
        self.came_instead(Instead::Question(text));
    }

    fn came_instead(&self, what: Instead) {
        self.with(|arrival| {
            arrival.instead.get_or_insert(what);
        });
    }

    /// The first file of a click is the one; another is sent away.
    pub(super) fn will_begin(&self, event: DownloadWillBegin) -> Vec<Outgoing> {
        let DownloadWillBegin { guid, suggested_filename, .. } = event;
        let is_first = self.with(|arrival| {
            arrival.begun.push(guid.clone());
            let is_first = arrival.file.is_none();
            if is_first {
                let name = plain_name(&suggested_filename);
                let guid = guid.clone();
                arrival.file = Some(Arriving { guid, name, bytes: 0.0, state: State::Arriving });
            }
            is_first
        });
        if is_first == Some(true) {
            return Vec::new();
        }
        vec![Outgoing::order(None, &self.shelf.cancel(&guid))]
    }

    pub(super) fn progress(&self, event: &DownloadProgress) {
        self.awaited.send_if_modified(|awaited| {
            let file = awaited.as_mut().and_then(|arrival| arrival.file.as_mut());
            let Some(file) = file.filter(|file| file.guid == event.guid && file.state == State::Arriving)
            else {
                return false;
            };
            // A length that is not known is told as none at all.
            file.bytes = event.received_bytes.max(event.total_bytes);
            file.state = match event.state.as_str() {
                "completed" => State::There,
                "canceled" => State::Ended,
                _ => State::Arriving,
            };
            true
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut Arrival) -> T) -> Option<T> {
        let mut changed = None;
        self.awaited.send_if_modified(|awaited| {
            changed = awaited.as_mut().map(change);
            changed.is_some()
        });
        changed
    }
}

impl Arrival {
    /// The file, once it is whole; else whether one is coming. It may still come of a page that is loading.
    pub(super) fn whole(
        &self,
        most: u64,
        is_loading: bool,
    ) -> Result<(Option<(String, String)>, bool), DriverError> {
        let problem = |problem| Err(DriverError::Download { problem });
        let Some(file) = &self.file else {
            return match self.instead.clone() {
                Some(Instead::Question(text)) => Err(DriverError::Question { text }),
                Some(Instead::Page(url)) if !is_loading => problem(DownloadProblem::Page(url)),
                Some(Instead::Unreachable(url)) if !is_loading => Err(DriverError::unreachable(url)),
                _ => Ok((None, false)),
            };
        };
        #[expect(clippy::cast_precision_loss, reason = "nobody awaits a file of 2^53 bytes")]
        let is_too_large = file.bytes > most as f64;
        match file.state {
            _ if is_too_large => problem(DownloadProblem::TooLarge { most }),
            State::There => Ok((Some((file.guid.clone(), file.name.clone())), true)),
            State::Ended => problem(DownloadProblem::Ended),
            State::Arriving => Ok((None, true)),
        }
    }
}

/// The last part of what may be a path, of whatever system.
fn plain_name(suggested: &str) -> String {
    let name = suggested.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let is_usable = !matches!(name, "" | "." | "..") && !name.contains(char::is_control);
    if is_usable { name } else { NAMELESS }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn began(guid: &str, name: &str) -> DownloadWillBegin {
        let (frame_id, suggested_filename) = ("F".to_owned(), name.to_owned());
        DownloadWillBegin { frame_id, guid: guid.to_owned(), suggested_filename }
    }

    fn progress(guid: &str, received_bytes: f64, state: &str) -> DownloadProgress {
        DownloadProgress { guid: guid.to_owned(), total_bytes: 0.0, received_bytes, state: state.to_owned() }
    }

    fn inbox() -> Inbox {
        Inbox::new(Shelf::new("C", Path::new("/")))
    }

    #[test]
    fn what_nobody_awaits_is_sent_away() {
        let inbox = inbox();
        assert!(!inbox.awaits("F") && !inbox.takes_window("W"));
        assert_eq!(inbox.will_begin(began("1", "a"))[0].method(), "Browser.cancelDownload");
        inbox.progress(&progress("1", 10.0, "completed"));
        assert!(inbox.awaited.borrow().is_none());
    }

    #[test]
    fn the_first_file_is_the_one_and_is_over_once() {
        let inbox = inbox();
        inbox.open();
        inbox.frame_attached("F".into());
        assert!(inbox.awaits("F") && !inbox.awaits("W"));
        assert!(inbox.takes_window("W") && inbox.awaits("W"));
        assert!(inbox.will_begin(began("1", "a")).is_empty());
        assert_eq!(inbox.will_begin(began("2", "b")).len(), 1);
        for (event, is_over) in [
            (progress("2", 5.0, "completed"), false),
            (progress("1", 5.0, "inProgress"), false),
            (progress("1", 9.0, "completed"), true),
            (progress("1", 9.0, "inProgress"), true),
        ] {
            inbox.progress(&event);
            assert_eq!(inbox.file(), Some(("a".to_owned(), is_over)), "{event:?}");
        }
    }

    #[test]
    fn what_comes_instead_counts_until_a_file_comes() {
        let page = |url: &str| Frame { parent_id: None, url: url.into(), unreachable_url: None };
        let inbox = inbox();
        let whole = |is_loading| inbox.awaited.borrow().as_ref().unwrap().whole(10, is_loading);
        inbox.open();
        assert!(matches!(whole(false), Ok((None, false))));
        inbox.window_shows(page("http://erp.test/login"));
        inbox.asked("Sure?".into());
        assert!(matches!(whole(true), Ok((None, false))), "the page may still bring it");
        let login = whole(false).unwrap_err().to_string();
        assert_eq!(login, "the file did not come: http://erp.test/login was shown instead");
        inbox.will_begin(began("1", "a"));
        assert!(matches!(whole(false), Ok((None, true))));
        inbox.progress(&progress("1", 11.0, "inProgress"));
        assert_eq!(whole(false).unwrap_err().to_string(), "the file did not come: it has more than 10 bytes");

        inbox.open();
        inbox.asked("Sure?".into());
        assert!(matches!(whole(true), Err(DriverError::Question { text }) if text == "Sure?"));
        inbox.open();
        inbox.window_shows(Frame {
            unreachable_url: Some("http://erp.test/".into()),
            ..page("chrome-error:")
        });
        assert!(
            matches!(whole(false), Err(DriverError::Navigation { url, .. }) if url == "http://erp.test/")
        );
    }

    #[test]
    fn a_click_opens_few_windows() {
        let inbox = inbox();
        inbox.open();
        assert_eq!((0..10).filter(|window| inbox.takes_window(&window.to_string())).count(), WINDOWS);
    }

    #[test]
    fn a_name_is_no_path() {
        for (suggested, name) in [
            ("ordini 2026.csv", "ordini 2026.csv"),
            ("../../etc/passwd", "passwd"),
            (r"C:\Temp\prezzi.xls", "prezzi.xls"),
            ("..", NAMELESS),
            ("a/", NAMELESS),
            ("a\nb", NAMELESS),
        ] {
            assert_eq!(plain_name(suggested), name, "{suggested:?}");
        }
    }
}
