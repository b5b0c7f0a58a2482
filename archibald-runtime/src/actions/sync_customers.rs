//! `sync-customers`: reads the list of customers page by page into the local rows.
//!
//! Every page is committed with the place to go on from, so a sync that gave way loses nothing. Rows that
//! the list does not show any more are left as they are: a list that shrinks may be a list that is broken.

use std::collections::BTreeMap;

use archibald_core::erp::Customer;
use archibald_core::error::FieldError;
use archibald_core::id::{Collection, OperationKind, Target};
use archibald_core::port::RowQuery;
use archibald_core::record::LocalRow;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::payload::read;
use crate::action::{ActionContext, Completion, Interrupted, ReadAction};

/// Reads the agent's customers. Payload: `{}`; result: `{"read", "created", "updated", "removed"}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncCustomers;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {}

/// What is done so far; the checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    page: u32,
    read: u64,
    created: u64,
    updated: u64,
}

#[async_trait]
impl ReadAction for SyncCustomers {
    fn kind(&self) -> OperationKind {
        OperationKind::new("sync-customers").expect("a valid kind")
    }

    fn validate(&self, payload: &Value) -> Result<Option<Target>, Vec<FieldError>> {
        read::<Payload>(payload).map(|_| None)
    }

    async fn run(&self, context: &ActionContext<'_>) -> Result<Completion, Interrupted> {
        let mut known = known_customers(context).await?;
        let mut done = begin(context);
        loop {
            if context.should_yield() {
                return Err(Interrupted::GaveWay);
            }
            let page = context.client.read_customers(done.page + 1).await?;
            done.page += 1;
            let rows = page.customers.iter().map(row).collect();
            for customer in page.customers {
                count(&mut done, &mut known, customer);
            }
            let text = format!("page {} of {}", done.page, page.pages);
            context.progress("read", u64::from(done.page), u64::from(page.pages), text);
            context.checkpoint("read", Some(json!(done)), rows).await?;
            if done.page >= page.pages {
                return Ok(completion(context, done));
            }
        }
    }
}

fn begin(context: &ActionContext<'_>) -> Done {
    let checkpoint = context.operation.checkpoint.clone();
    checkpoint.and_then(|checkpoint| serde_json::from_value(checkpoint).ok()).unwrap_or_default()
}

fn count(done: &mut Done, known: &mut BTreeMap<String, Value>, customer: Customer) {
    let doc = json!(customer);
    done.read += 1;
    match known.insert(customer.code, doc.clone()) {
        None => done.created += 1,
        Some(before) if before != doc => done.updated += 1,
        Some(_) => {}
    }
}

fn row(customer: &Customer) -> LocalRow {
    LocalRow {
        collection: customers(),
        id: customer.code.clone(),
        doc: Some(json!(customer)),
        event: Some("customer.updated".to_owned()),
    }
}

fn completion(context: &ActionContext<'_>, done: Done) -> Completion {
    let result = json!({ "read": done.read, "created": done.created, "updated": done.updated, "removed": 0 });
    let row = LocalRow {
        collection: Collection::new("syncs").expect("a valid collection"),
        id: "customers".to_owned(),
        // The operation's id makes the row new each time, so that every sync is told of.
        doc: Some(json!({ "operation": context.operation.id, "result": result })),
        event: Some("sync.completed".to_owned()),
    };
    Completion { result, rows: vec![row] }
}

async fn known_customers(context: &ActionContext<'_>) -> Result<BTreeMap<String, Value>, Interrupted> {
    let mut known = BTreeMap::new();
    let mut after = None;
    loop {
        let query = RowQuery { collection: customers(), search: None, after, limit: 500 };
        let page = context.store().rows(&context.operation.agent, &query).await?;
        known.extend(page.rows.into_iter().map(|(code, doc, _)| (code, doc)));
        after = page.next;
        if after.is_none() {
            return Ok(known);
        }
    }
}

fn customers() -> Collection {
    Collection::new("customers").expect("a valid collection")
}
