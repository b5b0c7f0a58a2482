//! Files that a site hands out: refused, but for one that a click was made for.
//!
//! Chromium writes a file where it is told to; here that is below the engine's profile, so that it goes with whatever
//! goes first: whoever waits for it, or the engine. It is fetched over the context's road as everything else is.

use std::fmt;

use chromiumoxide::cdp::browser_protocol::page::GetFrameTreeParams;
use chromiumoxide::cdp::browser_protocol::target::CloseTargetParams;
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;

use super::inbox::{Arrival, Inbox};
use super::page_core::PageCore;
use super::script;
use super::view::Mark;
use super::{DownloadProblem, DriverError, Limit};
use crate::gate::SAYS;

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

/// A file is awaited, until it is dropped: then what has come of it goes.
pub(super) struct Awaited<'a> {
    core: &'a PageCore,
    turn: Option<OwnedMutexGuard<()>>,
}

impl<'a> Awaited<'a> {
    /// From now on the page may hand out a file, from any of its frames and from windows that it opens. Waits until
    /// nobody else in the context awaits one.
    pub(super) async fn begin(core: &'a PageCore, limit: &Limit) -> Result<Self, DriverError> {
        let Inbox { shelf, .. } = &core.inbox;
        let begin = async {
            let turn = core.alive(async { Ok(shelf.turn.clone().lock_owned().await) }).await?;
            core.inbox.open();
            let awaited = Self { core, turn: Some(turn) };
            let FrameTree { frame_tree } = core.call(GetFrameTreeParams::default()).await?;
            frame_tree.each(&mut |frame| core.inbox.frame_attached(frame));
            core.alive(core.link.call::<_, Value>(None, shelf.allow())).await?;
            Ok(awaited)
        };
        limit.run("getting ready for a file", begin).await
    }

    /// Waits for the file, whole, or for what came in its place.
    pub(super) async fn file(&self, most: u64, mark: &mut Mark) -> Result<Download, DriverError> {
        let whole = self.whole(most, mark).await;
        // A document that came of the same click, too, would be taken for that of the next one. A question destroys the page.
        if !matches!(whole, Err(DriverError::Question { .. })) {
            self.core.at_rest().await;
        }
        let (guid, name) = whole?;
        let path = self.core.inbox.shelf.folder.join(guid);
        let size = tokio::fs::metadata(&path).await.map_err(DriverError::unkept)?.len();
        if size > most {
            return Err(DriverError::Download { problem: DownloadProblem::TooLarge { most } });
        }
        let bytes = tokio::fs::read(&path).await.map_err(DriverError::unkept)?;
        Ok(Download { name, bytes })
    }

    /// Its guid and its name.
    async fn whole(&self, most: u64, mark: &mut Mark) -> Result<(String, String), DriverError> {
        let (mut awaited, mut view) = (self.core.inbox.awaited.subscribe(), self.core.view.subscribe());
        loop {
            let is_loading = view.borrow_and_update().is_loading;
            let whole = |arrival: &Arrival| arrival.whole(most, is_loading);
            let seen = awaited.borrow_and_update().as_ref().map_or(Ok((None, false)), whole);
            let is_coming = match seen? {
                (Some(whole), _) => return Ok(whole),
                (None, is_coming) => is_coming,
            };
            tokio::select! {
                biased;
                // They never end: the page has the other sides.
                _ = awaited.changed() => {}
                _ = view.changed() => {}
                loaded = mark.loaded(), if !is_coming => {
                    loaded?;
                    let problem = self.instead().await?;
                    return Err(DriverError::Download { problem });
                }
            }
        }
    }

    /// What the page shows now.
    async fn instead(&self) -> Result<DownloadProblem, DriverError> {
        let plain: String = self.core.evaluate(script::call(script::PLAIN, &())?).await?;
        Ok(match plain.strip_prefix(SAYS) {
            Some(why) => DownloadProblem::Gate(why.to_owned()),
            None => DownloadProblem::Page(self.core.document().1),
        })
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let PageCore { link, inbox: Inbox { shelf, awaited }, .. } = self.core;
        // At once: whoever comes next shall find it so.
        link.order(None, &shelf.refuse());
        let Arrival { windows, begun, .. } = awaited.send_replace(None).unwrap_or_default();
        for window in windows {
            link.order(None, &CloseTargetParams::new(window));
        }
        if let (Some(turn), Ok(runtime)) = (self.turn.take(), Handle::try_current()) {
            runtime.spawn(shelf.clone().clear(link.clone(), begun, turn));
        }
    }
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
    frame: FrameId,
    #[serde(default)]
    child_frames: Vec<Frames>,
}

#[derive(Deserialize)]
struct FrameId {
    id: String,
}

impl Frames {
    fn each(self, tell: &mut impl FnMut(String)) {
        tell(self.frame.id);
        self.child_frames.into_iter().for_each(|frames| frames.each(tell));
    }
}
