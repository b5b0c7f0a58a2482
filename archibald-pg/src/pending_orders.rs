use archibald_core::error::{EnqueueError, StoreError};
use archibald_core::event::{NewEvent, Origin};
use archibald_core::id::{AgentId, PendingOrderId};
use archibald_core::operation::NewOperation;
use archibald_core::pending_order::{
    NewPendingOrder, OPEN_LIMIT, PendingOrder, PendingOrderEdit, PendingOrderError,
};
use archibald_core::port::{AdminError, CreatedPendingOrder, Enqueued, PendingOrderPage, PendingOrderStore};
use archibald_core::record::OperationRecord;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use futures::FutureExt;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::call::{Ask, Needs};
use crate::codec::{At, from_json, to_json};
use crate::operations::enqueuing;
use crate::read::{Read, beyond, cut, page_size};
use crate::sql::Sql;
use crate::store::PgStore;
use crate::tx::{How, Stop, Tx, TxError};
use crate::writes::{Found, PendingOrderWrite, Writes};

#[async_trait]
impl PendingOrderStore for PgStore {
    async fn create(&self, new: NewPendingOrder) -> Result<CreatedPendingOrder, PendingOrderError> {
        let agent = new.agent.clone();
        let ask = Ask {
            arguments: new,
            needs: |new| Needs { stream: true, creates: Some(new), ..Needs::default() },
            decide: create,
        };
        self.call(How::repeatable("creating a pending order"), &agent, ask).await
    }

    async fn find(&self, agent: &AgentId, id: PendingOrderId) -> Result<Option<PendingOrder>, StoreError> {
        let asked = (agent.to_string(), id);
        self.read("reading a pending order", asked, |conn, sql, (agent, id)| {
            async move { Ok(one(conn, sql, agent, *id).await?) }.boxed()
        })
        .await
    }

    async fn page(
        &self,
        agent: &AgentId,
        before: Option<PendingOrderId>,
        limit: u32,
    ) -> Result<PendingOrderPage, StoreError> {
        let asked = (agent.to_string(), before, page_size(limit));
        self.read("listing pending orders", asked, |conn, sql, (agent, before, limit)| {
            page(conn, sql, agent, *before, *limit).boxed()
        })
        .await
    }

    async fn edit(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        edit: &PendingOrderEdit,
    ) -> Result<PendingOrder, PendingOrderError> {
        let what = "changing a pending order";
        let has_name = edit.origin.as_ref().is_some_and(|origin| origin.mutation.is_some());
        // Only what has a name of its own is known again.
        let how = if has_name { How::repeatable(what) } else { How::once(what) };
        let ask = Ask {
            arguments: (id, edit.clone()),
            needs: |(id, _)| Needs { stream: true, pending_order: Some(*id), ..Needs::default() },
            decide: write_edit,
        };
        self.call(how, agent, ask).await
    }

    async fn discard(
        &self,
        agent: &AgentId,
        id: PendingOrderId,
        expected: u64,
        origin: Option<Origin>,
    ) -> Result<(), PendingOrderError> {
        let ask = Ask {
            arguments: (id, expected, origin),
            needs: |(id, ..)| Needs { stream: true, pending_order: Some(*id), ..Needs::default() },
            decide: discard,
        };
        self.call(How::repeatable("deleting a pending order"), agent, ask).await
    }

    async fn submit(&self, new: NewOperation) -> Result<Enqueued, EnqueueError> {
        let agent = new.agent.clone();
        self.call(How::repeatable("submitting a pending order"), &agent, enqueuing(new, true)?).await
    }
}

/// The event counter is locked, which makes the creations of an agent one after the other.
fn create(new: &NewPendingOrder, found: Found) -> Result<(CreatedPendingOrder, Writes), PendingOrderError> {
    if let Some(known) = found.pending_order {
        let replayed = !(found.maybe_done_before && known.id == new.id);
        let order = known.created_again(new)?;
        return Ok((CreatedPendingOrder { order, replayed }, Writes::default()));
    }
    if found.open_pending_orders >= OPEN_LIMIT {
        return Err(PendingOrderError::Full { agent: new.agent.clone() });
    }
    let (order, created) = PendingOrder::accept(new.clone(), found.now);
    let writes = written(PendingOrderWrite::Is(order.clone().into()), created);
    Ok((CreatedPendingOrder { order, replayed: false }, writes))
}

fn write_edit(
    (id, edit): &(PendingOrderId, PendingOrderEdit),
    found: Found,
) -> Result<(PendingOrder, Writes), PendingOrderError> {
    let known = found.pending_order.ok_or(PendingOrderError::NotFound(*id))?;
    let (order, event) = known.edit(edit, found.now)?;
    let writes = event.map(|event| written(PendingOrderWrite::Is(order.clone().into()), event));
    Ok((order, writes.unwrap_or_default()))
}

