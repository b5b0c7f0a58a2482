//! Calls within a transaction of the caller's.

use archibald_core::error::{EnqueueError, FenceError, StoreError};
use archibald_core::id::AgentId;
use archibald_core::lease::Lease;
use archibald_core::operation::NewOperation;
use archibald_core::port::Enqueued;
use archibald_core::record::{OperationRecord, Settlement};
use sqlx::{Executor, PgTransaction};
use tokio::time::Instant;

use crate::batch::{Locks, carry_out};
use crate::call::{Ask, Job, single};
use crate::operations::{enqueuing, settling};
use crate::store::PgStore;
use crate::tx::{How, Stop, as_store_error};

impl PgStore {
    /// As [`OperationStore::enqueue`](archibald_core::port::OperationStore::enqueue), in a transaction that the
    /// caller has open in the store's database, on any connection: the operation is there if that is
    /// committed, and was never there if not.
    ///
    /// Say [`committed`](Self::committed) afterwards. Until the transaction ends the agent's event counter is
    /// locked: whatever tells something of the agent waits for it and holds one of the store's connections
    /// meanwhile, so keep it short. Leases are renewed all the same, and other agents go on. In one transaction
    /// settle before you enqueue, and take agents in the order of their names: who does otherwise may be chosen
    /// by the database to end a deadlock.
    ///
    /// ```no_run
    /// # use archibald_core::operation::NewOperation;
    /// # async fn example(store: archibald_pg::PgStore, new: NewOperation, pool: sqlx::PgPool)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// let agent = new.agent.clone();
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("update drafts set submitted = true where id = 7").execute(&mut *tx).await?;
    /// let accepted = store.enqueue_within(&mut tx, new).await?;
    /// tx.commit().await?;
    /// store.committed(&agent);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`EnqueueError`]; where it refuses the operation the transaction can be gone on with, and where it is of
    /// the store it has to be rolled back.
    ///
    /// # Cancel safety
    /// Not cancel safe: what is dropped half-way may be done when the transaction is committed.
    pub async fn enqueue_within(
        &self,
        transaction: &mut PgTransaction<'_>,
        new: NewOperation,
    ) -> Result<Enqueued, EnqueueError> {
        let agent = new.agent.clone();
        self.within(transaction, How::once("accepting an operation"), &agent, enqueuing(new, false)?).await
    }

    /// As [`OperationStore::settle`](archibald_core::port::OperationStore::settle), in a transaction that the
    /// caller has open in the store's database: what it writes of its own and the end of the attempt are
    /// committed together, and neither is where the lease is over.
    ///
    /// Say [`committed`](Self::committed) afterwards. The agent's lease row is locked until the transaction
    /// ends.
    ///
    /// # Errors
    /// [`FenceError`]; where it is of the store the transaction has to be rolled back.
    ///
    /// # Cancel safety
    /// As of [`enqueue_within`](Self::enqueue_within).
    pub async fn settle_within(
        &self,
        transaction: &mut PgTransaction<'_>,
        lease: &Lease,
        settlement: Settlement,
    ) -> Result<OperationRecord, FenceError> {
        let ask = settling(lease.clone(), settlement);
        self.within(transaction, How::once("settling an attempt"), &lease.agent, ask).await
    }

    /// Tells workers and devices, here and in the other processes, of what a transaction of the caller's has
    /// committed of an agent. Where that is left out a worker finds it with a later sweep.
    pub fn committed(&self, agent: &AgentId) {
        self.inner.hub.committed(agent, true);
    }

    async fn within<A, T, E>(
        &self,
        transaction: &mut PgTransaction<'_>,
        how: How,
        agent: &AgentId,
        ask: Ask<A, T, E>,
    ) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + Sync + 'static,
        E: From<StoreError> + Send + Sync + 'static,
    {
        let (job, answer) = single(how, agent, Instant::now(), ask);
        let mut jobs = [job];
        let done = self.carry_out(transaction, &mut jobs).await;
        let failed = match done {
            Ok(_) => None,
            Err(Stop::Said(error)) => Some(error),
            Err(Stop::Database(error) | Stop::Unknown(error)) => Some(as_store_error(how.what(), error)),
        };
        let [job] = jobs;
        job.answer(failed);
        answer.await.unwrap_or_else(|ended| Err(StoreError::unavailable(how.what(), ended).into()))
    }

    async fn carry_out(
        &self,
        transaction: &mut PgTransaction<'_>,
        jobs: &mut [Box<dyn Job>],
    ) -> Result<(), Stop<StoreError>> {
        if !self.inner.is_durable {
            transaction.execute("set local synchronous_commit = on").await?;
        }
        carry_out(&self.inner.sql, transaction, Locks::Waited, jobs, false).await.map(drop)
    }
}
