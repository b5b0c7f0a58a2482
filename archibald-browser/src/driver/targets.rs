//! Which target is whose: routes events to pages, and closes windows that nobody asked for.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chromiumoxide::cdp::browser_protocol::page;
use chromiumoxide::cdp::browser_protocol::target::CloseTargetParams;
use chromiumoxide::cdp::js_protocol::runtime::RunIfWaitingForDebuggerParams;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;

use super::event::{Attached, Detached, DownloadProgress, DownloadWillBegin, Event, TargetNamed};
use super::link::Outgoing;
use super::{Gone, PageCore};

/// The book of one browser's targets. Every target is attached, and held, before its first script runs.
#[derive(Debug, Default)]
pub(crate) struct Router {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// How many of our creations are not yet answered: until then a new target may be ours.
    creating: usize,
    ours: HashSet<String>,
    sessions: HashMap<String, Arc<str>>,
    awaited: HashMap<String, oneshot::Sender<Arc<str>>>,
    pages: HashMap<Arc<str>, Arc<PageCore>>,
    /// By session: windows that a file may come of, and the page that opened each.
    windows: HashMap<Arc<str>, (String, Arc<PageCore>)>,
}

impl Router {
    /// What an event changes; returns the commands that answer it.
    pub(super) fn event(&self, event: Event) -> Vec<Outgoing> {
        let Event { method, session, params } = event;
        if let Some(session) = session {
            return self.of_session(&session, &method, params);
        }
        match method.as_str() {
            "Target.attachedToTarget" => read(params).map_or_else(Vec::new, |it| self.attached(it)),
            "Target.detachedFromTarget" => {
                if let Some(Detached { session_id }) = read(params) {
                    let mut book = self.book();
                    book.windows.remove(session_id.as_str());
                    let page = book.pages.remove(session_id.as_str());
                    drop(book);
                    page.inspect(|page| page.destroyed());
                }
                Vec::new()
            }
            "Browser.downloadWillBegin" => read(params).map_or_else(Vec::new, |it| self.download(it)),
            "Browser.downloadProgress" => {
                if let Some(progress) = read::<DownloadProgress>(params) {
                    self.book().pages.values().for_each(|page| page.inbox.progress(&progress));
                }
                Vec::new()
            }
            "Target.targetCrashed" => self.ended(params, Gone::Crashed),
            "Target.targetDestroyed" => self.ended(params, Gone::Closed),
            _ => Vec::new(),
        }
    }

    /// One of our own targets is on its way.
    pub(super) fn creation_begins(&self) {
        self.book().creating += 1;
    }

    /// It is there, or failed. What came meanwhile and is nobody's is closed; so is a target whose
    /// creator left.
    pub(super) fn creation_ends(&self, target: Option<&str>, unheard: bool) -> Vec<Outgoing> {
        let mut book = self.book();
        book.creating = book.creating.saturating_sub(1);
        if let (Some(target), false) = (target, unheard) {
            book.ours.insert(target.into());
        }
        if book.creating > 0 {
            return Vec::new();
        }
        let Book { sessions, ours, .. } = &mut *book;
        let strangers = sessions.extract_if(|target, _| !ours.contains(target));
        let mut orders: Vec<Outgoing> =
            strangers.flat_map(|(target, session)| close_held(session, &target)).collect();
        orders.extend(target.filter(|_| unheard).map(close));
        orders
    }

    /// The session of one of our targets, as soon as it is attached.
    pub(super) fn session_of(&self, target: &str) -> oneshot::Receiver<Arc<str>> {
        let (sender, receiver) = oneshot::channel();
        let mut book = self.book();
        match book.sessions.get(target) {
            Some(session) => drop(sender.send(Arc::clone(session))),
            None => drop(book.awaited.insert(target.into(), sender)),
        }
        receiver
    }

    /// From now on the session's events are the page's.
    pub(super) fn register(&self, page: &Arc<PageCore>) {
        self.book().pages.insert(Arc::clone(page.session()), Arc::clone(page));
    }

    /// How many of our pages are open.
    pub(super) fn open_pages(&self) -> usize {
        self.book().pages.len()
    }

