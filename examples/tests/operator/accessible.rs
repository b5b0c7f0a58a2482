//! Every view of the board and of the demo's page before the rules of axe-core.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::board::doubt;
use crate::browser::{Tab, seconds};
use crate::demo::demo;
use crate::office::Office;

const RULES: &str = "axe-core@4.14.1";
const DESK: (u32, u32) = (1440, 1000);
const PHONE: (u32, u32) = (360, 740);

#[tokio::test(flavor = "multi_thread")]
async fn every_view_keeps_the_rules_in_light_and_dark() {
    let Some(rules) = rules().await else {
        assert!(std::env::var_os("CI").is_none(), "npm cannot install {RULES}, which judges the pages");
        eprintln!("skipped: npm cannot install {RULES}, which judges the pages");
        return;
    };
    let office = Office::open().await;
    doubt(&office).await;
    let folder = tempfile::tempdir().unwrap();
    let (_running, stage) = demo(folder.path());
    for (size, scheme) in [(PHONE, "light"), (DESK, "dark")] {
        let tab = Tab::open(&format!("{}/board", office.url), size, scheme).await;
        tab.until("!document.querySelector('#signed-out').hidden").await;
        judge(&tab, &rules, "sign-in").await;
        tab.close().await;
        let tab = Tab::open(&office.board(), size, scheme).await;
        tab.until("document.querySelectorAll('#agents tr').length === 2").await;
        judge(&tab, &rules, "board").await;
        tab.press("j").await;
        tab.press("Enter").await;
        tab.until("document.querySelector('#detail .timeline')").await;
        judge(&tab, &rules, "detail").await;
        for (key, view) in [("x", "resolve"), ("p", "pause"), ("?", "keys")] {
            tab.press(key).await;
            tab.until("document.querySelector('dialog[open]')").await;
            judge(&tab, &rules, view).await;
            tab.press("Escape").await;
            tab.until("!document.querySelector('dialog')").await;
        }
        tab.is_well().await;
        tab.close().await;
        let tab = Tab::open(&stage, size, scheme).await;
        tab.until("+document.querySelector('#done').innerText >= 6").await;
        tab.click("#many").await;
        tab.until("document.querySelector('#many-answer').innerText && document.querySelector('#story li')")
            .await;
        judge(&tab, &rules, "demo").await;
        tab.is_well().await;
        tab.close().await;
    }
}

async fn judge(tab: &Tab, rules: &str, view: &str) {
    let function = format!(
        "async () => {{ if (!window.axe) {{ {rules} }}
        const {{ violations, passes }} = await window.axe.run(document);
        if (passes.length < 10) return ['only ' + passes.length + ' rules were looked at'];
        const where = ({{ html, failureSummary }}) => html + ' ' + failureSummary;
        return violations.map(({{ id, nodes }}) => [id, ...nodes.map(where)].join('\\n')); }}"
    );
    let violations: Vec<String> = tab.page.evaluate(&seconds(60), "judging", &function, &()).await.unwrap();
    assert!(violations.is_empty(), "{view}:\n{}", violations.join("\n\n"));
}

/// The rules as a script; `None` where they cannot be had.
async fn rules() -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", RULES, "--prefix"])
        .arg(folder.path());
    npm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let status = timeout(Duration::from_secs(120), npm.status()).await.ok()?.ok()?;
    let file = folder.path().join("node_modules/axe-core/axe.min.js");
    status.success().then(|| std::fs::read_to_string(file).ok())?
}
