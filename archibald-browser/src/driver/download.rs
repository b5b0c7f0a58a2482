//! Files that a site hands out: refused, but for one that a click was made for.
//!
//! Chromium writes a file where it is told to; here that is below the engine's profile, so that it goes with whatever
//! goes first: whoever waits for it, or the engine. It is fetched over the context's road as everything else is.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::browser::{
    CancelDownloadParams, SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use chromiumoxide::cdp::browser_protocol::page::GetFrameTreeParams;
use chromiumoxide::cdp::browser_protocol::target::CloseTargetParams;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::event::{DownloadMoves, DownloadWillBegin};
use super::link::{Link, Outgoing};
use super::page_core::PageCore;
use super::view::Mark;
use super::{DownloadProblem, DriverError, Limit};

/// What a file is called that the site has no usable name for.
const NAMELESS: &str = "download";

/// How long Chromium may take to hear that a file is not wanted any more.
const CANCELLING: Duration = Duration::from_secs(5);

/// A file that a site handed out, whole.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Download {
    /// What the site calls it, without any folder. It may name a type that the content is not of.
    pub name: String,
    /// The content.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Download({:?}, {} bytes)", self.name, self.bytes.len())
    }
}

/// A context, and where its engine may write.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) context: String,
    pub(super) folder: Arc<Path>,
}

impl Home {
    /// No file is written.
    pub(super) fn refuse(&self) -> SetDownloadBehaviorParams {
        self.behave(SetDownloadBehaviorBehavior::Deny)
    }

    /// Files are written, under names that cannot meet.
    fn allow(&self) -> SetDownloadBehaviorParams {
        let mut command = self.behave(SetDownloadBehaviorBehavior::AllowAndName);
        command.download_path = Some(self.downloads().display().to_string());
        command
    }

    /// The same for all contexts of an engine, which makes it when it needs it.
    fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    fn behave(&self, behavior: SetDownloadBehaviorBehavior) -> SetDownloadBehaviorParams {
        let mut command = SetDownloadBehaviorParams::new(behavior);
        command.browser_context_id = Some(self.context.clone().into());
        // For the whole connection, not for this context: one that is told no would silence the others.
        command.events_enabled = Some(true);
        command
    }

    fn cancel(&self, guid: &str) -> CancelDownloadParams {
        let mut command = CancelDownloadParams::new(guid);
        command.browser_context_id = Some(self.context.clone().into());
        command
    }
}

/// Of one page: the file that is awaited, if any, as far as it has come.
#[derive(Debug)]
pub(super) struct Inbox {
    home: Home,
    awaited: watch::Sender<Option<Arrival>>,
}

#[derive(Debug, Default)]
struct Arrival {
    frames: HashSet<String>,
    windows: HashSet<String>,
    /// All that began, also what was sent away.
    begun: Vec<String>,
    file: Option<Arriving>,
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

impl Inbox {
    pub(super) fn new(home: Home) -> Self {
        Self { home, awaited: watch::Sender::default() }
    }

    /// From now on a file is awaited.
    pub(super) fn open(&self) {
        self.awaited.send_replace(Some(Arrival::default()));
    }

    /// The name of the file that comes, and whether no more is to be heard of it.
    pub(super) fn file(&self) -> Option<(String, bool)> {
        let awaited = self.awaited.borrow();
        let file = awaited.as_ref()?.file.as_ref()?;
        Some((file.name.clone(), file.state != State::Arriving))
    }

    /// A window that the page opened: let be if a file may come of it.
    pub(super) fn takes_window(&self, target: &str) -> bool {
        self.with(|arrival| arrival.windows.insert(target.to_owned())).is_some()
    }

    /// Whether a file of this frame is one that is awaited here.
    pub(super) fn awaits(&self, frame: &str) -> bool {
        let awaited = self.awaited.borrow();
        awaited.as_ref().is_some_and(|it| it.frames.contains(frame) || it.windows.contains(frame))
    }

    pub(super) fn frame_attached(&self, frame: String) {
        self.with(|arrival| arrival.frames.insert(frame));
    }

    /// The first file of a click is the one; another is sent away.
    pub(super) fn begins(&self, begins: DownloadWillBegin) -> Vec<Outgoing> {
        let DownloadWillBegin { guid, suggested_filename, .. } = begins;
        let taken = self.with(|arrival| {
            arrival.begun.push(guid.clone());
            let is_first = arrival.file.is_none();
            if is_first {
                let name = plain_name(&suggested_filename);
                let guid = guid.clone();
                arrival.file = Some(Arriving { guid, name, bytes: 0.0, state: State::Arriving });
            }
            is_first
        });
        match taken {
            Some(true) => Vec::new(),
            _ => vec![Outgoing::order(None, &self.home.cancel(&guid))],
        }
    }