    /// Lets go of everything; callers are told by the link.
    pub(super) fn browser_lost(&self) {
        *self.book() = Book::default();
    }

    fn attached(&self, Attached { session_id, target_info }: Attached) -> Vec<Outgoing> {
        let target = target_info.target_id;
        let mut book = self.book();
        let opener = target_info.opener_id.as_ref().and_then(|opener| book.page(opener));
        if let Some(page) = opener.filter(|page| page.inbox.takes_window(&target)).cloned() {
            let session: Arc<str> = session_id.into();
            let listen = Outgoing::order(Some(&session), &page::EnableParams::default());
            let orders = vec![listen, run(&session)];
            book.windows.insert(session, (target, page));
            return orders;
        }
        let opened_by_a_page = target_info.opener_id.is_some();
        let can_be_ours = book.creating > 0 || book.ours.contains(&target);
        if opened_by_a_page || !can_be_ours {
            tracing::debug!(opened_by_a_page, "a window that nobody asked for is closed");
            return close_held(session_id.into(), &target);
        }
        let session: Arc<str> = session_id.into();
        if let Some(waiting) = book.awaited.remove(&target) {
            let _ = waiting.send(Arc::clone(&session));
        }
        book.sessions.insert(target, session);
        Vec::new()
    }

    /// Of one of our pages, or of a window that one of them opened.
    fn of_session(&self, session: &str, method: &str, params: Value) -> Vec<Outgoing> {
        let book = self.book();
        if let Some(page) = book.pages.get(session).cloned() {
            drop(book);
            return page.event(method, params);
        }
        let window = book.windows.get_key_value(session);
        let window = window.map(|(session, (target, page))| (session.clone(), target.clone(), page.clone()));
        drop(book);
        let Some((session, target, page)) = window else { return Vec::new() };
        page.window_event((&session, &target), method, params)
    }

    /// A file of a page that awaits one is its own. Another is sent away, whosever it is.
    fn download(&self, event: DownloadWillBegin) -> Vec<Outgoing> {
        let book = self.book();
        if let Some(page) = book.pages.values().find(|page| page.inbox.awaits(&event.frame_id)) {
            return page.inbox.will_begin(event);
        }
        let openers = book.windows.values().map(|(_, page)| page);
        let shelves = book.pages.values().chain(openers).map(|page| &page.inbox.shelf);
        let contexts: HashMap<_, _> = shelves.map(|shelf| (shelf.context(), shelf)).collect();
        contexts.values().map(|shelf| Outgoing::order(None, &shelf.cancel(&event.guid))).collect()
    }

    fn ended(&self, params: Value, why: Gone) -> Vec<Outgoing> {
        let Some(TargetNamed { target_id }) = read(params) else { return Vec::new() };
        let mut book = self.book();
        let session = book.sessions.get(&target_id).cloned();
        let page = book.page(&target_id).cloned();
        if why == Gone::Closed {
            book.sessions.remove(&target_id);
            book.ours.remove(&target_id);
            book.awaited.remove(&target_id);
            session.map(|session| book.pages.remove(&session));
        }
        drop(book);
        match (page, why) {
            (Some(page), Gone::Closed) => page.destroyed(),
            (Some(page), why) => page.gone(why),
            (None, _) => {}
        }
        Vec::new()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Our page that is this target.
    fn page(&self, target: &str) -> Option<&Arc<PageCore>> {
        self.pages.get(self.sessions.get(target)?)
    }
}

pub(super) fn close(target: &str) -> Outgoing {
    Outgoing::order(None, &CloseTargetParams::new(target.to_owned()))
}

/// A held window also holds the page that opened it, and only one that runs can be closed.
fn close_held(session: Arc<str>, target: &str) -> Vec<Outgoing> {
    vec![run(&session), close(target)]
}

/// Lets a held window go on.
fn run(session: &Arc<str>) -> Outgoing {
    Outgoing::order(Some(session), &RunIfWaitingForDebuggerParams::default())
}

/// An event that cannot be read is as good as none: what matters shows as a time-out.
pub(super) fn read<T: DeserializeOwned>(params: Value) -> Option<T> {
    serde_json::from_value(params)
        .inspect_err(|error| tracing::warn!(%error, "an event of the browser could not be read"))
        .ok()
}
