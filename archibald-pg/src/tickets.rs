//! What waits, of several agents who are asked for at once, in one statement.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::error::StoreError;
use archibald_core::id::AgentId;
use archibald_core::operation::Class;
use archibald_core::scheduler::Ticket;
use sqlx::Row;
use tokio::sync::oneshot;

use crate::codec::from_json;
use crate::read::place_after;
use crate::store::Inner;
use crate::tx::TxError;

/// Agents that are read together at most.
const BATCH: usize = 256;

/// When a connection counts as lost on which nothing moves.
const SILENCE: Duration = Duration::from_secs(15);

/// Who is asked for. While one statement runs the next ones gather.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<State>);

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    is_reading: bool,
}

struct Asked {
    agent: AgentId,
    after: Option<(Class, u64)>,
    limit: u32,
    reply: oneshot::Sender<Vec<Ticket>>,
}

impl Tickets {
    /// What of the agent waits, with what others ask; `None` where it could not be read so. Cancel safe: it
    /// only reads.
    pub(crate) async fn of(
        &self,
        inner: &Arc<Inner>,
        agent: AgentId,
        after: Option<(Class, u64)>,
        limit: u32,
    ) -> Option<Vec<Ticket>> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.state();
            state.asked.push(Asked { agent, after, limit, reply });
            if !mem::replace(&mut state.is_reading, true) {
                tokio::spawn(read_all(inner.clone()));
            }
        }
        answer.await.ok()
    }

    fn take(&self) -> Vec<Asked> {
        let mut state = self.state();
        let count = state.asked.len().min(BATCH);
        state.is_reading = count > 0;
        state.asked.drain(..count).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_all(inner: Arc<Inner>) {
    loop {
        let asked = inner.tickets.take();
        if asked.is_empty() {
            return;
        }
        // In a task of its own: a panic ends this statement and not those that follow.
        match tokio::spawn(read(inner.clone(), asked)).await {
            Ok(Ok(())) => {}
            Ok(Err(TxError::Database(error))) => tracing::debug!(%error, "tickets are read one by one"),
            Ok(Err(TxError::Store(error))) => tracing::debug!(%error, "tickets are read one by one"),
            Err(error) => tracing::error!(%error, "reading tickets ended badly"),
        }
    }
}

/// Who gets no answer asks by himself.
async fn read(inner: Arc<Inner>, asked: Vec<Asked>) -> Result<(), TxError> {
    let (are_background, positions): (Vec<_>, Vec<_>) =
        asked.iter().map(|asked| place_after(asked.after)).unzip();
    let query = inner
        .sql
        .tickets_of_agents
        .query()
        .bind(asked.iter().map(|asked| asked.agent.to_string()).collect::<Vec<_>>())
        .bind(are_background)
        .bind(positions)
        .bind(asked.iter().map(|asked| i64::from(asked.limit.max(1))).collect::<Vec<_>>());
    let mut found: Vec<Vec<Ticket>> = asked.iter().map(|_| vec![]).collect();
    for row in inner.sql.fetch_all(inner.acquire().await?, SILENCE, query).await? {
        let number = usize::try_from(row.try_get::<i64, _>("n")? - 1);
        let tickets = number.ok().and_then(|number| found.get_mut(number));
        let missing = || StoreError::Damaged { what: "a ticket that nobody asked for".into(), cause: None };
        tickets.ok_or_else(missing)?.push(from_json("a ticket", row.try_get("ticket")?)?);
    }
    for (asked, tickets) in asked.into_iter().zip(found) {
        // A caller that left does not need it.
        asked.reply.send(tickets).ok();
    }
    Ok(())
}
