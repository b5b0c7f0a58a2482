//! What Chromium says, as bytes: for whoever looks for messages that must not do what they do.

use std::path::Path;
use std::sync::Arc;

use chromiumoxide::types::Message;

use super::PageCore;
use super::event::Event;
use super::inbox::Shelf;
use super::link::Link;
use super::script::Evaluated;
use super::targets::Router;

/// A browser with one page that nothing but its messages is known of, and that awaits a file.
#[derive(Debug)]
pub struct Ear {
    router: Router,
    page: Arc<PageCore>,
}

/// What a message came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The event's name, if it was one that can be read.
    pub event: Option<String>,
    /// The commands that answer it, by their names.
    pub orders: Vec<String>,
    /// How many documents the page has shown.
    pub documents: u64,
    /// How many dialogs it has shown.
    pub dialogs: u64,
    /// The name of the file that comes, and whether no more is to be heard of it.
    pub file: Option<(String, bool)>,
    /// How many pages are open.
    pub pages: usize,
}

impl Default for Ear {
    /// The page's session is `S`, and its target `T`.
    fn default() -> Self {
        let (router, session) = (Router::default(), Arc::<str>::from("S"));
        router.creation_begins();
        let attached = r#"{"method":"Target.attachedToTarget","params":{"sessionId":"S","targetInfo":{"targetId":"T"}}}"#;
        if let Ok(Message::Event(event)) = serde_json::from_str::<Message<Event>>(attached) {
            router.event(event);
        }
        router.creation_ends(Some("T"), false);
        let shelf = Shelf::new("C", Path::new("/"));
        let page = Arc::new(PageCore::new(Link::deaf(), "T".into(), session, shelf));
        page.inbox.open();
        router.register(&page);
        Self { router, page }
    }
}

impl Ear {
    /// Takes a message as it comes over the wire.
    pub fn hear(&self, message: &[u8]) -> Heard {
        let (mut event, mut orders) = (None, vec![]);
        match serde_json::from_slice::<Message<Event>>(message) {
            Ok(Message::Event(read)) => {
                event = Some(read.method.clone());
                orders = self.router.event(read).iter().map(|order| order.method().to_owned()).collect();
            }
            Ok(Message::Response(response)) => {
                let answer = response.result.and_then(|it| serde_json::from_value::<Evaluated>(it).ok());
                let _ = answer.map(Evaluated::value);
            }
            Err(_) => {}
        }
        let (documents, dialogs) = (self.page.document().0, self.page.dialogs().count());
        let (file, pages) = (self.page.inbox.file(), self.router.open_pages());
        Heard { event, orders, documents, dialogs, file, pages }
    }
}
