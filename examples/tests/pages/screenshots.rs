//! What the documentation shows of the agent's app.

use crate::device::{Chromium, PHONE, limit};
use crate::office::Office;
use crate::screenshot;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_on_a_phone_with_an_order_that_is_done_and_one_in_preparation() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let phone = chromium.device(PHONE, "light", "en").await;
    phone.enter(&office.app()).await;
    phone.begin_order(&office.customer, &office.products[0], "7").await;
    phone.click("#editor .bar .primary").await;
    phone.until("/\\d{4}/.test(document.querySelector('#finished .result')?.textContent)").await;
    let prepared = phone.begin_order(&office.customer, &office.products[1], "3").await;
    phone.click(".back").await;
    phone.until(&format!("document.querySelector('#drafts [data-key=\"{prepared}\"]')")).await;
    phone.fits().await;
    screenshot::take(&phone.page, &limit(), "app").await;
    phone.is_well().await;
    chromium.close().await;
}
