//! A call of a port, from the caller to its answer.

use archibald_core::error::StoreError;
use archibald_core::id::{AgentId, OperationId, PendingOrderId};
use archibald_core::lease::Lease;
use archibald_core::operation::NewOperation;
use archibald_core::pending_order::NewPendingOrder;
use archibald_core::record::LocalRow;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::store::PgStore;
use crate::tx::How;
use crate::writes::{Encoded, Found, Writes};

/// What a call has to see, locked, before it is decided.
#[derive(Default)]
pub(crate) struct Needs<'a> {
    /// The agent's lease row.
    pub(crate) agent: bool,
    /// This operation.
    pub(crate) operation: Option<OperationId>,
    /// Who goes before that one on its target.
    pub(crate) blocker: bool,
    /// The operation that the agent may go on with once that one is settled, and who goes before it.
    pub(crate) next: Option<OperationId>,
    /// The agent's event counter: it tells something.
    pub(crate) stream: bool,
    /// What may stand in the way of a new operation.
    pub(crate) accept: Option<&'a NewOperation>,
    /// The new operation is to be leased at once if that may be: the agent's lease row, unless somebody else has locked
    /// it, and whether anything of the agent is unfinished.
    pub(crate) leases_new: bool,
    /// What is where these rows are to be.
    pub(crate) rows: &'a [LocalRow],
    /// This pending order.
    pub(crate) pending_order: Option<PendingOrderId>,
    /// What may stand in the way of a new pending order.
    pub(crate) creates: Option<&'a NewPendingOrder>,
    /// The pending order that the operation submits.
    pub(crate) follows: bool,
}

impl Needs<'_> {
    /// What every call under a lease needs.
    pub(crate) fn of(lease: &Lease) -> Self {
        Self { agent: true, operation: Some(lease.operation), ..Self::default() }
    }
}

impl<'a> Needs<'a> {
    /// What every call needs that accepts an operation.
    pub(crate) fn to_accept(new: &'a NewOperation) -> Self {
        Self { stream: true, accept: Some(new), pending_order: new.pending_order(), ..Self::default() }
    }
}

/// A call that waits for its transaction. It may be decided several times, each time in a new one.
pub(crate) trait Job: Send + Sync {
    fn agent(&self) -> &AgentId;
    fn how(&self) -> How;
    /// When it is given up.
    fn deadline(&self) -> Instant;
    fn needs(&self) -> Needs<'_>;
    /// Decides, and notes the answer. `None` where nothing is to be written.
    fn decide(&mut self, found: Found) -> Option<Encoded>;
    /// Tells the caller, if it is still there: what was decided, or why nothing was done.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

/// What is asked, and how it is decided.
pub(crate) struct Ask<A, T, E> {
    pub(crate) arguments: A,
    pub(crate) needs: fn(&A) -> Needs<'_>,
    pub(crate) decide: Decide<A, T, E>,
}

/// The record's rules, asked: an error is the answer, and nothing is written.
type Decide<A, T, E> = fn(&A, Found) -> Result<(T, Writes), E>;

struct Call<A, T, E> {
    how: How,
    agent: AgentId,
    deadline: Instant,
    ask: Ask<A, T, E>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

/// A call, and where its answer comes.
pub(crate) fn single<A, T, E>(
    how: How,
    agent: &AgentId,
    deadline: Instant,
    ask: Ask<A, T, E>,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    A: Send + Sync + 'static,
    T: Send + Sync + 'static,
    E: From<StoreError> + Send + Sync + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Call { how, agent: agent.clone(), deadline, ask, outcome: None, reply }), answer)
}

impl PgStore {
    /// Has a call carried out with those of others, whatever becomes of the caller.
    pub(crate) async fn call<A, T, E>(&self, how: How, agent: &AgentId, ask: Ask<A, T, E>) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + Sync + 'static,
        E: From<StoreError> + Send + Sync + 'static,
    {
        let (job, answer) = single(how, agent, Instant::now() + self.inner.options.retry_for, ask);
        self.inner.groups.submit(&self.inner, job);
        answer.await.unwrap_or_else(|ended| Err(StoreError::unavailable(how.what(), ended).into()))
    }
}

impl<A, T, E> Job for Call<A, T, E>
where
    A: Send + Sync,
    T: Send + Sync,
    E: From<StoreError> + Send + Sync,
{
    fn agent(&self) -> &AgentId {
        &self.agent
    }

    fn how(&self) -> How {
        self.how
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn needs(&self) -> Needs<'_> {
        (self.ask.needs)(&self.ask.arguments)
    }

    fn decide(&mut self, found: Found) -> Option<Encoded> {
        let (place, now) = (found.place, found.now);
        let decided = (self.ask.decide)(&self.ask.arguments, found)
            .and_then(|(answer, writes)| Ok((answer, writes.encode(&self.agent, place, now)?)));
        let (outcome, writes) = match decided {
            Ok((answer, writes)) => (Ok(answer), Some(writes)),
            Err(error) => (Err(error), None),
        };
        self.outcome = Some(outcome);
        writes
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let undecided = || Err(StoreError::unavailable(self.how.what(), "it was not carried out").into());
        let answer = match failed {
            Some(error) => Err(error.into()),
            None => self.outcome.unwrap_or_else(undecided),
        };
        // A caller that left does not need it.
        self.reply.send(answer).ok();
    }
}
