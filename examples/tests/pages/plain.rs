//! What those see who have no JavaScript.

use serde_json::json;

use crate::device::{Chromium, PHONE};
use crate::office::Office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_scripts_the_pages_say_what_they_need() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let phone = chromium.device(PHONE, "light", "it").await;
    phone.command("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    for (path, name) in [("/", "home"), ("/app", "app")] {
        phone.open(&format!("{}{path}", office.url)).await;
        let text: String = phone.read("document.querySelector('main').innerText").await;
        assert!(
            text.contains("needs JavaScript") && text.contains("JavaScript: attivalo") || path == "/",
            "{text}"
        );
        assert!(text.contains("Archibald") && text.contains("serve JavaScript"), "{text}");
        phone.fits().await;
        phone.picture(&format!("no-script-{name}-phone")).await;
    }
    chromium.close().await;
}
