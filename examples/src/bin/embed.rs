//! A service of somebody else's in miniature, with Archibald embedded: its own table of visits, and its own kind
//! of operation that brings them to the ERP.

#[path = "../embed/log_visit.rs"]
mod log_visit;
#[path = "../embed/visits.rs"]
mod visits;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use archibald_core::effect::Settle;
use archibald_core::id::{AgentId, OperationKey};
use archibald_core::operation::OperationState;
use archibald_core::port::{EnqueueRequest, Operations};
use archibald_runtime::{Action, Archibald, Ports, RuntimeConfig};
use archibald_sqlite::{SqliteOptions, SqliteStore};
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::fake_erp::{FakeErp, SaveFault};
use serde_json::json;

use self::log_visit::LogVisit;
use self::visits::Visits;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut visits = Visits::default();
    for note in ["wants the new catalogue", "closed in August", "asks for ten more of A0001"] {
        visits.add("ALFKI", note);
    }

    let folder = tempfile::tempdir()?;
    let store =
        Arc::new(SqliteStore::open(folder.path().join("archibald.db"), SqliteOptions::default()).await?);
    let erp = FakeErp::new(10);
    erp.add_customers([serde_json::from_value(json!({ "code": "ALFKI", "name": "Alfreds" }))?]);
    // The answer to the first save is lost: it is asked for, and not sent again.
    erp.fail_next_save(SaveFault::Lost { applied: true });

    let nancy = AgentId::new("nancy")?;
    let credentials = Arc::new(FixedCredentials::new().with(nancy.clone(), "nancy", "secret"));
    let settle = Settle { request: Duration::from_millis(200), lists: Duration::from_millis(50) };
    let archibald = Archibald::builder(Ports::new(store.clone(), erp.clone(), credentials))
        .action(Action::Effect(Arc::new(LogVisit)))
        .config(RuntimeConfig { settle, ..RuntimeConfig::default() })
        .build()?;
    let worker = archibald.start().ok_or("started before")?;

    // After a crash of this service this runs again, and asks for nothing twice: see `bring`.
    for (number, visit) in visits.open() {
        let order = bring(&archibald, &nancy, number, &visit).await?;
        visits.log(number, &order);
    }

    for (number, visit) in visits.all() {
        let order = visit.logged.as_deref().unwrap_or("nothing");
        println!("visit {number}, {:?}: {order} at the ERP", visit.note);
    }
    println!("at the ERP: {} visits", erp.orders().len());
    worker.drain(Duration::from_secs(5)).await;
    store.close().await;
    Ok(())
}

/// Brings a visit to the ERP; the key comes from its own number, so that asking again is the same operation.
async fn bring(archibald: &Archibald, agent: &AgentId, number: u32, visit: &visits::Visit) -> Result<String> {
    let payload = json!({ "customer": visit.customer, "date": "2026-11-22", "note": visit.note });
    let request = EnqueueRequest {
        agent: agent.clone(),
        kind: "log-visit".to_owned(),
        payload,
        key: OperationKey::new(format!("visit-{number}"))?,
        run_at: None,
        origin: None,
        trace: false,
    };
    let accepted = archibald.enqueue(request).await?.record.operation.id;
    let ended = archibald.wait(agent, accepted, Duration::from_secs(30)).await?;
    match ended.map(|record| record.operation.state) {
        Some(OperationState::Completed { result }) => {
            Ok(result["visit"].as_str().ok_or("a visit without a number")?.to_owned())
        }
        other => Err(format!("visit {number}: {other:?}").into()),
    }
}
