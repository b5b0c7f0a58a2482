//! Which line of an order is filled in just now.

use archibald_testing::erp::{BehaviourChange, Fault, FaultRule};
use serde_json::{Value, json};

use crate::device::{Chromium, Device, PHONE};
use crate::office::Office;

/// Keeps what the stream tells and what the card says, from now on.
const WATCH: &str = "window.told = []; window.said = [];
    const stream = new EventSource(`/v1/agents/${AGENT}/events`);
    stream.addEventListener('progress', (event) => told.push(JSON.parse(event.data)));
    const look = () => {
        const text = document.querySelector('.step span')?.textContent;
        if (text && said.at(-1) !== text) said.push(text);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    await new Promise((ready) => stream.addEventListener('snapshot', ready));";

/// Each line takes longer than the least time between two words of progress, and the save much longer.
async fn slow(office: &Office) {
    let change = BehaviourChange { latency_ms: Some(400), slow_ms: Some(1500), ..BehaviourChange::default() };
    office.control.configure(&change).await.unwrap();
    let save = FaultRule {
        page: Some("Order.aspx".to_owned()),
        control: Some("Save".to_owned()),
        user: None,
        nth: 1,
        fault: Fault::Slow,
        times: 1,
    };
    office.control.script(&[save]).await.unwrap();
}

async fn watched(device: &Device, office: &Office) {
    let watch = WATCH.replace("${AGENT}", &office.agent);
    let ready: bool = device.read(&format!("(async () => {{ {watch} return true; }})()")).await;
    assert!(ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_sees_which_line_of_how_many_is_filled_in() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let phone = chromium.device(PHONE, "light", "it").await;
    phone.enter(&office.app()).await;
    watched(&phone, &office).await;
    slow(&office).await;
    let lines: Vec<Value> =
        office.products.iter().take(3).map(|code| json!({ "product": code, "quantity": 2 })).collect();
    office.submit(&json!({ "customer": office.customer, "date": "2026-11-22", "lines": lines })).await;
    phone.until("document.querySelectorAll('#finished > li').length === 1").await;

    // A machine that is busy may have it typed again from the beginning.
    let last =
        |all: &str, first: &str| format!("((all) => all.slice(all.findLastIndex((it) => {first})))({all})");
    let told: Vec<Value> = phone
        .read(&last("told.filter(({ step }) => ['line', 'save'].includes(step))", "it.done === 0"))
        .await;
    let told: Vec<_> =
        told.iter().map(|it| json!([it["step"], it["done"], it["total"], it["text"]])).collect();
    let line = |n: u32| json!(["line", n - 1, 3, format!("filling in line {n} of 3")]);
    assert_eq!(told, [line(1), line(2), line(3), json!(["save", 3, 3, "saving"])]);
    let said: Vec<String> =
        phone.read(&last("said.filter((text) => / di 3$|^Salvo/.test(text))", "it.includes('riga 1')")).await;
    assert_eq!(said, ["Compilo riga 1 di 3", "Compilo riga 2 di 3", "Compilo riga 3 di 3", "Salvo"]);
    phone.is_well().await;
    chromium.close().await;
}
