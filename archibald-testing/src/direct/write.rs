//! The way of every change: typed, through the gate, sent once, and judged by what came back.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, Intent, NotSent};
use archibald_core::error::FenceError;
use archibald_core::port::{ClientError, CommitGate, GateRefused};
use async_trait::async_trait;
use tokio::time::{timeout, timeout_at};

use super::page::Page;
use super::tab::Tab;
use super::wire::{Answer, Asked, exchange, in_full};

/// A change of the ERP: how it is typed, and how its answer is read.
#[async_trait]
pub(super) trait Write: Send + Sync {
    /// What the answering page is read back as.
    type Found: Send;

    /// Types it, up to the press that is not sent yet.
    async fn type_in(&mut self, tab: &Tab) -> Result<Asked, Stop>;

    /// Whether the page is still the form that was pressed, with nothing changed at the ERP.
    fn is_form(&self, page: &Page) -> bool;

    /// Whether a page that says that something was done says so of what was pressed.
    fn is_written(&self, page: &Page) -> bool;

    async fn read_back(&self, tab: &Tab, page: Page) -> Result<Self::Found, ClientError>;

    /// Where what was read back is not what was wanted.
    fn differences(&self, found: &Self::Found) -> Vec<String>;
}

/// Why nothing is pressed.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be: trying again does not help.
    Refused(String),
    Failed(ClientError),
}

/// Types a change, lets it through the gate and reads the answer back.
pub(super) async fn act<W: Write>(
    tab: &Tab,
    mut write: W,
    intent: Intent,
    gate: Arc<dyn CommitGate>,
) -> ActOutcome<W::Found> {
    let budget = intent.budget();
    let asked = match timeout(budget, write.type_in(tab)).await {
        Ok(Ok(asked)) => asked,
        Ok(Err(Stop::Refused(text))) => return ActOutcome::Refused(text),
        Ok(Err(Stop::Failed(error))) => return ActOutcome::NotSent(not_sent(error)),
        Err(_) => {
            return ActOutcome::NotSent(NotSent::Other(format!("typing took longer than {budget:?}")));
        }
    };
    if tab.time_left().is_err() {
        return ActOutcome::NotSent(NotSent::LeaseLost);
    }
    match release(tab, asked, intent, gate).await {
        Released::Refused(refused) => ActOutcome::NotSent(closed(&refused)),
        Released::Lost(evidence) => ActOutcome::Ambiguous { evidence, answered: false },
        Released::Answered(answer) => {
            tab.show(&answer);
            judge(tab, &write, &answer).await
        }
    }
}

/// What became of a request at the gate.
#[derive(Debug)]
enum Released {
    /// The gate did not open.
    Refused(GateRefused),
    /// It opened, and no whole answer came: no connection, a broken one, or too late.
    Lost(String),
    Answered(Answer),
}

/// Opens the gate and sends the request, once, in a task that nothing cancels.
async fn release(tab: &Tab, asked: Asked, intent: Intent, gate: Arc<dyn CommitGate>) -> Released {
    let jar = Arc::clone(&tab.jar);
    let sending = tab.site.open.spawn(async move {
        let permit = match gate.open(intent).await {
            Ok(permit) => permit,
            Err(refused) => return Released::Refused(refused),
        };
        match timeout_at(permit.until().into(), exchange(&asked, &jar, Some(permit.until()))).await {
            Ok(Ok(answer)) => Released::Answered(answer),
            Ok(Err(error)) => Released::Lost(format!("{asked}: {}", in_full(&error))),
            Err(_) => Released::Lost(format!("{asked}: no whole answer in time")),
        }
    });
    sending.await.unwrap_or_else(|error| Released::Lost(format!("the task that sends it: {error}")))
}

/// What a whole answer says.
async fn judge<W: Write>(tab: &Tab, write: &W, answer: &Answer) -> ActOutcome<W::Found> {
    let unclear = |evidence| ActOutcome::Ambiguous { evidence, answered: true };
    let page = match tab.recognise(answer) {
        Ok(page) => page,
        Err(error) => return unclear(format!("it was answered, but {error}")),
    };
    match (page.has("Message"), page.refusal()) {
        (false, Some(text)) if write.is_form(&page) => return ActOutcome::Refused(text),
        (true, None) if write.is_written(&page) => {}
        _ => return unclear("the answering page says neither that it was done nor why not".to_owned()),
    }
    match write.read_back(tab, page).await {
        Ok(found) => compare(write, found),
        Err(error) => unclear(format!("it was done and cannot be read back: {error}")),
    }
}

fn compare<W: Write>(write: &W, observed: W::Found) -> ActOutcome<W::Found> {
    let differences = write.differences(&observed);
    if differences.is_empty() {
        ActOutcome::Done(observed)
    } else {
        ActOutcome::Differs { observed, differences }
    }
}

fn not_sent(error: ClientError) -> NotSent {
    match error {
        ClientError::SessionExpired => NotSent::SessionExpired,
        ClientError::LeaseLost(_) => NotSent::LeaseLost,
        other => NotSent::Other(other.to_string()),
    }
}

fn closed(refused: &GateRefused) -> NotSent {
    match refused.0 {
        FenceError::Superseded => NotSent::LeaseLost,
        _ => NotSent::Other(refused.to_string()),
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Failed(error)
    }
}