fn discard(
    (id, expected, origin): &(PendingOrderId, u64, Option<Origin>),
    found: Found,
) -> Result<((), Writes), PendingOrderError> {
    let Some(known) = found.pending_order else {
        let is_done = found.maybe_done_before;
        return if is_done { Ok(((), Writes::default())) } else { Err(PendingOrderError::NotFound(*id)) };
    };
    let deleted = known.discard(*expected, origin.clone())?;
    Ok(((), written(PendingOrderWrite::Gone(*id), deleted)))
}

fn written(pending_order: PendingOrderWrite, event: NewEvent) -> Writes {
    Writes { pending_order: Some(pending_order), events: vec![event], ..Writes::default() }
}

impl Found {
    /// Gives a new operation the pending order that it submits; the event that tells of it.
    pub(crate) fn take_pending_order(
        &mut self,
        new: &NewOperation,
        must_exist: bool,
    ) -> Result<(Option<PendingOrderWrite>, Option<NewEvent>), EnqueueError> {
        match (self.pending_order.take(), new.pending_order()) {
            (Some(order), _) => {
                let (order, event) = order.taken_by(new, self.now)?;
                Ok((Some(PendingOrderWrite::Is(order.into())), Some(event)))
            }
            (None, Some(id)) if must_exist => Err(EnqueueError::NoPendingOrder(id)),
            (None, _) => Ok((None, None)),
        }
    }

    /// What becomes of the pending order that an operation submits, whose attempt has ended.
    pub(crate) fn follow(
        &mut self,
        record: &OperationRecord,
    ) -> (Option<PendingOrderWrite>, Option<NewEvent>) {
        // An attempt that ends never asks for what was given back.
        let followed = self.pending_order.take().and_then(|order| {
            let followed = order.follow(&record.operation, self.now);
            followed.unwrap_or_default()
        });
        followed.map(|(order, event)| (PendingOrderWrite::Is(order.into()), event)).unzip()
    }
}

impl Tx<'_> {
    /// What becomes of the pending order that an operation submits; the event that tells of it. Takes the event
    /// counter, which no other lock may follow.
    pub(crate) async fn follow(
        &mut self,
        record: &OperationRecord,
        now: Timestamp,
    ) -> Result<Option<NewEvent>, Stop<AdminError>> {
        let operation = &record.operation;
        let Some(id) = operation.pending_order() else { return Ok(None) };
        self.lock_stream().await?;
        let sql = self.sql.clone();
        let Some(order) = one(self.connection(), &sql, operation.agent.as_str(), id).await? else {
            return Ok(None);
        };
        let followed = order.follow(operation, now).map_err(|changed| Stop::Said(changed.into()))?;
        let Some((order, event)) = followed else { return Ok(None) };
        put(self.connection(), &sql, &[&order]).await?;
        Ok(Some(event))
    }
}

async fn one(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    id: PendingOrderId,
) -> Result<Option<PendingOrder>, TxError> {
    let query = sql.pending_order_get.query().bind(id.0).bind(agent);
    query.fetch_optional(conn).await?.as_ref().map(decode).transpose()
}

async fn page(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    before: Option<PendingOrderId>,
    limit: usize,
) -> Read<PendingOrderPage> {
    let query =
        sql.pending_orders_list.query().bind(agent).bind(before.map(|before| before.0)).bind(beyond(limit));
    let mut orders = decode_all(&query.fetch_all(conn).await?)?;
    let next = cut(&mut orders, limit, |order| order.id);
    Ok(PendingOrderPage { orders, next })
}

/// Those that are not submitted, and the last ones that are, newest first.
pub(crate) async fn shown(
    conn: &mut PgConnection,
    sql: &Sql,
    agent: &str,
    submitted: u32,
) -> Result<Vec<PendingOrder>, TxError> {
    let query = sql.pending_orders_shown.query().bind(agent).bind(i64::from(submitted));
    decode_all(&query.fetch_all(conn).await?)
}

/// Writes new ones and changed ones.
pub(crate) async fn put(conn: &mut PgConnection, sql: &Sql, orders: &[&PendingOrder]) -> Result<(), TxError> {
    if orders.is_empty() {
        return Ok(());
    }
    let docs: Result<Vec<_>, _> = orders.iter().map(|order| to_json("a pending order", order)).collect();
    let submitted_at = |order: &PendingOrder| order.submitted_by().map(|_| At(order.updated_at));
    let query = sql
        .pending_orders_write
        .query()
        .bind(orders.iter().map(|order| order.id.0).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.agent.to_string()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.key.to_string()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.submitted_by().map(|by| by.0)).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| submitted_at(order)).collect::<Vec<_>>())
        .bind(docs?);
    query.execute(conn).await?;
    Ok(())
}

fn decode(row: &PgRow) -> Result<PendingOrder, TxError> {
    Ok(from_json("a pending order", row.try_get("doc")?)?)
}

fn decode_all(rows: &[PgRow]) -> Result<Vec<PendingOrder>, TxError> {
    rows.iter().map(decode).collect()
}
