//! Keeps a list of the ERP as local rows: the one engine of all syncs.
//!
//! Every page is committed with the place to go on from, so a sync that gave way loses nothing. What the list
//! does not show any more is removed only after a pass over all its pages in one attempt, since a list that
//! was left in the middle may have moved under us; only where its detail page agrees, and where there is none
//! a second reading of the list, since a row may move from page to page between two looks; never what was
//! written since the pass began; and never more than a fifth of what is known: a list that shrinks
//! like that may be a list that is broken, so a person is warned instead.

use std::collections::{BTreeMap, BTreeSet};

use archibald_core::error::FieldError;
use archibald_core::id::{Collection, OperationKind, Target};
use archibald_core::port::{ArchibaldClient, ClientError};
use archibald_core::record::LocalRow;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::payload::{Nothing, read};
use super::rows;
use crate::action::{ActionContext, Completion, Interrupted, ReadAction};

/// Of how many known rows one may vanish in a pass.
const MAY_VANISH: usize = 5;

/// A list of the ERP. Whatever is one is a sync: kind `sync-NAME`, payload `{}`, result
/// `{"read", "created", "updated", "removed"}`.
#[async_trait]
pub trait List: Send + Sync {
    /// Of the local collection, and of the sync.
    fn name(&self) -> &'static str;

    /// The type of the event that tells of a row that changed.
    fn event(&self) -> &'static str;

    /// One page of it, from 1.
    async fn read(&self, client: &dyn ArchibaldClient, page: u32) -> Result<Page, ClientError>;

    /// What a row that the list shows becomes, next to what is known of it.
    fn merge(&self, shown: &Value, known: Option<&Value>) -> Merged {
        let _ = known;
        Merged::Row(shown.clone())
    }

    /// The row as its detail page shows it; `None` where there is no such page.
    async fn open(
        &self,
        client: &dyn ArchibaldClient,
        id: &str,
        shown: &Value,
    ) -> Result<Option<Value>, ClientError> {
        let _ = (client, id);
        Ok(Some(shown.clone()))
    }

    /// Whether what the list left out is there all the same, by its detail page; `None` where rows have none.
    async fn exists(&self, client: &dyn ArchibaldClient, id: &str) -> Result<Option<bool>, ClientError> {
        let _ = (client, id);
        Ok(None)
    }
}

/// One page of a list.
pub struct Page {
    /// Id and content, in the list's order.
    pub(super) rows: Vec<(String, Value)>,
    /// How many pages there are, as far as the list tells.
    pub(super) pages: u32,
}

/// What a row that a list shows becomes.
pub enum Merged {
    /// This.
    Row(Value),
    /// Its detail page has to be opened.
    Open,
}

#[async_trait]
impl<L: List> ReadAction for L {
    fn kind(&self) -> OperationKind {
        OperationKind::new(format!("sync-{}", self.name())).expect("a name is a short word")
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        read::<Nothing>(payload).map(|_| None)
    }

    async fn run(&self, context: &ActionContext<'_>) -> Result<Completion, Interrupted> {
        let mut pass = Pass::begin(self, context).await?;
        while !pass.done.is_over() {
            pass.read_page().await?;
        }
        pass.remove_vanished().await?;
        Ok(pass.completion())
    }
}

/// What is done so far; the checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Done {
    page: u32,
    pages: u32,
    read: u64,
    created: u64,
    updated: u64,
    removed: u64,
}

impl Done {
    fn is_over(self) -> bool {
        self.page > 0 && self.page >= self.pages
    }
}

/// One attempt's way through a list.
struct Pass<'a, L> {
    list: &'a L,
    context: &'a ActionContext<'a>,
    done: Done,
    known: BTreeMap<String, Value>,
    known_before: usize,
    seen: BTreeSet<String>,
    /// By the store's clock; `None` where an earlier attempt began it.
    began: Option<Timestamp>,
    warning: Option<String>,
}

impl<'a, L: List> Pass<'a, L> {
    async fn begin(list: &'a L, context: &'a ActionContext<'a>) -> Result<Self, Interrupted> {
        let checkpoint = context.operation.checkpoint.clone();
        let done: Done = checkpoint.and_then(|done| serde_json::from_value(done).ok()).unwrap_or_default();
        let began = if done == Done::default() { began(context).await? } else { None };
        let rows = local_rows(context, list).await?;
        let known_before = rows.len();
        let known = rows.into_iter().map(|(id, doc, _)| (id, doc)).collect();
        Ok(Self { list, context, done, known, known_before, seen: BTreeSet::new(), began, warning: None })
    }

    /// One page; before it, and before every detail page, is a safe point.
    async fn read_page(&mut self) -> Result<(), Interrupted> {
        self.give_way()?;
        let number = self.done.page + 1;
        let page = self.list.read(self.context.client, number).await?;
        let mut rows = vec![];
        for (id, shown) in &page.rows {
            match self.list.merge(shown, self.known.get(id)) {
                Merged::Row(doc) => rows.push(self.keep(id, doc)),
                Merged::Open => self.open(id, shown).await?,
            }
        }
        self.done.read += page.rows.len() as u64;
        (self.done.page, self.done.pages) = (number, page.pages);
        let text = format!("page {number} of {}", page.pages);
        self.context.progress("read", u64::from(number), u64::from(page.pages), text);
        self.checkpoint(rows).await
    }

    /// Detail pages are slow: each is committed by itself, and found unchanged when its page is read again.
    async fn open(&mut self, id: &str, shown: &Value) -> Result<(), Interrupted> {
        self.give_way()?;
        match self.list.open(self.context.client, id, shown).await? {
            Some(doc) => {
                let row = self.keep(id, doc);
                self.checkpoint(vec![row]).await
            }
            None => Ok(()),
        }
    }

