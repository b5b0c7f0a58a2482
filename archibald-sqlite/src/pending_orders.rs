use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::event::{NewEvent, Origin};
use archibald_core::id::{AgentId, PendingOrderId};
use archibald_core::operation::NewOperation;
use archibald_core::pending_order::{
    ChangedSince, NewPendingOrder, OPEN_LIMIT, PendingOrder, PendingOrderEdit, PendingOrderError,
};
use archibald_core::port::{AdminError, CreatedPendingOrder, Enqueued, PendingOrderPage, PendingOrderStore};
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use sqlx::SqliteConnection;

use crate::code::{column_u64, doc, failed, optional_doc, to_i64, written};
use crate::operations::enqueue;
use crate::tx::Tx;
use crate::{SqliteStore, sql};

#[async_trait]
impl PendingOrderStore for SqliteStore {
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
        self.write(move |tx| Box::pin(create(tx, new))).await
    }

    async fn find(&self, agent: &AgentId, id: PendingOrderId) -> Result<Option<PendingOrder>, StoreError> {
        self.reader.pending_order(agent, id).await
    }

    async fn page(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError> {
        self.reader.pending_orders(agent, before, limit).await
    }

    async fn edit(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        edit: &PendingOrderEdit,
    ) -> Result<PendingOrder, PendingOrderError> {
        let (agent, edit) = (agent.clone(), edit.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let (order, event) = present(tx, &agent, id).await?.edit(&edit, tx.now)?;
                if let Some(event) = event {
                    tx.update_pending_order(&order).await?;
                    tx.append(&agent, vec![event]).await?;
                }
                Ok(order)
            })
        })
        .await
    }

    async fn discard(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        expected: u64,
        origin: Option<Origin>,
    ) -> Result<(), PendingOrderError> {
        let agent = agent.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let deleted = present(tx, &agent, id).await?.discard(expected, origin)?;
                let query = sqlx::query(sql::DELETE_PENDING_ORDER).bind(id.to_string());
                query.execute(&mut tx.conn).await.map_err(failed)?;
                Ok(tx.append(&agent, vec![deleted]).await?)
            })
        })
        .await
    }

    async fn submit(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        self.write(move |tx| Box::pin(enqueue(tx, new, true))).await
    }
}

async fn create(tx: &mut Tx, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
    let of_key = sqlx::query(sql::PENDING_ORDER_OF_KEY).bind(new.agent.as_str()).bind(new.key.as_str());
    let known: Option<PendingOrder> = optional_doc(of_key.fetch_optional(&mut tx.conn).await)?;
    if let Some(known) = known {
        return Ok(CreatedPendingOrder { order: known.created_again(&new)?, replayed: true });
    }
    let open = sqlx::query(sql::OPEN_PENDING_ORDERS).bind(new.agent.as_str()).bind(to_i64(OPEN_LIMIT));
    let open = open.fetch_one(&mut tx.conn).await.map_err(failed)?;
    if column_u64(&open, 0)? >= OPEN_LIMIT {
        return Err(PendingOrderError::Full { agent: new.agent });
    }
    let (order, created) = PendingOrder::accept(new, tx.now);
    let insert = sqlx::query(sql::INSERT_PENDING_ORDER)
        .bind(order.id.to_string())
        .bind(order.agent.as_str())
        .bind(order.key.as_str())
        .bind(order.updated_at.as_micros())
        .bind(written(&order)?);
    insert.execute(&mut tx.conn).await.map_err(failed)?;
    tx.append(&order.agent, vec![created]).await?;
    Ok(CreatedPendingOrder { order, replayed: false })
}

async fn present(
    tx: &mut Tx,
    agent: &AgentId,
    id: PendingOrderId,
) -> Result<PendingOrder, PendingOrderError> {
    one(&mut tx.conn, agent, id).await?.ok_or(PendingOrderError::NotFound(id))
}

/// One of an agent.
pub(crate) async fn one(
    conn: &mut SqliteConnection,
    agent: &AgentId,
    id: PendingOrderId,
) -> Result<Option<PendingOrder>, StoreError> {
    let query = sqlx::query(sql::PENDING_ORDER).bind(id.to_string()).bind(agent.as_str());
    optional_doc(query.fetch_optional(conn).await)
}

/// At most `limit`, newest first.
pub(crate) async fn some_before(
    conn: &mut SqliteConnection,
    agent: &AgentId,
    before: Option<PendingOrderId>,
    limit: u32,
) -> Result<Vec<PendingOrder>, StoreError> {
    // Ids are compared as texts: no UUID comes after this one.
    let before = before.map_or_else(|| "g".to_owned(), |before| before.to_string());
    let query = sqlx::query(sql::PENDING_ORDERS).bind(agent.as_str()).bind(before).bind(limit);
    let rows = query.fetch_all(conn).await.map_err(failed)?;
    rows.iter().map(doc).collect()
}

/// Those that are not submitted, and the last ones that are, newest first.
pub(crate) async fn shown(
    conn: &mut SqliteConnection,
    agent: &AgentId,
    submitted: u32,
) -> Result<Vec<PendingOrder>, StoreError> {
    let query = sqlx::query(sql::PENDING_ORDERS_SHOWN).bind(agent.as_str()).bind(submitted);
    let rows = query.fetch_all(conn).await.map_err(failed)?;
    let mut shown: Vec<PendingOrder> = rows.iter().map(doc).collect::<Result<_, _>>()?;
    shown.sort_by_key(|order| std::cmp::Reverse(order.id));
    Ok(shown)
}

/// Why a pending order could not follow its operation.
pub(crate) enum Unfollowed {
    Changed(ChangedSince),
    Store(StoreError),
}

impl From<StoreError> for Unfollowed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Unfollowed> for AdminError {
    fn from(error: Unfollowed) -> Self {
        match error {
            Unfollowed::Changed(changed) => changed.into(),
            Unfollowed::Store(error) => error.into(),
        }
    }
}

impl Tx {
    /// Gives a new operation the pending order that it submits; the event that tells of it.
    pub(crate) async fn take_pending_order(
        &mut self,
        new: &NewOperation,
        must_exist: bool,
    ) -> Result<Option<NewEvent>, EnqueueError> {
        let Some(id) = new.pending_order() else { return Ok(None) };
        match one(&mut self.conn, &new.agent, id).await? {
            Some(order) => {
                let (order, event) = order.taken_by(new, self.now)?;
                self.update_pending_order(&order).await?;
                Ok(Some(event))
            }
            None if must_exist => Err(EnqueueError::NoPendingOrder(id)),
            None => Ok(None),
        }
    }

    /// What becomes of the pending order that an operation submits; the event that tells of it.
    pub(crate) async fn follow(&mut self, record: &OperationRecord) -> Result<Option<NewEvent>, Unfollowed> {
        let operation = &record.operation;
        let Some(id) = operation.pending_order() else { return Ok(None) };
        let Some(order) = one(&mut self.conn, &operation.agent, id).await? else { return Ok(None) };
        let followed = order.follow(operation, self.now).map_err(Unfollowed::Changed)?;
        let Some((order, event)) = followed else { return Ok(None) };
        self.update_pending_order(&order).await?;
        Ok(Some(event))
    }

    async fn update_pending_order(&mut self, order: &PendingOrder) -> Result<(), StoreError> {
        let query = sqlx::query(sql::UPDATE_PENDING_ORDER)
            .bind(order.id.to_string())
            .bind(order.submitted_by().map(|operation| operation.to_string()))
            .bind(Timestamp::as_micros(order.updated_at))
            .bind(written(order)?);
        query.execute(&mut self.conn).await.map(drop).map_err(failed)
    }
}
