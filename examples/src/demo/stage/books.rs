//! Compares all the time what was asked for with what the ERP's ledger says.

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_core::effect::Mark;
use archibald_core::id::OperationId;
use archibald_testing::erp::{EffectKind, ErpStats, LedgerEntry};
use serde_json::json;
use tokio::time::sleep;

use super::super::ledger::{Asked, judge};
use super::super::report::progress;
use super::super::submit::Acceptance;
use super::{Props, Scene};

/// So soon is a change at the ERP seen here.
const INTERVAL: Duration = Duration::from_millis(250);
/// Orders of the ERP that are shown.
const SHOWN: usize = 9;

/// Reads the ledger for ever.
pub(super) async fn keep(props: Props) {
    let mut ledger: Vec<LedgerEntry> = Vec::new();
    let mut told = String::new();
    loop {
        match look(&props, &mut ledger).await {
            Ok(()) => told.clear(),
            Err(error) if error != told => {
                progress(&error);
                told = error;
            }
            Err(_) => {}
        }
        sleep(INTERVAL).await;
    }
}

async fn look(props: &Props, ledger: &mut Vec<LedgerEntry>) -> Result<(), String> {
    let after = ledger.last().map_or(0, |entry| entry.seq);
    let told = async { Ok((props.control.ledger(after).await?, props.control.stats().await?)) };
    let (new, stats) = told.await.map_err(|error: archibald_testing::erp::ControlError| error.to_string())?;
    ledger.extend(new);
    let accepted = props.submitted.all();
    props.stage.update(|scene| write(scene, &accepted, ledger, &stats));
    Ok(())
}

fn write(scene: &mut Scene, accepted: &[Acceptance], ledger: &[LedgerEntry], stats: &ErpStats) {
    let asked: Vec<Asked> = accepted.iter().filter_map(|one| asked(scene, one)).collect();
    let judgement = judge(&asked, ledger);
    let ended = |asked: &&Asked| asked.state.as_deref().is_some_and(is_over);
    let done = asked.iter().filter(|asked| asked.state.as_deref() == Some("completed")).count() as u64;
    let over = asked.iter().filter(ended).count() as u64;
    let figures = &mut scene.figures;
    figures.done = done;
    figures.asked = figures.asked.max(asked.len() as u64);
    figures.open = figures.asked.saturating_sub(over);
    figures.duplicates = judgement.duplicates.len();
    figures.lost = judgement.lost.len();
    figures.faults = stats.faults.values().sum();
    scene.erp.logins = stats.logins;
    scene.erp.saved = judgement.effects_applied;
    scene.erp.orders = orders(ledger);
}

/// Not heard of yet is not lost: it waits.
fn asked(scene: &Scene, accepted: &Acceptance) -> Option<Asked> {
    let known = scene.known.get(&accepted.operation);
    Some(Asked {
        operation: accepted.operation,
        agent: accepted.agent.clone(),
        order: accepted.order.clone()?,
        refusable: false,
        state: Some(known.map_or_else(|| "available".to_owned(), |known| known.state.clone())),
    })
}

fn is_over(state: &str) -> bool {
    matches!(state, "completed" | "rejected" | "failed" | "cancelled")
}

fn orders(ledger: &[LedgerEntry]) -> Vec<serde_json::Value> {
    let saves = ledger.iter().rev().filter(|entry| entry.kind == EffectKind::OrderSaved).take(SHOWN);
    saves
        .map(|entry| {
            let customer = entry.order.as_ref().map(|order| order.customer.as_str());
            let fault = entry.fault.map(|fault| fault.name());
            json!({ "number": entry.number, "agent": entry.user, "customer": customer, "at_ms": entry.at_ms, "fault": fault })
        })
        .collect()
}

/// Which operation of ours an entry of the ledger belongs to.
pub(super) fn operation_of(entry: &LedgerEntry, accepted: &[Acceptance]) -> Option<OperationId> {
    let mark = Mark::read(&entry.order.as_ref()?.reference)?.to_string();
    let by_mark: BTreeMap<String, OperationId> =
        accepted.iter().map(|one| (Mark::of(one.operation).to_string(), one.operation)).collect();
    by_mark.get(&mark).copied()
}
