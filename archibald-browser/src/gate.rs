//! The commit gate: the one place through which a request that changes the ERP leaves.
//!
//! A click and the request that comes of it are two things: Chromium by itself sends a POST again when a
//! reused connection closes before the answer's first byte, and then reports success. So every request
//! that can carry a POST is held. What it does is told by its page and its control, both named in the page
//! map ([`GateRules`]):
//! - harmless: it goes on;
//! - a write that was armed for: the fence is asked; on its permission the request is sent exactly once,
//!   by our own client on a fresh connection, without retries, in a task that nothing cancels; what comes
//!   back is handed to the page;
//! - a write that nobody armed for, a second one, or anything unknown: refused and reported.

mod paused;
mod rules;
mod send;

pub use rules::{GateRules, PageRules, RuleError};

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::port::GateRefused;
use bytes::Bytes;
use chromiumoxide::cdp::browser_protocol::fetch::{
    ContinueRequestParams, FailRequestParams, FulfillRequestParams,
};
use chromiumoxide::cdp::browser_protocol::network::ErrorReason;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::watch;

use self::paused::Paused;
use self::rules::Kind;
use self::send::{Answer, Delivery, Outbound};
use crate::driver::PageCore;

const REMEMBERED: usize = 20;

/// Asks the fence: on `Ok` the release is committed, and the request must be answered within the time.
pub type Fence = Box<dyn FnOnce() -> BoxFuture<'static, Result<Duration, GateRefused>> + Send>;

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
    /// It changes the ERP, and nobody had leave to.
    #[error("it changes the ERP, and there is no intent for it")]
    NotArmed,
    /// It changes the ERP a second time under one permit.
    #[error("its one permit is used")]
    Second,
}

/// The gate of one page.
#[derive(Debug)]
pub struct Gate {
    rules: Arc<GateRules>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Armed>,
    refusals: VecDeque<GateRefusal>,
}

struct Armed {
    write: String,
    /// Taken by the first request.
    fence: Option<Fence>,
    outcome: Told,
}

impl Gate {
    /// A closed gate.
    pub fn new(rules: Arc<GateRules>) -> Self {
        Self { rules, state: Mutex::default() }
    }

    /// Arms it for one request of the named write (`page.control`, as in the page map). Disarmed when the
    /// value is dropped: a request that was let through by then goes on to its end.
    pub fn arm(self: &Arc<Self>, write: &str, fence: Fence) -> ArmedGate {
        let (outcome, receiver) = watch::channel(None);
        self.state().armed = Some(Armed { write: write.into(), fence: Some(fence), outcome });
        ArmedGate { gate: Arc::clone(self), outcome: receiver }
    }

    /// What was refused since the last call, oldest first.
    pub fn take_refusals(&self) -> Vec<GateRefusal> {
        self.state().refusals.drain(..).collect()
    }

    /// Decides about a held request. Never waits.
    pub(crate) fn paused(self: &Arc<Self>, page: &Arc<PageCore>, params: Value) {
        let Some(paused) = Paused::read(params) else { return };
        match self.rules.kind(&paused.method, &paused.url, paused.content_type(), paused.body.as_deref()) {
            Kind::Harmless => page.order(&ContinueRequestParams::new(paused.id)),
            Kind::Unknown { page: name, control } => {
                self.refuse(page, paused.id, GateRefusal { page: name, control, why: Why::Unknown });
            }
            Kind::Write { page: name, control, write } => match self.take_fence(&write) {
                Ok((fence, outcome)) => {
                    tokio::spawn(commit(Arc::clone(page), paused, fence, outcome));
                }
                Err(why) => self.refuse(page, paused.id, GateRefusal { page: name, control, why }),
            },
        }
    }

    fn take_fence(&self, write: &str) -> Result<(Fence, Told), Why> {
        let mut state = self.state();
        let armed = state.armed.as_mut().filter(|armed| armed.write == write).ok_or(Why::NotArmed)?;
        let fence = armed.fence.take().ok_or(Why::Second)?;
        Ok((fence, armed.outcome.clone()))
    }

    fn refuse(&self, page: &PageCore, request: String, refusal: GateRefusal) {
        tracing::warn!(page = refusal.page, control = refusal.control, why = %refusal.why, "gate refused");
        page.order(&FailRequestParams::new(request, ErrorReason::BlockedByClient));
        let mut state = self.state();
        if state.refusals.len() == REMEMBERED {
            state.refusals.pop_front();
        }
        state.refusals.push_back(refusal);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gate that lets one write through, until it is dropped.
#[derive(Debug)]
#[must_use = "the gate is disarmed when this is dropped"]
pub struct ArmedGate {
    gate: Arc<Gate>,
    outcome: watch::Receiver<Option<Arc<SendOutcome>>>,
}

impl ArmedGate {
    /// Disarms the gate and says what became of the write: `None` if no request came to it, and none will
    /// get through any more. Waits for a request that is under way; that wait is bounded by its permit.
    ///
    /// # Cancel safety
    /// Cancel safe: the request goes on by itself.
    pub async fn outcome(mut self) -> Option<Arc<SendOutcome>> {
        let unused = self.gate.state().armed.take().is_none_or(|armed| armed.fence.is_some());
        if unused {
            return None;
        }
        let done = self.outcome.wait_for(Option::is_some).await;
        Some(match done {
            Ok(outcome) => outcome.clone().unwrap_or_else(|| Arc::new(ended())),
            Err(_) => Arc::new(ended()),
        })
    }
}

impl Drop for ArmedGate {
    fn drop(&mut self) {
        self.gate.state().armed = None;
    }
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Armed({}, used: {})", self.write, self.fence.is_none())
    }
}

/// A task that ends without a word has panicked: after the fence, so anything may have happened.
fn ended() -> SendOutcome {
    SendOutcome::Lost("the task that sent it failed".into())
}

/// Sends one held write. Runs in a task of its own, to its end.
async fn commit(page: Arc<PageCore>, paused: Paused, fence: Fence, outcome: Told) {
    let id = paused.id.clone();
    let delivery = match outbound(&page, paused).await {
        Err(why) => Err(SendOutcome::NotSent(why)),
        Ok(outbound) => match fence().await {
            Err(refused) => Err(SendOutcome::Fenced(refused)),
            Ok(budget) => Ok(send::deliver(outbound, budget).await),
        },
    };
    // The outcome is told before the page is, so that whoever sees the page change can ask for it.
    let (said, answer) = match delivery {
        Err(said) => (said, None),
        Ok(Delivery::NotSent(why)) => (SendOutcome::NotSent(why), None),
        Ok(Delivery::Lost(why)) => (SendOutcome::Lost(why), None),
        Ok(Delivery::Answered(answer)) => (SendOutcome::Answered { status: answer.status }, Some(answer)),
    };
    outcome.send_replace(Some(Arc::new(said)));
    match answer {
        Some(answer) => page.order(&fulfilled(id, answer)),
        None => page.order(&FailRequestParams::new(id, ErrorReason::ConnectionFailed)),
    }
}

async fn outbound(page: &PageCore, paused: Paused) -> Result<Outbound, String> {
    let cookies = paused::cookies(page, &paused.url).await.map_err(|error| error.to_string())?;
    Outbound::new(paused, &cookies)
}

fn fulfilled(id: String, answer: Answer) -> FulfillRequestParams {
    let mut fulfilled = FulfillRequestParams::new(id, i64::from(answer.status));
    fulfilled.binary_response_headers = Some(base64(&answer.header_block()).into());
    fulfilled.body = Some(base64(&answer.body).into());
    fulfilled
}

fn base64(bytes: &Bytes) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
