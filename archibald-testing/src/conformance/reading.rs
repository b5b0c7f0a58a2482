use archibald_core::event::{Cursor, Progress};
use archibald_core::id::{Collection, OperationKind};
use archibald_core::lease::Lease;
use archibald_core::operation::NewOperation;
use archibald_core::port::{OperationFilter, RowQuery};
use archibald_core::record::{Disposition, Evidence, LocalRow, Settlement};
use serde_json::json;

use super::checks::{LONG, agent, all_customers, completed, on_target, row, submit, sync};
use super::{Ports, StoreUnderTest};

/// Newest first, by state and kind, and the last page says that it is the last.
pub async fn listing_filters_and_pages(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    for n in 0..6 {
        ports.enqueue(submit(&nancy, &format!("k{n}"))).await;
    }
    let background = ports.enqueue(sync(&nancy, "sync-orders", "s")).await;
    let (_, lease) = ports.running(submit(&nancy, "done"), LONG).await;
    let done = ports.settle(&lease, completed()).await;

    let filter = |limit| OperationFilter { limit, ..OperationFilter::default() };
    let mut seen = vec![];
    let mut before = None;
    for page in 0..4 {
        let read = ports.store.list(&nancy, &OperationFilter { before, ..filter(2) }).await.unwrap();
        assert_eq!(read.records.len(), 2);
        assert_eq!(read.next.is_none(), page == 3, "eight operations are four pages");
        before = read.next;
        seen.extend(read.records);
    }
    let positions: Vec<_> = seen.iter().map(|record| record.operation.position).collect();
    assert!(positions.is_sorted_by(|a, b| a > b), "{positions:?}");
    assert_eq!(seen[0], done);

    let by_state = OperationFilter { state: Some("completed".into()), ..filter(10) };
    assert_eq!(ports.store.list(&nancy, &by_state).await.unwrap().records, [done]);
    let kind = OperationKind::new("sync-orders").unwrap();
    let by_kind = OperationFilter { kind: Some(kind), ..filter(10) };
    assert_eq!(ports.store.list(&nancy, &by_kind).await.unwrap().records, [background]);
    let by_both = OperationFilter { state: Some("completed".into()), ..by_kind };
    assert_eq!(ports.store.list(&nancy, &by_both).await.unwrap().records, []);
    let unknown = OperationFilter { state: Some("no such state".into()), ..filter(10) };
    assert_eq!(ports.store.list(&nancy, &unknown).await.unwrap().records, []);
    assert_eq!(ports.store.list(&nancy, &filter(0)).await.unwrap().records.len(), 1, "at least one");

    let edit = ports.enqueue(on_target(submit(&nancy, "edit"), "order:1")).await;
    let sent = ports.enqueue(on_target(submit(&nancy, "send"), "order:1")).await;
    ports.enqueue(on_target(submit(&nancy, "other"), "order:2")).await;
    let by_target = OperationFilter { target: edit.operation.target.clone(), ..filter(10) };
    assert_eq!(ports.store.list(&nancy, &by_target).await.unwrap().records, [sent, edit]);
}

