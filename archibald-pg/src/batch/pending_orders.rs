//! Pending orders, whose agents' logs are locked by then: that is enough, since whoever changes one tells of it.

use archibald_core::id::{AgentId, PendingOrderId};
use archibald_core::pending_order::OPEN_LIMIT;
use sqlx::Row;

use super::{Batch, Seen, named};
use crate::call::Needs;
use crate::codec::{from_json, to_i64, to_u64};
use crate::pending_orders::put;
use crate::tx::TxError;
use crate::writes::{Encoded, PendingOrderWrite};

impl Batch<'_> {
    pub(super) async fn read_pending_orders(
        &mut self,
        all: &[(AgentId, Needs<'_>)],
        seen: &mut Seen,
    ) -> Result<(), TxError> {
        let wanted = all.iter().filter_map(|(agent, needs)| Some((agent, seen.pending_order(agent, needs)?)));
        let (agents, ids): (Vec<_>, Vec<_>) = wanted.map(|(agent, id)| (agent.to_string(), id.0)).unzip();
        if agents.is_empty() {
            return Ok(());
        }
        let query = self.sql.pending_orders_get.query().bind(agents).bind(ids);
        for row in query.fetch_all(&mut *self.tx).await? {
            let order = from_json("a pending order", row.try_get("doc")?)?;
            seen.pending_orders.insert(named(row.try_get("agent")?)?, order);
        }
        Ok(())
    }

    /// What may stand in the way of new ones.
    pub(super) async fn look_for_keys(
        &mut self,
        all: &[(AgentId, Needs<'_>)],
        seen: &mut Seen,
    ) -> Result<(), TxError> {
        let new: Vec<_> = all.iter().filter_map(|(_, needs)| needs.creates).collect();
        if new.is_empty() {
            return Ok(());
        }
        let query = self
            .sql
            .pending_orders_standing
            .query()
            .bind(new.iter().map(|new| new.agent.to_string()).collect::<Vec<_>>())
            .bind(new.iter().map(|new| new.key.to_string()).collect::<Vec<_>>())
            .bind(to_i64(OPEN_LIMIT));
        for row in query.fetch_all(&mut *self.tx).await? {
            let agent = named(row.try_get("agent")?)?;
            seen.open_pending_orders.insert(agent.clone(), to_u64(row.try_get("open")?));
            if let Some(of_key) = row.try_get("of_key")? {
                seen.pending_orders.insert(agent, from_json("a pending order", of_key)?);
            }
        }
        Ok(())
    }

    pub(super) async fn write_pending_orders(&mut self, all: &[(AgentId, Encoded)]) -> Result<(), TxError> {
        let (mut changed, mut gone) = (vec![], vec![]);
        for (_, writes) in all {
            match &writes.pending_order {
                Some(PendingOrderWrite::Is(order)) => changed.push(order.as_ref()),
                Some(PendingOrderWrite::Gone(id)) => gone.push(id.0),
                None => {}
            }
        }
        put(self.tx, self.sql, &changed).await?;
        if !gone.is_empty() {
            let query = self.sql.pending_orders_delete.query().bind(gone);
            query.execute(&mut *self.tx).await?;
        }
        Ok(())
    }
}

impl Seen {
    /// The one that a call is about.
    pub(super) fn pending_order(&self, agent: &AgentId, needs: &Needs<'_>) -> Option<PendingOrderId> {
        let of_operation = || {
            let id = needs.operation.filter(|_| needs.follows)?;
            self.operations.get(&(agent.clone(), id))?.record.operation.pending_order()
        };
        needs.pending_order.or_else(of_operation)
    }
}