    pub(super) fn moves(&self, moves: &DownloadMoves) {
        self.awaited.send_if_modified(|awaited| {
            let file = awaited.as_mut().and_then(|arrival| arrival.file.as_mut());
            let Some(file) = file.filter(|file| file.guid == moves.guid && file.state == State::Arriving)
            else {
                return false;
            };
            // A length that is not known is told as none at all.
            file.bytes = moves.received_bytes.max(moves.total_bytes);
            file.state = match moves.state.as_str() {
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

/// A file is awaited, until it is dropped: then what has come of it goes.
pub(super) struct Awaited<'a> {
    core: &'a PageCore,
}

impl<'a> Awaited<'a> {
    /// From now on the page may hand out a file, from any of its frames and from windows that it opens.
    pub(super) async fn begin(core: &'a PageCore, limit: &Limit) -> Result<Self, DriverError> {
        let (inbox, awaited) = (&core.inbox, Self { core });
        inbox.open();
        limit
            .run("getting ready for a file", async {
                let FrameTree { frame_tree } = core.call(GetFrameTreeParams::default()).await?;
                frame_tree.each(&mut |frame| inbox.frame_attached(frame));
                core.alive(core.link.call::<_, Value>(None, inbox.home.allow())).await
            })
            .await?;
        Ok(awaited)
    }

    /// Waits for the file, whole, or for what came in its place.
    pub(super) async fn file(&self, most: u64, mark: &mut Mark) -> Result<Download, DriverError> {
        let problem = |problem| Err(DriverError::Download { problem });
        let (guid, name) = tokio::select! {
            biased;
            file = self.arrived(most) => file?,
            loaded = mark.loaded() => {
                loaded?;
                return problem(DownloadProblem::Page(self.core.document().1));
            }
        };
        let path = self.core.inbox.home.downloads().join(guid);
        let size = tokio::fs::metadata(&path).await.map_err(DriverError::unkept)?.len();
        if size > most {
            return problem(DownloadProblem::TooLarge { most });
        }
        let bytes = tokio::fs::read(&path).await.map_err(DriverError::unkept)?;
        Ok(Download { name, bytes })
    }

    async fn arrived(&self, most: u64) -> Result<(String, String), DriverError> {
        let problem = |problem| Err(DriverError::Download { problem });
        let mut awaited = self.core.inbox.awaited.subscribe();
        loop {
            if let Some(file) = awaited.borrow_and_update().as_ref().and_then(|it| it.file.as_ref()) {
                #[expect(clippy::cast_precision_loss, reason = "nobody awaits a file of 2^53 bytes")]
                let is_too_large = file.bytes > most as f64;
                match file.state {
                    _ if is_too_large => return problem(DownloadProblem::TooLarge { most }),
                    State::There => return Ok((file.guid.clone(), file.name.clone())),
                    State::Ended => return problem(DownloadProblem::Ended),
                    State::Arriving => {}
                }
            }
            if awaited.changed().await.is_err() {
                // The sender lives in the page; its end is told by the page's own token, which callers watch.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let PageCore { link, inbox: Inbox { home, awaited }, .. } = self.core;
        let arrival = awaited.send_replace(None);
        link.order(None, &home.refuse());
        let Arrival { windows, begun, .. } = arrival.unwrap_or_default();
        for window in windows {
            link.order(None, &CloseTargetParams::new(window));
        }
        if let (false, Ok(runtime)) = (begun.is_empty(), Handle::try_current()) {
            runtime.spawn(clear(link.clone(), home.clone(), begun));
        }
    }
}

/// Ends what is still coming and removes what has come. Without a runtime, that is left to the engine's end.
async fn clear(link: Link, home: Home, begun: Vec<String>) {
    for guid in begun {
        // Chromium itself removes what it cancels; what is there when it has answered is whole.
        let _ = timeout(CANCELLING, link.call::<_, Value>(None, home.cancel(&guid))).await;
        let _ = tokio::fs::remove_file(home.downloads().join(guid)).await;
    }
}

impl DriverError {
    fn unkept(source: std::io::Error) -> Self {
        Self::Download { problem: DownloadProblem::Unkept(source) }
    }
}

/// The last part of what may be a path, of whatever system.
fn plain_name(suggested: &str) -> String {
    let name = suggested.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let is_usable = !matches!(name, "" | "." | "..") && !name.contains(char::is_control);
    if is_usable { name } else { NAMELESS }.to_owned()
}

/// What `Page.getFrameTree` answers, as far as we need it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FrameTree {
    frame_tree: Frames,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frames {
    frame: FrameNamed,
    #[serde(default)]
    child_frames: Vec<Frames>,
}

#[derive(Deserialize)]
struct FrameNamed {
    id: String,
}

impl Frames {
    fn each(self, tell: &mut impl FnMut(String)) {
        tell(self.frame.id);
        self.child_frames.into_iter().for_each(|frames| frames.each(tell));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(guid: &str, name: &str) -> DownloadWillBegin {
        let (frame_id, suggested_filename) = ("F".to_owned(), name.to_owned());
        DownloadWillBegin { frame_id, guid: guid.to_owned(), suggested_filename }
    }

    fn moves(guid: &str, received_bytes: f64, state: &str) -> DownloadMoves {
        DownloadMoves { guid: guid.to_owned(), total_bytes: 0.0, received_bytes, state: state.to_owned() }
    }

    fn inbox() -> Inbox {
        Inbox::new(Home { context: "C".into(), folder: Path::new("/").into() })
    }

    #[test]
    fn what_nobody_awaits_is_sent_away() {
        let inbox = inbox();
        assert!(!inbox.awaits("F") && !inbox.takes_window("W"));
        assert_eq!(inbox.begins(begins("1", "a"))[0].method(), "Browser.cancelDownload");
        inbox.moves(&moves("1", 10.0, "completed"));
        assert!(inbox.awaited.borrow().is_none());
    }

    #[test]
    fn the_first_file_is_the_one_and_is_over_once() {
        let inbox = inbox();
        inbox.open();
        inbox.frame_attached("F".into());
        assert!(inbox.awaits("F") && !inbox.awaits("W"));
        assert!(inbox.takes_window("W") && inbox.awaits("W"));
        assert!(inbox.begins(begins("1", "a")).is_empty());
        assert_eq!(inbox.begins(begins("2", "b")).len(), 1);
        for (moves, is_over) in [
            (moves("2", 5.0, "completed"), false),
            (moves("1", 5.0, "inProgress"), false),
            (moves("1", 9.0, "completed"), true),
            (moves("1", 9.0, "inProgress"), true),
        ] {
            inbox.moves(&moves);
            assert_eq!(inbox.file(), Some(("a".to_owned(), is_over)), "{moves:?}");
        }
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
