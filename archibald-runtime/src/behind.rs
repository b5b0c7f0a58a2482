use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, OperationId};
use archibald_core::operation::OperationState;
use archibald_core::pause::Pause;
use archibald_core::port::{OperationStore, Why};
use archibald_core::record::OperationRecord;
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;

/// Tickets that are read in one go.
const PAGE: u32 = 1_000;

/// Why an operation waits that the scheduler does not know of, since too much of its agent goes first: every reason
/// that the store knows. Empty where it does not wait, or nothing goes first and it is merely not heard of yet.
pub(crate) async fn explain(
    store: &dyn OperationStore,
    now: Timestamp,
    agent: &AgentId,
    id: OperationId,
) -> Result<Vec<Why>, StoreError> {
    let Some(record) = store.get(agent, id).await? else { return Ok(vec![]) };
    let OperationState::Available { at, .. } = record.operation.state else { return Ok(vec![]) };
    let before = before(store, agent, &record).await?;
    let operations = before.iter().filter(|ticket| ticket.at <= now).count() as u64;
    if operations == 0 {
        return Ok(vec![]);
    }
    let paused = store.paused().await?.into_iter();
    let paused = paused.filter(|pause| pause.scope.is_about(agent, &record.operation.kind));
    let leads = |ticket: &&Ticket| ticket.target.is_some() && ticket.target == record.operation.target;
    let earlier = before.iter().filter(|ticket| ticket.position < record.operation.position).find(leads);
    let mut why: Vec<Why> = paused.map(|Pause { scope, why, .. }| Why::Paused { scope, why }).collect();
    why.extend(earlier.map(|ticket| Why::TargetBlocked { by: ticket.operation }));
    why.extend((at > now).then_some(Why::NotDue { at }));
    why.push(Why::Behind { operations });
    Ok(why)
}

/// What of the agent waits and goes before an operation.
async fn before(
    store: &dyn OperationStore,
    agent: &AgentId,
    record: &OperationRecord,
) -> Result<Vec<Ticket>, StoreError> {
    let place = (record.operation.class, record.operation.position);
    let mut before: Vec<Ticket> = vec![];
    loop {
        let page = store.waiting(agent, before.last().map(Ticket::place), PAGE).await?;
        let is_last = page.len() < PAGE as usize || page.last().is_none_or(|last| last.place() >= place);
        before.extend(page.into_iter().take_while(|ticket| ticket.place() < place));
        if is_last {
            return Ok(before);
        }
    }
}
