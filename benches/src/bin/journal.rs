//! The rules alone: operations from accepted to completed, each with one effect that is intended, released
//! and recorded. No store, no clock: this is the part of an operation's cost that no adapter can save.
//!
//! Prints `{"operations":…,"ns_per_op":…}`.
use std::error::Error;
use std::time::{Duration, Instant};

use archibald_core::effect::{IntentBasis, IntentRequest, Receipt};
use archibald_core::id::{
    AgentId, EffectName, FencingToken, OperationId, OperationKey, OperationKind, WorkerId,
};
use archibald_core::lease::Lease;
use archibald_core::operation::{Class, NewOperation};
use archibald_core::record::{Disposition, OperationRecord};
use archibald_core::time::Timestamp;
use clap::Parser;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug, Parser)]
struct Options {
    /// How many operations
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    operations: u64,
}

#[derive(Debug, Serialize)]
struct Outcome {
    operations: u64,
    ns_per_op: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let names = Names::new()?;
    eprintln!("{} operations", options.operations);
    let started = Instant::now();
    let mut completed = 0;
    for number in 1..=options.operations {
        completed += u64::from(live(&names, number)?);
    }
    let took = started.elapsed();
    if completed != options.operations {
        return Err(format!("{completed} of {} operations were completed", options.operations).into());
    }
    let ns_per_op = took.as_nanos() / u128::from(options.operations);
    let outcome = Outcome { operations: options.operations, ns_per_op: u64::try_from(ns_per_op)? };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// One operation's whole life; whether it ended well.
fn live(names: &Names, number: u64) -> Result<bool, Box<dyn Error>> {
    let at = |secs| Timestamp::EPOCH + Duration::from_secs(secs);
    let (mut record, _) = OperationRecord::accept(names.operation(number)?, number, at(0));
    let lease = names.lease(&record, number, at(60));
    record.lease(&lease, at(1))?;
    let intent = record.intend(&lease, lease.expires_at, &names.request, at(2))?;
    record.release(&intent.release(), lease.expires_at, at(3))?;
    record.record(&lease, &names.request.effect, &Receipt(json!({ "order": number })))?;
    record.settle(&lease, &Disposition::Complete { result: json!({ "order": number }) }, at(4))?;
    Ok(record.operation.is_final())
}

/// What all operations share.
struct Names {
    agent: AgentId,
    kind: OperationKind,
    worker: WorkerId,
    payload: Value,
    request: IntentRequest,
}

impl Names {
    fn new() -> Result<Self, Box<dyn Error>> {
        let request = IntentRequest {
            effect: EffectName::new("save-order")?,
            basis: IntentBasis::NothingReleased,
            mark: None,
            baseline: Value::Null,
            budget: Duration::from_secs(30),
            margin: Duration::from_secs(5),
        };
        Ok(Self {
            agent: AgentId::new("nancy")?,
            kind: OperationKind::new("submit-order")?,
            worker: WorkerId::new("w1")?,
            payload: json!({ "customer": "ALFKI", "lines": [{ "product": "A0011", "quantity": 12 }] }),
            request,
        })
    }

    fn operation(&self, number: u64) -> Result<NewOperation, Box<dyn Error>> {
        Ok(NewOperation {
            id: OperationId(Uuid::from_u128(u128::from(number))),
            agent: self.agent.clone(),
            kind: self.kind.clone(),
            class: Class::Interactive,
            key: OperationKey::new(number.to_string())?,
            target: None,
            once_per_target: false,
            payload: self.payload.clone(),
            run_at: None,
            origin: None,
            queue_limit: 100,
            trace: false,
        })
    }

    fn lease(&self, record: &OperationRecord, token: u64, expires_at: Timestamp) -> Lease {
        Lease {
            agent: self.agent.clone(),
            operation: record.operation.id,
            token: FencingToken(token),
            worker: self.worker.clone(),
            expires_at,
            ttl: Duration::from_secs(60),
        }
    }
}
