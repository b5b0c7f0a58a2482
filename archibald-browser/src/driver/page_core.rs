//! What a page's events and its callers share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use base64::Engine as _;
use chromiumoxide::cdp::browser_protocol::page::{CaptureScreenshotParams, HandleJavaScriptDialogParams};
use chromiumoxide::cdp::browser_protocol::target::CloseTargetParams;
use chromiumoxide::types::Command;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::dialog::{Dialogs, ELSEWHERE};
use super::event::{DialogOpening, FrameNamed, FrameNavigated};
use super::inbox::{Inbox, Shelf};
use super::link::Outgoing;
use super::script::{self, Evaluated};
use super::steps::{On, Steps};
use super::targets::{close, read};
use super::view::View;
use super::{DriverError, Gone, Limit, Link};

/// What a new window shows before it goes anywhere.
const BLANK: &str = "about:blank";

/// What the page's events and its callers share.
#[derive(Debug)]
pub(crate) struct PageCore {
    pub(super) link: Link,
    target: String,
    session: Arc<str>,
    pub(super) view: watch::Sender<View>,
    dialogs: Mutex<Dialogs>,
    pub(super) inbox: Inbox,
    steps: Mutex<Steps>,
    pub(super) gone: CancellationToken,
    pub(super) why: OnceLock<Gone>,
    destroyed: CancellationToken,
    /// One picture at a time: Chromium gives the page another size while it takes one, and afterwards the one that it had.
    pictures: Arc<tokio::sync::Mutex<()>>,
}

impl PageCore {
    pub(super) fn new(link: Link, target: String, session: Arc<str>, shelf: Shelf) -> Self {
        Self {
            link,
            target,
            session,
            view: watch::Sender::default(),
            dialogs: Mutex::default(),
            inbox: Inbox::new(shelf),
            steps: Mutex::default(),
            gone: CancellationToken::new(),
            why: OnceLock::new(),
            destroyed: CancellationToken::new(),
            pictures: Arc::default(),
        }
    }

    pub(super) fn session(&self) -> &Arc<str> {
        &self.session
    }

    /// Sends a command to the page. Ends at once when page or browser are gone.
    pub(crate) async fn call<C: Command, A: DeserializeOwned>(&self, command: C) -> Result<A, DriverError> {
        self.alive(self.link.call(Some(&self.session), command)).await
    }

    /// What an event changes; returns the commands that answer it. Never waits.
    pub(super) fn event(&self, method: &str, params: Value) -> Vec<Outgoing> {
        if self.gone.is_cancelled() && matches!(method, "Page.frameNavigated" | "Page.loadEventFired") {
            // A document arrived while it was being closed, and made Chromium forget about that.
            return vec![close(&self.target)];
        }
        match method {
            "Page.frameNavigated" => {
                if let Some(FrameNavigated { frame }) = read(params)
                    && frame.parent_id.is_none()
                {
                    self.view.send_modify(|view| view.committed(frame));
                }
            }
            "Page.frameAttached" => self.frame_attached(params),
            "Page.frameStartedLoading" => self.loading(params, true),
            "Page.frameStoppedLoading" => self.loading(params, false),
            "Page.loadEventFired" => self.view.send_modify(|view| view.loaded = true),
            "Inspector.targetCrashed" => self.gone(Gone::Crashed),
            "Page.javascriptDialogOpening" => {
                let document = self.view.borrow().documents;
                return self.dialog(&self.session, params, document);
            }
            _ => {}
        }
        Vec::new()
    }

    /// As [`PageCore::event`], of a window that it opened. It goes as soon as no file is awaited of it.
    pub(super) fn window_event(
        &self,
        (session, target): (&Arc<str>, &str),
        method: &str,
        params: Value,
    ) -> Vec<Outgoing> {
        let is_awaited = self.inbox.awaits(target);
        match method {
            "Page.frameNavigated" if is_awaited => {
                if let Some(FrameNavigated { frame }) = read(params)
                    && frame.parent_id.is_none()
                    && frame.url != BLANK
                {
                    self.inbox.window_shows(frame);
                }
            }
            "Page.frameAttached" if is_awaited => self.frame_attached(params),
            "Page.javascriptDialogOpening" if is_awaited => return self.dialog(session, params, ELSEWHERE),
            "Page.javascriptDialogOpening" => {
                return vec![Outgoing::order(Some(session), &HandleJavaScriptDialogParams::new(false))];
            }
            // A document that arrives while it is being closed makes Chromium forget about that.
            "Page.frameNavigated" => return vec![close(target)],
            _ => {}
        }
        Vec::new()
    }

