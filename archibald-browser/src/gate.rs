//! The commit gate: the one place through which a request that changes the ERP leaves.
//!
//! A click and the request that comes of it are two things: Chromium by itself sends a POST again when a
//! reused connection closes before the answer's first byte, and then reports success. Holding the request
//! by the debugging protocol is not enough: when the debugger goes away, because this process was killed
//! say, Chromium lets a held request go, and the journal would prove that nothing was sent. So the gate is
//! the only road there is: the context's proxy, in this process, one per context. Chromium cannot reach
//! the ERP around it, and when we are gone so is the road.
//!
//! What a request does is told by its page and its control, both named in the page map ([`GateRules`]):
//! - harmless: it is passed on;
//! - a write that was armed for: the fence is asked; on its permission the request is sent exactly once,
//!   on a fresh connection, without retries, in a task that nothing cancels; what comes back is handed to
//!   the page;
//! - a write that nobody armed for, a second one, or anything unknown: refused and reported.
//!
//! An ERP at an https address is no different: the gate is the other end of Chromium's TLS, by a key of its own
//! ([`Tls`]), reads what comes out, and speaks TLS to the ERP itself, believing nobody but who proves to be it.
//!
//! Answers are passed on whole or not at all: a page that broke off half way would read like a list that
//! is short.

mod road;
mod rules;
mod send;
mod tls;
mod traffic;

pub(crate) use road::SAYS;
pub use rules::{GateRules, PageRules, RuleError};
pub use tls::{Tls, TlsError};
pub use traffic::Passed;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use archibald_core::port::GateRefused;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use url::Url;

use self::road::Road;
use self::rules::Kind;
use self::send::{Delivery, Outbound};
use self::tls::Upstream;
use self::traffic::Traffic;
use crate::ring::Place;

const REMEMBERED: usize = 20;

/// Asks the fence: on `Ok` the release is committed, and the request must be answered within the time.
pub type Fence = Box<dyn FnOnce() -> BoxFuture<'static, Result<Instant, GateRefused>> + Send>;

/// Where the outcome is told, once.
type Told = watch::Sender<Option<Arc<SendOutcome>>>;

/// What became of a write that was armed for.
#[derive(Debug)]
pub enum SendOutcome {
    /// The fence did not open. Nothing was sent.
    Fenced(GateRefused),
    /// Not a byte was sent.
    NotSent(String),
    /// It was sent and answered whole.
    Answered {
        /// The HTTP status.
        status: u16,
    },
    /// It was sent and not answered whole: it may have happened.
    Lost(String),
}

/// A request that the gate did not let through. Nothing of it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused a request of page {page}, control {control}: {why}")]
pub struct GateRefusal {
    /// The page's name in the page map, or its address when the map does not have it.
    pub page: String,
    /// The control, or the body's fields when none is known.
    pub control: String,
    /// Why.
    pub why: Why,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The page map names neither a write nor a harmless control.
    #[error("the page map does not know it")]
    Unknown,
    /// It goes to another site than the ERP.
    #[error("it is not the ERP's")]
    Foreign,
    /// It changes the ERP, and nobody had leave to.
    #[error("it changes the ERP, and there is no intent for it")]
    NotArmed,
    /// It changes the ERP a second time under one permit.
    #[error("its one permit is used")]
    Second,
}

/// The gate of one context. Dropping it closes the road; a write that is under way goes on to its end.
#[derive(Debug)]
pub struct Gate {
    keeper: Arc<Keeper>,
    road: Road,
}

impl Gate {
    /// A closed gate on a free port of the loopback interface.
    ///
    /// # Errors
    /// The system's, when no port can be had; and where the ERP is at an https address, but the rules do not
    /// say how to speak TLS.
    pub async fn build(rules: Arc<GateRules>) -> io::Result<Self> {
        let secure = rules.tls().map(|tls| Secure { acceptor: tls.acceptor(), upstream: tls.upstream() });
        if rules.is_https() && secure.is_none() {
            let why = "the ERP is at an https address: GateRules::over_tls has to say how to speak TLS";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let keeper = Arc::new(Keeper { rules, secure, state: Mutex::default() });
        let road = Road::open(Arc::clone(&keeper)).await?;
        Ok(Self { keeper, road })
    }

    /// Arms it for one request of the named write (`page.control`, as in the page map). Disarmed when the
    /// value is dropped: a request that was let through by then goes on to its end.
    pub fn arm(&self, write: &str, fence: Fence) -> ArmedGate {
        let (outcome, receiver) = watch::channel(None);
        self.keeper.state().armed = Some(Armed { write: write.into(), fence: Some(fence), outcome });
        ArmedGate { keeper: Arc::clone(&self.keeper), outcome: receiver }
    }

    /// What was refused since the last call, oldest first.
    pub fn take_refusals(&self) -> Vec<GateRefusal> {
        self.keeper.state().refusals.drain(..).collect()
    }

    /// The last requests that came to it, oldest first: who asked what and how it went.
    pub fn requests(&self) -> Vec<Passed> {
        self.keeper.state().traffic.last()
    }

    /// An address as it may be shown: of its query what the page map says that names a thing, and no session.
    pub fn without_secrets(&self, url: &str) -> String {
        self.keeper.rules.without_secrets(url)
    }

    /// Where Chromium finds it.
    pub fn address(&self) -> SocketAddr {
        self.road.address()
    }
}

/// A gate that lets one write through, until it is dropped.
#[derive(Debug)]
#[must_use = "the gate is disarmed when this is dropped"]
pub struct ArmedGate {
    keeper: Arc<Keeper>,
    outcome: watch::Receiver<Option<Arc<SendOutcome>>>,
}

impl ArmedGate {
    /// Disarms the gate and says what became of the write: `None` if no request came to it, and none will
    /// get through any more. Waits for a request that is under way; that wait is bounded by its permit.
    ///
    /// # Cancel safety
    /// Cancel safe: the request goes on by itself.
    pub async fn outcome(mut self) -> Option<Arc<SendOutcome>> {
        let unused = self.keeper.state().armed.take().is_none_or(|armed| armed.fence.is_some());
        if unused {
            return None;
        }
        let done = self.outcome.wait_for(Option::is_some).await;
        // A task that ends without a word has panicked: maybe after the fence, so it may have happened.
        let ended = || Arc::new(SendOutcome::Lost("the task that sent it failed".into()));
        Some(done.ok().and_then(|outcome| outcome.clone()).unwrap_or_else(ended))
    }
}

impl Drop for ArmedGate {
    fn drop(&mut self) {
        self.keeper.state().armed = None;
    }
}

/// Decides; shared by the gate and its road.
#[derive(Debug)]
struct Keeper {
    rules: Arc<GateRules>,
    /// Where the ERP is at an https address.
    secure: Option<Secure>,
    state: Mutex<State>,
}

/// The gate's two ends of TLS.
struct Secure {
    acceptor: TlsAcceptor,
    upstream: Upstream,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Armed>,
    refusals: VecDeque<GateRefusal>,
    traffic: Traffic,
}

struct Armed {
    write: String,
    /// Taken by the first request.
    fence: Option<Fence>,
    outcome: Told,
}

/// What the road does with a request.
enum Passage {
    PassOn,
    Commit(Fence, Told),
    Refuse(GateRefusal),
}

impl Keeper {
    fn decide(&self, method: &str, url: &str, content_type: &str, body: &[u8]) -> (Passage, Place) {
        let kind = self.rules.kind(method, url, content_type, body);
        let what = match &kind {
            Kind::Harmless => "harmless".to_owned(),
            Kind::Write { write, .. } => format!("write {write}"),
            Kind::Unknown { control, .. } => format!("unknown: {control}"),
            Kind::Foreign { .. } => "foreign".to_owned(),
        };
        let path = self.rules.without_secrets(url);
        let place = self.state().traffic.begin(method, path, what);
        (self.passage(kind), place)
    }

