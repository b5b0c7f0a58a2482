//! Local rows and evidence.

use std::collections::BTreeMap;

use archibald_core::error::StoreError;
use archibald_core::event::NewEvent;
use archibald_core::id::Collection;
use archibald_core::record::{Evidence, LocalRow, OperationRecord};
use archibald_core::time::Timestamp;
use serde_json::Value;
use sqlx::Row;

use crate::codec::{At, from_json, printable, to_json};
use crate::tx::{Tx, TxError};

/// Collection and id.
type Place = (Collection, String);

impl Tx {
    /// Writes local rows of the operation's agent, one after the other as far as anybody can tell, and
    /// returns the events of those that did change. The agent's lease row is locked: nobody else writes.
    pub(crate) async fn write_rows(
        &mut self,
        record: &OperationRecord,
        rows: &[LocalRow],
        now: Timestamp,
    ) -> Result<Vec<NewEvent>, TxError> {
        if rows.is_empty() {
            return Ok(vec![]);
        }
        if let Some(row) = rows.iter().find(|row| row.id.contains('\0')) {
            let what = format!("a row's id with the character U+0000 in {}", row.collection);
            return Err(StoreError::Damaged { what, cause: None }.into());
        }
        let mut docs = self.present(rows).await?;
        let mut last: BTreeMap<Place, Option<&Value>> = BTreeMap::new();
        let mut events = vec![];
        for row in rows {
            let place = (row.collection.clone(), row.id.clone());
            let before = match row.doc.clone() {
                Some(doc) => docs.insert(place.clone(), doc),
                None => docs.remove(&place),
            };
            if before != row.doc {
                events.extend(row.told(&record.operation));
            }
            last.insert(place, row.doc.as_ref());
        }
        self.put_rows(&last, now).await?;
        Ok(events)
    }

    async fn present(&mut self, rows: &[LocalRow]) -> Result<BTreeMap<Place, Value>, TxError> {
        let (collections, ids): (Vec<_>, Vec<_>) =
            rows.iter().map(|row| (row.collection.to_string(), row.id.clone())).unzip();
        let query = sqlx::query(self.sql.rows_get.clone());
        let query = query.bind(self.agent.to_string()).bind(collections).bind(ids);
        let mut present = BTreeMap::new();
        for row in query.fetch_all(self.connection()).await? {
            let collection: String = row.try_get("collection")?;
            let collection = Collection::new(collection)
                .map_err(|error| StoreError::damaged("the collection of a row", error))?;
            present.insert((collection, row.try_get("id")?), from_json("a row", row.try_get("doc")?)?);
        }
        Ok(present)
    }

    async fn put_rows(
        &mut self,
        rows: &BTreeMap<Place, Option<&Value>>,
        now: Timestamp,
    ) -> Result<(), TxError> {
        let (mut written, mut removed) = (<[Vec<String>; 4]>::default(), <[Vec<String>; 2]>::default());
        for ((collection, id), doc) in rows {
            match doc {
                Some(doc) => {
                    let searchable = printable(&LocalRow::searchable(id, doc));
                    let row = [collection.to_string(), id.clone(), to_json("a row", doc)?, searchable];
                    written.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                }
                None => {
                    let row = [collection.to_string(), id.clone()];
                    removed.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                }
            }
        }
        if !written[0].is_empty() {
            let query = sqlx::query(self.sql.rows_write.clone()).bind(self.agent.to_string()).bind(At(now));
            written
                .into_iter()
                .fold(query, |query, column| query.bind(column))
                .execute(self.connection())
                .await?;
        }
        if !removed[0].is_empty() {
            let query = sqlx::query(self.sql.rows_delete.clone()).bind(self.agent.to_string());
            removed
                .into_iter()
                .fold(query, |query, column| query.bind(column))
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// Keeps evidence under the numbers from `first` on.
    pub(crate) async fn keep_evidence(
        &mut self,
        record: &OperationRecord,
        first: u32,
        evidence: &[Evidence],
    ) -> Result<(), TxError> {
        if evidence.is_empty() {
            return Ok(());
        }
        let numbers: Vec<_> = (i64::from(first)..).take(evidence.len()).collect();
        let names: Vec<_> = evidence.iter().map(|kept| printable(&kept.name)).collect();
        let types: Vec<_> = evidence.iter().map(|kept| printable(&kept.media_type)).collect();
        let bytes: Vec<_> = evidence.iter().map(|kept| kept.bytes.clone()).collect();
        let query = sqlx::query(self.sql.evidence_insert.clone())
            .bind(record.operation.id.0)
            .bind(self.agent.to_string())
            .bind(numbers)
            .bind(names)
            .bind(types)
            .bind(bytes);
        query.execute(self.connection()).await?;
        Ok(())
    }
}