    fn frame_attached(&self, params: Value) {
        if let Some(FrameNamed { frame_id }) = read(params) {
            self.inbox.frame_attached(frame_id);
        }
    }

    /// It can be used no more; all that is pending in it fails at once.
    pub(super) fn gone(&self, why: Gone) {
        let _ = self.why.set(why);
        self.gone.cancel();
    }

    /// Chromium says that it is closed.
    pub(super) fn destroyed(&self) {
        self.gone(Gone::Closed);
        self.destroyed.cancel();
    }

    /// Ends with the page's or the browser's end.
    pub(super) async fn alive<T>(
        &self,
        step: impl Future<Output = Result<T, DriverError>>,
    ) -> Result<T, DriverError> {
        tokio::select! {
            biased;
            () = self.gone.cancelled() => {
                Err(DriverError::PageGone { why: self.why.get().copied().unwrap_or(Gone::Closed) })
            }
            () = self.link.dead().cancelled() => Err(self.link.lost()),
            done = step => done,
        }
    }

    /// How many documents it has shown, and the address of the last.
    pub(super) fn document(&self) -> (u64, String) {
        let view = self.view.borrow();
        (view.documents, view.url.clone())
    }

    pub(super) async fn shot(
        &self,
        limit: &Limit,
        command: CaptureScreenshotParams,
    ) -> Result<Vec<u8>, DriverError> {
        let in_turn = async {
            let _turn = self.pictures.lock().await;
            self.call(command).await
        };
        decoded(limit.run("taking a picture", in_turn).await?)
    }

    /// A picture for somebody who looks on; none while another one is taken. Until Chromium has answered no other is begun,
    /// however long the looker waits.
    pub(super) async fn shot_aside(
        self: &Arc<Self>,
        limit: &Limit,
        command: CaptureScreenshotParams,
    ) -> Result<Option<Vec<u8>>, DriverError> {
        let Ok(turn) = self.pictures.clone().try_lock_owned() else { return Ok(None) };
        let core = self.clone();
        let taken = tokio::spawn(async move {
            let taken = core.call(command).await;
            drop(turn);
            taken
        });
        let taken = async { taken.await.unwrap_or(Err(DriverError::PageGone { why: Gone::Closed })) };
        decoded(limit.run("looking at a page", taken).await?).map(Some)
    }

    pub(super) async fn evaluate<T: DeserializeOwned>(
        &self,
        command: chromiumoxide::cdp::js_protocol::runtime::EvaluateParams,
    ) -> Result<T, DriverError> {
        let evaluated: Evaluated = match self.call(command).await {
            Err(DriverError::Refused { message, .. }) if script::is_replaced(&message) => {
                return Err(DriverError::Replaced);
            }
            other => other?,
        };
        serde_json::from_value(evaluated.value()?)
            .map_err(|source| DriverError::Answer { method: "a script", source })
    }

    pub(super) fn give_up(&self, why: Gone) {
        if !self.destroyed.is_cancelled() {
            self.link.order(None, &CloseTargetParams::new(self.target.clone()));
        }
        self.gone(why);
    }

    pub(super) async fn until_destroyed(&self) -> Result<(), DriverError> {
        tokio::select! {
            () = self.destroyed.cancelled() => {}
            () = self.link.dead().cancelled() => {}
        }
        Ok(())
    }

    fn loading(&self, params: Value, is_loading: bool) {
        if let Some(FrameNamed { frame_id }) = read(params)
            && frame_id == self.target
        {
            self.view.send_modify(|view| view.is_loading = is_loading);
        }
    }

    /// Waits until no document is on its way.
    pub(super) async fn at_rest(&self) {
        // It never ends: the page has the other side.
        let _ = self.view.subscribe().wait_for(|view| !view.is_loading).await;
    }

    fn dialog(&self, session: &Arc<str>, params: Value, document: u64) -> Vec<Outgoing> {
        let Some(opening) = read::<DialogOpening>(params) else { return Vec::new() };
        let place = self.steps().push("a dialog", On::Said(opening.message.clone()), None);
        let text = opening.message.clone();
        let accept = self.dialogs().answer(opening, document);
        if !accept {
            self.inbox.asked(text);
        }
        self.steps().answered(place, accept);
        vec![Outgoing::order(Some(session), &HandleJavaScriptDialogParams::new(accept))]
    }

    pub(super) fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dialogs(&self) -> MutexGuard<'_, Dialogs> {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Screenshot {
    data: String,
}

fn decoded(shot: Screenshot) -> Result<Vec<u8>, DriverError> {
    base64::engine::general_purpose::STANDARD
        .decode(shot.data)
        .map_err(|error| DriverError::Script { message: format!("the picture is damaged: {error}") })
}
