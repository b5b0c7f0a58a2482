//! Two devices of one agent show the same.

use crate::device::{Chromium, DESK, Device, PHONE};
use crate::office::Office;

/// What a device shows of its lists, without the times of day.
async fn shown(device: &Device) -> Vec<String> {
    let cards = "[...document.querySelectorAll('#overview ul.cards > li')]
        .map((card) => [card.parentElement.id, card.dataset.key, card.querySelector('strong').textContent].join(' '))";
    device.read(cards).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_devices_stay_equal_from_the_first_key_to_the_orders_number() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let desk = chromium.device(DESK, "light", "it").await;
    let phone = chromium.device(PHONE, "dark", "it").await;
    desk.enter(&office.app()).await;
    phone.enter(&office.app()).await;
    phone.picture("list-empty-phone").await;

    let id = desk.begin_order(&office.customer, &office.products[0], "7").await;
    phone.until(&format!("document.querySelector('#drafts [data-key=\"{id}\"]')")).await;
    assert_eq!(shown(&phone).await, shown(&desk).await);
    desk.picture("editor-desk-light").await;

    // What one types, the other one sees, without anybody's asking.
    phone.click(&format!("#drafts [data-key=\"{id}\"] a")).await;
    phone.until("document.querySelector('#editor .line .figure')?.value === '7'").await;
    phone.quantity("9").await;
    desk.until("document.querySelector('#editor .line .figure').value === '9'").await;
    phone.fits().await;
    phone.picture("editor-phone-dark").await;
    phone.saved().await;

    desk.click("#editor .bar .primary").await;
    for device in [&desk, &phone] {
        device.until("/\\d{4}/.test(document.querySelector('#finished .result')?.textContent)").await;
        device.until("document.querySelector('#drafts').children.length === 0").await;
    }
    phone.click(".back").await;
    assert_eq!(shown(&phone).await, shown(&desk).await);
    let effects = office.control.ledger(0).await.unwrap();
    assert_eq!(effects.len(), 1, "{effects:?}");

    // On to Verona: the question names what comes of it.
    phone.click("#finished button").await;
    phone.until("document.querySelector('#confirm').open").await;
    phone.picture("verona-phone-dark").await;
    phone.click("#confirm-yes").await;
    for device in [&desk, &phone] {
        device.until("document.querySelectorAll('#finished > li').length === 2").await;
        device.until("!document.querySelector('#finished button')").await;
        device.fits().await;
        device.is_well().await;
    }
    desk.picture("list-desk-light").await;
    phone.picture("list-phone-dark").await;
    chromium.close().await;
}
