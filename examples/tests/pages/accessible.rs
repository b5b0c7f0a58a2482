//! Each view, light and dark, before the rules of axe-core.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::device::{Chromium, DESK, Device, PHONE, limit};
use crate::office::Office;

const AXE: &str = "axe-core@4.14.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_is_accessible_in_light_and_dark() {
    let folder = tempfile::tempdir().unwrap();
    let Some(axe) = axe(folder.path()).await else {
        assert!(std::env::var_os("CI").is_none(), "npm cannot install {AXE}, which judges the pages");
        eprintln!("skipped: npm cannot install {AXE}, which judges the pages");
        return;
    };
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    for (size, scheme, language) in [(PHONE, "light", "it"), (DESK, "dark", "en")] {
        let device = chromium.device(size, scheme, language).await;
        device.open(&office.url).await;
        device.until("!document.getElementById('sign-in').hidden").await;
        judge(&device, &axe, &format!("home-{scheme}")).await;
        device.open(&format!("{}/app", office.url)).await;
        device.until("!document.getElementById('sign-in').hidden").await;
        judge(&device, &axe, &format!("sign-in-{scheme}")).await;
        // A link that is opened where the page is open already.
        device.read::<Option<bool>>(&format!("(location.assign({:?}), null)", office.app())).await;
        device.until("document.getElementById('app')?.hidden === false").await;
        device.online().await;
        let id = device.begin_order(&office.customer, &office.products[0], "2").await;
        judge(&device, &axe, &format!("editor-{scheme}")).await;
        device
            .read::<Option<bool>>("(document.querySelector('#editor .line [role=combobox]').focus(), null)")
            .await;
        device.write("a").await;
        device.until("!document.querySelector('#editor .line [role=listbox]').hidden").await;
        judge(&device, &axe, &format!("search-{scheme}")).await;
        device.press("Escape").await;
        device.offline(true).await;
        device.quantity("5").await;
        device.until("document.querySelector('#line').dataset.tone === 'warn'").await;
        office.set_quantity(&id, 6).await;
        device.offline(false).await;
        device.until("document.querySelector('.versions')").await;
        judge(&device, &axe, &format!("conflict-{scheme}")).await;
        device.click(".versions > :first-child button").await;
        device.saved().await;
        device.click("#editor .bar .quiet").await;
        device.until("document.querySelector('#confirm').open").await;
        judge(&device, &axe, &format!("question-{scheme}")).await;
        device.press("Escape").await;
        device.click("#editor .bar .primary").await;
        device.until("/\\d{4}/.test(document.querySelector('#finished .result')?.textContent)").await;
        judge(&device, &axe, &format!("list-{scheme}")).await;
    }
    chromium.close().await;
}

async fn judge(device: &Device, axe: &str, view: &str) {
    device.fits().await;
    device.picture(&format!("axe-{view}")).await;
    let function = format!(
        "async () => {{ if (!window.axe) {{ {axe} }}
        const {{ violations, passes }} = await window.axe.run(document);
        if (passes.length < 10) return ['only ' + passes.length + ' rules were looked at'];
        return violations.map(({{ id, help, nodes }}) => [id, help, ...nodes.map(({{ html, failureSummary }}) => html + ' ' + failureSummary)].join('\\n')); }}"
    );
    let violations: Value = device.page.evaluate(&limit(), "judging", &function, &()).await.unwrap();
    let violations: Vec<&str> = violations.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(violations.is_empty(), "{view}:\n{}", violations.join("\n\n"));
}

/// The rules as a script; `None` where they cannot be had.
async fn axe(folder: &Path) -> Option<String> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--prefix"]).arg(folder).args(["--no-audit", "--no-fund", "--ignore-scripts", AXE]);
    let installing =
        npm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).status();
    let status = tokio::time::timeout(Duration::from_secs(120), installing).await.ok()?.ok()?;
    if !status.success() {
        return None;
    }
    std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).ok()
}
