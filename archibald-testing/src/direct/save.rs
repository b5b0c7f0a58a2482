//! The save: through the gate, sent once, and judged by what came back.

use std::sync::Arc;

use archibald_core::effect::{ActOutcome, Intent, NotSent};
use archibald_core::erp::{Order, WantedOrder, differences};
use archibald_core::error::FenceError;
use archibald_core::port::{ClientError, CommitGate, GateRefused};
use tokio::time::timeout;

use super::order::{self, Typed};
use super::page::Page;
use super::tab::Tab;
use super::wire::{Answer, Asked, exchange, in_full};

/// Types an order, saves it through the gate and reads it back.
pub(super) async fn create(
    tab: &Tab,
    wanted: &WantedOrder,
    reference: &str,
    intent: Intent,
    gate: Arc<dyn CommitGate>,
) -> ActOutcome<Order> {
    let budget = intent.budget();
    let asked = match timeout(budget, order::type_in(tab, wanted, reference)).await {
        Ok(Ok(Typed::Whole(asked))) => asked,
        Ok(Ok(Typed::Refused(text))) => return ActOutcome::Refused(text),
        Ok(Err(error)) => return ActOutcome::NotSent(not_sent(error)),
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
            judge(tab, &answer, wanted, reference).await
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
        match timeout(permit.budget, exchange(&asked, &jar)).await {
            Ok(Ok(answer)) => Released::Answered(answer),
            Ok(Err(error)) => Released::Lost(format!("{asked}: {}", in_full(&error))),
            Err(_) => Released::Lost(format!("{asked}: no whole answer within {:?}", permit.budget)),
        }
    });
    sending.await.unwrap_or_else(|error| Released::Lost(format!("the task that sends it: {error}")))
}

/// What a whole answer to a save says.
async fn judge(tab: &Tab, answer: &Answer, wanted: &WantedOrder, reference: &str) -> ActOutcome<Order> {
    let unclear = |evidence| ActOutcome::Ambiguous { evidence, answered: true };
    let page = match tab.recognise(answer) {
        Ok(page) => page,
        Err(error) => return unclear(format!("the save was answered, but {error}")),
    };
    if let Some(text) = refusal(&page) {
        return ActOutcome::Refused(text);
    }
    if page.text("Message").is_none() || page.text("Number").is_none_or(str::is_empty) {
        return unclear("the answering page has neither a number nor a validation text".to_owned());
    }
    match order::read(tab, page).await {
        Ok(observed) => compare(observed, wanted, reference),
        Err(error) => unclear(format!("the saved order cannot be read back: {error}")),
    }
}

/// The same form with its validation text and no number: nothing was saved.
fn refusal(page: &Page) -> Option<String> {
    let is_unsaved = page.has("Save") && page.text("Number") == Some("");
    page.refusal().filter(|_| is_unsaved)
}

fn compare(observed: Order, wanted: &WantedOrder, reference: &str) -> ActOutcome<Order> {
    let differences = differences(wanted, reference, &observed);
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