    fn keep(&mut self, id: &str, doc: Value) -> LocalRow {
        self.seen.insert(id.to_owned());
        match self.known.insert(id.to_owned(), doc.clone()) {
            None => self.done.created += 1,
            Some(before) if before != doc => self.done.updated += 1,
            Some(_) => {}
        }
        self.row(id, Some(doc))
    }

    async fn remove_vanished(&mut self) -> Result<(), Interrupted> {
        let Some(began) = self.began else { return Ok(()) };
        let rows = local_rows(self.context, self.list).await?;
        let vanished = vanished(rows, &self.seen, began);
        if vanished.len() * MAY_VANISH > self.known_before {
            let (gone, known, name) = (vanished.len(), self.known_before, self.list.name());
            self.warning =
                Some(format!("{gone} of {known} {name} are not listed any more; nothing was removed"));
            return Ok(());
        }
        let mut listed_now: Option<BTreeSet<String>> = None;
        for id in vanished {
            self.give_way()?;
            let exists = match (self.list.exists(self.context.client, &id).await?, &listed_now) {
                (Some(exists), _) => exists,
                (None, Some(listed)) => listed.contains(&id),
                (None, None) => {
                    let listed = self.listed().await?;
                    if listed.len() * MAY_VANISH < self.seen.len() * (MAY_VANISH - 1) {
                        let name = self.list.name();
                        self.warning =
                            Some(format!("the list of {name} shrank while it was read; nothing was removed"));
                        return Ok(());
                    }
                    listed_now.insert(listed).contains(&id)
                }
            };
            if !exists {
                self.done.removed += 1;
                let row = self.row(&id, None);
                self.checkpoint(vec![row]).await?;
            }
        }
        Ok(())
    }

    /// Everything that the list shows, read once more.
    async fn listed(&self) -> Result<BTreeSet<String>, Interrupted> {
        let (mut listed, mut number, mut pages) = (BTreeSet::new(), 0, 1);
        while number < pages {
            self.give_way()?;
            number += 1;
            let page = self.list.read(self.context.client, number).await?;
            listed.extend(page.rows.into_iter().map(|(id, _)| id));
            pages = page.pages;
            self.context.progress(
                "check",
                u64::from(number),
                u64::from(pages),
                format!("page {number} of {pages}"),
            );
        }
        Ok(listed)
    }

    fn give_way(&self) -> Result<(), Interrupted> {
        if self.context.should_yield() { Err(Interrupted::GaveWay) } else { Ok(()) }
    }

    async fn checkpoint(&self, rows: Vec<LocalRow>) -> Result<(), Interrupted> {
        Ok(self.context.checkpoint("read", Some(json!(self.done)), rows).await?)
    }

    fn row(&self, id: &str, doc: Option<Value>) -> LocalRow {
        let event = Some(self.list.event().to_owned());
        LocalRow { collection: collection(self.list.name()), id: id.to_owned(), doc, event }
    }

    fn completion(self) -> Completion {
        let Done { read, created, updated, removed, .. } = self.done;
        let result = json!({ "read": read, "created": created, "updated": updated, "removed": removed });
        let name = self.list.name();
        let mut rows = vec![self.told(name, json!({ "result": result }), "sync.completed")];
        if let Some(why) = &self.warning {
            rows.push(self.told(&format!("{name}.warning"), json!({ "why": why }), "warning"));
        }
        Completion { result, rows }
    }

    /// Local rows are what an action can tell devices by; the operation's id makes the row new each time, so
    /// that every sync is told of.
    fn told(&self, id: &str, mut doc: Value, event: &str) -> LocalRow {
        doc["operation"] = json!(self.context.operation.id);
        LocalRow {
            collection: collection("syncs"),
            id: id.to_owned(),
            doc: Some(doc),
            event: Some(event.to_owned()),
        }
    }
}

/// What was not seen in a pass that began then, and not written since.
fn vanished(rows: Vec<(String, Value, Timestamp)>, seen: &BTreeSet<String>, began: Timestamp) -> Vec<String> {
    let unseen = rows.into_iter().filter(|(id, _, written)| !seen.contains(id) && *written < began);
    unseen.map(|(id, ..)| id).collect()
}

/// When this attempt began, by the store's clock, which is what rows are stamped with.
async fn began(context: &ActionContext<'_>) -> Result<Option<Timestamp>, Interrupted> {
    let record = context.store().get(&context.operation.agent, context.operation.id).await?;
    Ok(record.and_then(|record| record.attempts.last().map(|attempt| attempt.started_at)))
}

async fn local_rows(
    context: &ActionContext<'_>,
    list: &impl List,
) -> Result<Vec<(String, Value, Timestamp)>, Interrupted> {
    Ok(rows::all(context.store(), &context.operation.agent, collection(list.name()), None).await?)
}

fn collection(name: &str) -> Collection {
    Collection::new(name).expect("a name is a short word")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_written_since_the_pass_began_has_not_vanished() {
        let began = Timestamp::EPOCH + Duration::from_secs(10);
        let row = |id: &str, secs| (id.to_owned(), json!({}), Timestamp::EPOCH + Duration::from_secs(secs));
        let rows = vec![row("listed", 1), row("old", 9), row("new", 10), row("newer", 11)];
        assert_eq!(vanished(rows, &BTreeSet::from(["listed".to_owned()]), began), ["old"]);
    }
}