    fn passage(&self, kind: Kind) -> Passage {
        let refusal = match kind {
            Kind::Harmless => return Passage::PassOn,
            Kind::Unknown { page, control } => GateRefusal { page, control, why: Why::Unknown },
            Kind::Foreign { page } => GateRefusal { page, control: "any".into(), why: Why::Foreign },
            Kind::Write { page, control, write } => match self.take_fence(&write) {
                Ok((fence, outcome)) => return Passage::Commit(fence, outcome),
                Err(why) => GateRefusal { page, control, why },
            },
        };
        self.refuse(&refusal);
        Passage::Refuse(refusal)
    }

    /// Whether it is the first of its sort that is remembered. What pages load from elsewhere they ask for again and
    /// again: it is remembered once, and gives way to what concerns the ERP.
    fn refuse(&self, refusal: &GateRefusal) -> bool {
        let is_foreign = |refusal: &GateRefusal| refusal.why == Why::Foreign;
        let mut state = self.state();
        if is_foreign(refusal) && state.refusals.contains(refusal) {
            return false;
        }
        tracing::warn!(page = refusal.page, control = refusal.control, why = %refusal.why, "gate refused");
        if state.refusals.len() == REMEMBERED {
            let oldest = state.refusals.iter().position(is_foreign).unwrap_or_default();
            state.refusals.remove(oldest);
        }
        state.refusals.push_back(refusal.clone());
        true
    }

    /// A tunnel to anywhere but the ERP; there is none without TLS.
    fn refuse_tunnel(&self, to: &str) -> GateRefusal {
        let page = format!("https://{to}/");
        let page = Url::parse(&page).map_or(page, |url| url.to_string());
        let path = self.rules.without_secrets(&page);
        let refusal = GateRefusal { page, control: "any".into(), why: Why::Foreign };
        if self.refuse(&refusal) {
            let place = self.state().traffic.begin("CONNECT", path, "foreign".to_owned());
            self.passed(place, format!("refused: {}", refusal.why));
        }
        refusal
    }

    /// How a request went that was decided upon.
    fn passed(&self, place: Place, how: String) {
        self.state().traffic.end(place, how);
    }

    fn take_fence(&self, write: &str) -> Result<(Fence, Told), Why> {
        let mut state = self.state();
        let armed = state.armed.as_mut().filter(|armed| armed.write == write).ok_or(Why::NotArmed)?;
        let fence = armed.fence.take().ok_or(Why::Second)?;
        Ok((fence, armed.outcome.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the fence and sends the write. To be run to its end, in a task of its own.
async fn commit(outbound: Outbound, fence: Fence, told: Told) -> Delivery {
    let (outcome, delivery) = match fence().await {
        Err(refused) => {
            let why = refused.to_string();
            (SendOutcome::Fenced(refused), Delivery::NotSent(why))
        }
        Ok(until) => {
            let delivery = send::deliver(outbound.only_whole(), until).await;
            (SendOutcome::of(&delivery), delivery)
        }
    };
    // Told before the page is, so that whoever sees the page change can ask for it.
    told.send_replace(Some(Arc::new(outcome)));
    delivery
}

impl SendOutcome {
    fn of(delivery: &Delivery) -> Self {
        match delivery {
            Delivery::NotSent(why) => Self::NotSent(why.clone()),
            Delivery::Lost(why) => Self::Lost(why.clone()),
            Delivery::Answered(answer) => Self::Answered { status: answer.status().as_u16() },
        }
    }
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Armed({}, used: {})", self.write, self.fence.is_none())
    }
}
