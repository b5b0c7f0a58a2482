//! Makes things go wrong, each at the moment where it hurts most, and tells what came of it.
//!
//! Whoever asks for one has begun it in the scene; here it is ended.

use std::time::Duration;

use archibald_testing::erp::{BehaviourChange, ControlError, Fault, FaultRule, LedgerEntry};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::error::DemoError;
use super::super::report::progress;
use super::super::servers::Servers;
use super::books::operation_of;
use super::scene::Watched;
use super::{Props, orders};

/// How long the answer of a save is held, so that there is time to kill between click and answer.
const HELD: Duration = Duration::from_secs(4);
/// How long a fault waits for an order to strike.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the ERP is slow, and how slow.
const SLOW_FOR: Duration = Duration::from_secs(20);
const SLOW_MS: u64 = 1_500;
const LOOK: Duration = Duration::from_millis(25);

/// Kills and restarts the worker.
#[derive(Debug)]
pub(in super::super) struct Director<'a> {
    pub(in super::super) props: &'a Props,
    pub(in super::super) servers: &'a mut Servers,
}

impl Director<'_> {
    /// Kill -9 once the ERP has saved an order whose answer has not come back, and a new worker at once. Where no
    /// order comes along in time it is killed all the same.
    ///
    /// # Errors
    /// [`DemoError`] when the process cannot be killed or started again.
    pub(in super::super) async fn kill(&mut self) -> Result<(), DemoError> {
        let props = self.props;
        let struck = match strike(props, Fault::Slow).await {
            Ok(struck) => struck,
            Err(error) => {
                progress(&error.to_string());
                None
            }
        };
        let pid = self.servers.pids().first().copied();
        // The sentence that follows has to be there before anybody can look for it.
        let number = struck.as_ref().map(|entry| entry.number.clone());
        if let Some(entry) = &struck {
            watch(props, entry, "kill.found").await;
        }
        self.servers.kill(0).await?;
        props.stage.update(|scene| {
            scene.worker(None);
            scene.worker.kills += 1;
            let key = if number.is_some() { "kill.done" } else { "kill.idle" };
            scene.tell(key, json!({ "pid": pid, "order": number }));
        });
        self.servers.restart(0, None).await?;
        let pid = self.servers.pids().first().copied();
        props.stage.update(|scene| {
            scene.worker(pid);
            scene.tell("kill.restarted", json!({ "pid": pid }));
            scene.end("kill");
        });
        Ok(())
    }
}

/// The ERP saves the next order, and its answer never comes.
pub(super) async fn drop_answer(props: Props) {
    match strike(&props, Fault::DropAfter).await {
        Ok(Some(entry)) => {
            watch(&props, &entry, "drop.found").await;
            props.stage.update(|scene| scene.tell("drop.done", json!({ "order": entry.number })));
        }
        Ok(None) => props.stage.update(|scene| scene.tell("nothing-struck", json!({}))),
        Err(error) => progress(&error.to_string()),
    }
    props.stage.update(|scene| scene.end("drop"));
}

/// Everybody is signed out at the ERP.
pub(super) async fn expire(props: Props) {
    ensure_work(&props);
    if let Err(error) = expire_all(&props).await {
        progress(&error.to_string());
    }
    props.stage.update(|scene| scene.end("expire"));
}

async fn expire_all(props: &Props) -> Result<(), ControlError> {
    let before = props.control.stats().await?.logins;
    props.control.expire(None).await?;
    props.stage.update(|scene| scene.tell("expire.done", json!({})));
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let logins = props.control.stats().await?.logins;
        if logins > before {
            props.stage.update(|scene| scene.tell("expire.back", json!({ "count": logins - before })));
            break;
        }
        sleep(LOOK * 10).await;
    }
    Ok(())
}

/// Every page of the ERP takes long, for a while.
pub(super) async fn slow(props: Props) {
    let set = |latency_ms| BehaviourChange { latency_ms: Some(latency_ms), ..BehaviourChange::default() };
    if let Err(error) = props.control.configure(&set(SLOW_MS)).await {
        progress(&error.to_string());
    }
    props.stage.update(|scene| {
        scene.erp.slow = true;
        scene.tell("slow.on", json!({ "seconds": SLOW_FOR.as_secs(), "ms": SLOW_MS }));
    });
    sleep(SLOW_FOR).await;
    if let Err(error) = props.control.configure(&set(props.latency_ms)).await {
        progress(&error.to_string());
    }
    props.stage.update(|scene| {
        scene.erp.slow = false;
        scene.tell("slow.off", json!({}));
        scene.end("slow");
    });
}

/// Has the next save of an order meet this fault; answers the ledger's entry once it did. However it ends, the rule
/// does not strike later, when nobody expects it.
async fn strike(props: &Props, fault: Fault) -> Result<Option<LedgerEntry>, ControlError> {
    let struck = lie_in_wait(props, fault).await;
    if let Err(error) = clear(props).await {
        progress(&error.to_string());
    }
    struck
}

async fn clear(props: &Props) -> Result<(), ControlError> {
    props.control.clear_faults().await?;
    props.control.set_spec(&props.faults).await
}

async fn lie_in_wait(props: &Props, fault: Fault) -> Result<Option<LedgerEntry>, ControlError> {
    let ms = u64::try_from(HELD.as_millis()).unwrap_or(u64::MAX);
    props.control.configure(&BehaviourChange { slow_ms: Some(ms), ..BehaviourChange::default() }).await?;
    let mut last = props.control.ledger(0).await?.last().map_or(0, |entry| entry.seq);
    let rule = FaultRule {
        page: Some("Order.aspx".to_owned()),
        control: Some("Save".to_owned()),
        user: None,
        nth: 1,
        fault,
        times: 1,
    };
    props.control.script(&[rule]).await?;
    ensure_work(props);
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        for entry in props.control.ledger(last).await? {
            last = entry.seq;
            if entry.fault == Some(fault) {
                return Ok(Some(entry));
            }
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

/// Something has to be under way that can go wrong.
fn ensure_work(props: &Props) {
    if !props.stage.read(|scene| scene.is_busy()) {
        let agent = props.stage.read(|scene| scene.agent.clone());
        orders::place_one(props, agent);
    }
}

/// Has the end of the entry's operation told. Whoever placed it may not have had the acknowledgement yet.
async fn watch(props: &Props, entry: &LedgerEntry, key: &'static str) {
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        if let Some(operation) = operation_of(entry, &props.submitted.all()) {
            let watched = Watched { key, number: entry.number.clone() };
            props.stage.update(|scene| scene.watched.insert(operation, watched));
            return;
        }
        sleep(LOOK).await;
    }
    progress(&format!("order {} belongs to no operation of this run", entry.number));
}
