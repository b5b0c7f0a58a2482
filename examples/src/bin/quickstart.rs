//! One order, accepted, typed into an ERP in memory, and done. The README shows this file.

use std::{sync::Arc, time::Duration};

use archibald_core::id::{AgentId, OperationKey};
use archibald_core::port::{EnqueueRequest, Operations};
use archibald_runtime::{Archibald, Ports};
use archibald_testing::clock::SystemClock;
use archibald_testing::credentials::FixedCredentials;
use archibald_testing::{fake_erp::FakeErp, memory::MemoryStore};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Swap these three for SqliteStore, ChromiumPool and your own CredentialProvider.
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let erp = FakeErp::new(10);
    let nancy = AgentId::new("nancy")?;
    let credentials = Arc::new(FixedCredentials::new().with(nancy.clone(), "nancy", "secret"));

    let archibald = Archibald::builder(Ports::new(store, erp.clone(), credentials)).build()?;
    let worker = archibald.start().ok_or("started before")?;

    let order = json!({ "customer": "ALFKI", "date": "2026-11-22",
        "lines": [{ "product": "A0001", "quantity": 3, "discount": "5" }] });
    let accepted = archibald
        .enqueue(EnqueueRequest {
            agent: nancy.clone(),
            kind: "submit-order".to_owned(),
            payload: order,
            key: OperationKey::new("tap-1")?, // the same key again is the same operation
            run_at: None,
            origin: None,
            trace: false,
        })
        .await?;
    let done = archibald.wait(&nancy, accepted.record.operation.id, Duration::from_secs(10)).await?;

    println!("{:?}", done.map(|record| record.operation.state));
    println!("at the ERP: {} order", erp.orders().len());
    worker.drain(Duration::from_secs(5)).await;
    Ok(())
}
