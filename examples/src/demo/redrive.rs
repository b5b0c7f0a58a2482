//! Plays the person: a good order that the ERP refused in a whim is sent again, as an agent would.

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_core::id::OperationId;
use tokio::time::sleep;

use super::api::{Api, CallError};
use super::data::Workload;
use super::error::DemoError;
use super::report::progress;
use super::submit::{Acceptance, Submitted};

/// How often one order is sent again; what is refused more often is refused for good.
const TRIES: u32 = 5;

/// Sends what was refused again until nothing more changes.
///
/// # Errors
/// [`DemoError::Refused`] names the operation.
pub(super) async fn redrive(api: &Api, workload: &Workload, submitted: &Submitted) -> Result<(), DemoError> {
    let good = |one: &Acceptance| one.order.as_ref().is_some_and(|order| !workload.is_refusable(order));
    let mut watched: Vec<Acceptance> = submitted.all().into_iter().filter(good).collect();
    let mut tries: BTreeMap<OperationId, u32> = BTreeMap::new();
    loop {
        let mut still = Vec::new();
        for one in watched {
            if is_open(api, &one, &mut tries, submitted).await? {
                still.push(one);
            }
        }
        if still.is_empty() {
            return Ok(());
        }
        watched = still;
        sleep(Duration::from_millis(200)).await;
    }
}

/// Whether it has to be looked at again; a refused one is sent again first.
async fn is_open(
    api: &Api,
    one: &Acceptance,
    tries: &mut BTreeMap<OperationId, u32>,
    submitted: &Submitted,
) -> Result<bool, DemoError> {
    let state = match api.operation(0, &one.agent, one.operation).await {
        Ok(Some(state)) => state,
        Ok(None) => return Ok(false),
        Err(CallError::Unavailable(_)) => return Ok(true),
        Err(CallError::Refused(status, text)) => return Err(refused(one, status.as_u16(), text)),
    };
    let tried = tries.entry(one.operation).or_default();
    if state.state != "rejected" || *tried == TRIES {
        return Ok(!state.is_final() && state.state != "in_doubt");
    }
    match api.retry(0, &one.agent, one.operation).await {
        Ok(()) => {
            *tried += 1;
            submitted.add_redriven();
            progress(&format!(
                "sending operation {} of {} again: {}",
                one.operation,
                one.agent,
                state.problem().unwrap_or_default()
            ));
            Ok(true)
        }
        // Refused because it is on its way already, or nobody was there: the next look tells.
        Err(_) => Ok(true),
    }
}

fn refused(one: &Acceptance, status: u16, text: String) -> DemoError {
    DemoError::Refused { what: format!("reading operation {} of {}", one.operation, one.agent), status, text }
}