/// Text is found in any case and taken as it stands; names of fields are not text; ids are in byte order.
pub async fn rows_are_searched_and_paged(under: &mut dyn StoreUnderTest) {
    let (ports, nancy) = (under.ports(), agent("nancy"));
    write_customers(&ports).await;
    let found = async |search: &str| {
        let query = RowQuery { search: Some(search.to_owned()), ..all_customers() };
        let page = ports.store.rows(&nancy, &query).await.unwrap();
        page.rows.into_iter().map(|(id, ..)| id).collect::<Vec<_>>()
    };
    assert_eq!(found("ALFREDS").await, ["10"]);
    assert_eq!(found("caffè è").await, ["B"], "not of ASCII alone");
    assert_eq!(found("100%").await, ["a"], "no wildcard");
    assert_eq!(found("_").await, ["9"], "no wildcard");
    assert_eq!(found("o'b\\").await, ["é"]);
    assert_eq!(found("37.5").await, ["9"], "numbers too");
    assert_eq!(found("É").await, ["é"], "the id too");
    assert_eq!(found("street").await, [] as [&str; 0], "not the names of fields");
    assert_eq!(found("").await.len(), 5);

    let mut ids = vec![];
    let mut after = None;
    loop {
        let query = RowQuery { after, limit: 2, ..all_customers() };
        let page = ports.store.rows(&nancy, &query).await.unwrap();
        ids.extend(page.rows.into_iter().map(|(id, ..)| id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(ids, ["10", "9", "B", "a", "é"]);
    let other = RowQuery { collection: Collection::new("products").unwrap(), ..all_customers() };
    assert_eq!(ports.store.rows(&nancy, &other).await.unwrap().rows.len(), 1);
}

async fn write_customers(ports: &Ports) {
    let (_, lease) = ports.running(sync(&agent("nancy"), "sync-customers", "k"), LONG).await;
    let rows = vec![
        row("é", Some(json!({ "name": "O'B\\rien" }))),
        row("a", Some(json!({ "name": "100% pure" }))),
        row("9", Some(json!({ "name": "under_score", "discount": 37.5 }))),
        row("10", Some(json!({ "name": "Alfreds", "address": { "street": "Obere Str. 57" } }))),
        row("B", Some(json!({ "names": ["CAFFÈ È BUONO"] }))),
    ];
    let product = LocalRow {
        collection: Collection::new("products").unwrap(),
        ..row("10", Some(json!({ "name": "Alfreds" })))
    };
    ports.store.checkpoint(&lease, "page 1", None, rows).await.unwrap();
    ports.store.checkpoint(&lease, "page 2", None, vec![product]).await.unwrap();
}

/// No call for one agent shows or changes anything of another, ids known or not.
pub async fn agents_are_isolated(under: &mut dyn StoreUnderTest) {
    let ports = under.ports();
    let (nancy, andrew) = (agent("nancy"), agent("andrew"));
    let (own, _) = ports.running(submit(&andrew, "own"), LONG).await;
    let mine = NewOperation { payload: json!({ "note": "MARKER" }), ..submit(&nancy, "MARKER") };
    let (record, lease) = ports.running(mine, LONG).await;
    let id = record.operation.id;
    let settlement = Settlement {
        disposition: Disposition::Reject { why: "MARKER".into(), refused: None },
        rows: vec![row("MARKER", Some(json!("MARKER")))],
        evidence: vec![Evidence { name: "MARKER".into(), media_type: "text/plain".into(), bytes: vec![1] }],
    };
    ports.bus.publish_progress(progress(&lease, "MARKER"));
    let before = ports.store.settle(&lease, settlement).await.unwrap();
    ports.store.pause(&nancy.clone().into(), "MARKER", false).await.unwrap();
    let log = ports.log(&nancy).await.len();

    assert_eq!(ports.store.get(&andrew, id).await.unwrap(), None);
    assert_eq!(ports.store.evidence(&andrew, id, 0).await.unwrap(), None);
    assert!(ports.store.redrive(&andrew, id, "andrew").await.is_err());
    let everything = OperationFilter { limit: 500, ..OperationFilter::default() };
    let start = Cursor { seq: 0, ..ports.head(&andrew).await };
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        ports.store.list(&andrew, &everything).await.unwrap(),
        ports.store.waiting(&andrew, None, 500).await.unwrap(),
        ports.store.rows(&andrew, &all_customers()).await.unwrap(),
        ports.bus.read(&andrew, start, 500).await.unwrap(),
        ports.bus.snapshot(&andrew, 100).await.unwrap(),
        ports.bus.progress(&andrew),
    );
    assert!(!shown.contains("MARKER"), "{shown}");
    let snapshot = ports.bus.snapshot(&andrew, 100).await.unwrap();
    let ids: Vec<_> = snapshot.operations.iter().map(|record| record.operation.id).collect();
    assert_eq!(ids, [own.operation.id]);
    assert_eq!(ports.get(&record).await, before);
    assert_eq!(ports.log(&nancy).await.len(), log);
}

fn progress(lease: &Lease, text: &str) -> Progress {
    Progress {
        agent: lease.agent.clone(),
        operation: lease.operation,
        step: text.into(),
        done: 1,
        total: 2,
        text: text.into(),
    }
}
