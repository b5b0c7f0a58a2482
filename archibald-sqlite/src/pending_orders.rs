use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::event::{NewEvent, Origin};
use archibald_core::id::{AgentId, PendingOrderId};
use archibald_core::operation::NewOperation;
use archibald_core::pending_order::{
    ChangedSince, NewPendingOrder, OPEN_LIMIT, PendingOrder, PendingOrderEdit, PendingOrderError,
};
use archibald_core::port::{AdminError, CreatedPendingOrder, Enqueued, PendingOrderPage, PendingOrderStore};
use archibald_core::record::OperationRecord;
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::code::{all, column_u64, doc, execute, optional, required, to_i64, written};
use crate::operations::enqueue;
use crate::tx::Tx;
use crate::{SqliteStore, sql};

#[async_trait]
impl PendingOrderStore for SqliteStore {
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
        self.write(move |tx| create(tx, new)).await
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
            let (order, event) = present(tx, &agent, id)?.edit(&edit, tx.now)?;
            if let Some(event) = event {
                tx.update_pending_order(&order)?;
                tx.append(&agent, vec![event]);
            }
            Ok(order)
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
            let deleted = present(tx, &agent, id)?.discard(expected, origin)?;
            execute(&tx.conn, sql::DELETE_PENDING_ORDER, [id.to_string()])?;
            tx.append(&agent, vec![deleted]);
            Ok(())
        })
        .await
    }

    async fn submit(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        self.write(move |tx| enqueue(tx, new, true)).await
    }
}

fn create(tx: &mut Tx, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
    let key = (new.agent.as_str(), new.key.as_str());
    let known: Option<PendingOrder> = optional(&tx.conn, sql::PENDING_ORDER_OF_KEY, key, doc)?;
    if let Some(known) = known {
        return Ok(CreatedPendingOrder { order: known.created_again(&new)?, replayed: true });
    }
    let counted = (new.agent.as_str(), to_i64(OPEN_LIMIT));
    if required(&tx.conn, sql::OPEN_PENDING_ORDERS, counted, |row| column_u64(row, 0))? >= OPEN_LIMIT {
        return Err(PendingOrderError::Full { agent: new.agent });
    }
    let (order, created) = PendingOrder::accept(new, tx.now);
    let inserted = params![
        order.id.to_string(),
        order.agent.as_str(),
        order.key.as_str(),
        order.updated_at.as_micros(),
        written(&order)?,
    ];
    execute(&tx.conn, sql::INSERT_PENDING_ORDER, inserted)?;
    tx.append(&order.agent, vec![created]);
    Ok(CreatedPendingOrder { order, replayed: false })
}

fn present(tx: &mut Tx, agent: &AgentId, id: PendingOrderId) -> Result<PendingOrder, PendingOrderError> {
    one(&tx.conn, agent, id)?.ok_or(PendingOrderError::NotFound(id))
}

/// One of an agent.
pub(crate) fn one(
    conn: &Connection,
    agent: &AgentId,
    id: PendingOrderId,
) -> Result<Option<PendingOrder>, StoreError> {
    optional(conn, sql::PENDING_ORDER, (id.to_string(), agent.as_str()), doc)
}

/// At most `limit`, newest first.
pub(crate) fn some_before(
    conn: &Connection,
    agent: &AgentId,
    before: Option<PendingOrderId>,
    limit: u32,
) -> Result<Vec<PendingOrder>, StoreError> {
    // Ids are compared as texts: no UUID comes after this one.
    let before = before.map_or_else(|| "g".to_owned(), |before| before.to_string());
    all(conn, sql::PENDING_ORDERS, (agent.as_str(), before, limit), doc)
}

/// Those that are not submitted, and the last ones that are, newest first.
pub(crate) fn shown(
    conn: &Connection,
    agent: &AgentId,
    submitted: u32,
) -> Result<Vec<PendingOrder>, StoreError> {
    let mut shown: Vec<PendingOrder> =
        all(conn, sql::PENDING_ORDERS_SHOWN, (agent.as_str(), submitted), doc)?;
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
    pub(crate) fn take_pending_order(
        &mut self,
        new: &NewOperation,
        must_exist: bool,
    ) -> Result<Option<NewEvent>, EnqueueError> {
        let Some(id) = new.pending_order() else { return Ok(None) };
        match one(&self.conn, &new.agent, id)? {
            Some(order) => {
                let (order, event) = order.taken_by(new, self.now)?;
                self.update_pending_order(&order)?;
                Ok(Some(event))
            }
            None if must_exist => Err(EnqueueError::NoPendingOrder(id)),
            None => Ok(None),
        }
    }

    /// What becomes of the pending order that an operation submits; the event that tells of it.
    pub(crate) fn follow(&mut self, record: &OperationRecord) -> Result<Option<NewEvent>, Unfollowed> {
        let operation = &record.operation;
        let Some(id) = operation.pending_order() else { return Ok(None) };
        let Some(order) = one(&self.conn, &operation.agent, id)? else { return Ok(None) };
        let followed = order.follow(operation, self.now).map_err(Unfollowed::Changed)?;
        let Some((order, event)) = followed else { return Ok(None) };
        self.update_pending_order(&order)?;
        Ok(Some(event))
    }

    fn update_pending_order(&mut self, order: &PendingOrder) -> Result<(), StoreError> {
        let updated = params![
            order.id.to_string(),
            order.submitted_by().map(|operation| operation.to_string()),
            order.updated_at.as_micros(),
            written(order)?,
        ];
        execute(&self.conn, sql::UPDATE_PENDING_ORDER, updated).map(drop)
    }
}
