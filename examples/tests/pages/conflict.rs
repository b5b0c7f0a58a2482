//! Two devices that change the same order at the same time.

use crate::device::{Chromium, DESK, PHONE};
use crate::office::Office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_are_shown_and_a_person_chooses() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let phone = chromium.device(PHONE, "light", "it").await;
    let desk = chromium.device(DESK, "light", "en").await;
    phone.enter(&office.app()).await;
    let id = phone.begin_order(&office.customer, &office.products[0], "1").await;

    for (choice, expected) in [("mine", 5), ("theirs", 6)] {
        phone.offline(true).await;
        phone.quantity("5").await;
        phone.until("document.querySelector('#line').dataset.tone === 'warn'").await;
        office.set_quantity(&id, 6).await;
        phone.offline(false).await;
        phone.until("document.querySelector('.versions')").await;
        phone.fits().await;
        phone.is_well().await;
        phone.picture(&format!("conflict-{choice}-phone")).await;
        let marked: usize = phone.read("document.querySelectorAll('.differs').length").await;
        assert_eq!(marked, 2, "one line differs, and is marked in both");
        let button = if choice == "mine" { "first" } else { "last" };
        phone.click(&format!(".versions > :{button}-child button")).await;
        phone.saved().await;
        office.keeps(&[expected]).await;
        let shown: String = phone.read("document.querySelector('#editor .line .figure').value").await;
        assert_eq!(shown, expected.to_string());
        office.set_quantity(&id, 1).await;
        phone.until("document.querySelector('#editor .line .figure').value === '1'").await;
    }
    desk.enter(&office.app()).await;
    desk.until(&format!("document.querySelector('#drafts [data-key=\"{id}\"]')")).await;
    desk.is_well().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_into_an_order_that_is_deleted_elsewhere_is_not_lost() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let desk = chromium.device(DESK, "dark", "it").await;
    desk.enter(&office.app()).await;
    let id = desk.begin_order(&office.customer, &office.products[0], "1").await;
    desk.offline(true).await;
    desk.quantity("5").await;
    desk.until("document.querySelector('#line').dataset.tone === 'warn'").await;
    office.delete(&id).await;
    desk.offline(false).await;
    office.keeps(&[5]).await;
    desk.until("document.querySelector('#toasts').innerText.includes('ordine nuovo')").await;
    desk.until("document.querySelectorAll('#drafts > li').length === 1").await;
    desk.is_well().await;
    chromium.close().await;
}
