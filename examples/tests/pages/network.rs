//! The network goes and comes back, and so does the server: what was typed is there, once.

use serde_json::json;

use crate::cable::Cable;
use crate::device::{Chromium, DESK, PHONE};
use crate::office::Office;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_without_a_network_arrives_once_when_it_is_back() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let phone = chromium.device(PHONE, "light", "it").await;
    phone.enter(&office.app()).await;
    phone.offline(true).await;
    phone.until("document.querySelector('#line').dataset.tone === 'warn'").await;
    phone.click("#new").await;
    phone.choose(0, &office.customer).await;
    phone.choose(1, &office.products[0]).await;
    phone.write("3").await;
    phone.until("/dispositivo/.test(document.querySelector('#editor .bar [role=status]').textContent)").await;
    phone.picture("offline-phone").await;
    phone.click(".back").await;
    phone.until("document.querySelector('#drafts .badge')?.textContent === 'Solo qui'").await;
    phone.fits().await;
    phone.has_a_low_head().await;
    phone.picture("offline-list-phone").await;
    phone.offline(false).await;
    phone.online().await;
    office.keeps(&[3]).await;
    phone.until("!document.querySelector('#drafts .badge')").await;
    chromium.close().await;
}

/// The network goes while a change is under way: the server has it, and its answer never arrives. The person types on, and
/// sends the order, whose answer is lost as well. Nothing is lost, and nothing is done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_goes_in_the_middle_of_typing_loses_nothing_and_sends_nothing_twice() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let cable = Cable::to(&office.url).await;
    let phone = chromium.device(PHONE, "light", "it").await;
    phone.enter(&office.app().replace(&office.url, &cable.url)).await;
    let id = phone.begin_order(&office.customer, &office.products[0], "2").await;
    let status = "document.querySelector('#editor .bar [role=status]').textContent";

    cable.deafen();
    phone.quantity("3").await;
    office.keeps(&[3]).await;
    let told: String = phone.read(status).await;
    assert!(!told.starts_with('✓'), "the answer is on its way: {told}");
    cable.cut();
    phone.until("document.querySelector('#line').dataset.tone === 'warn'").await;
    phone.quantity("4").await;
    phone.click("#editor .lines + button").await;
    phone.choose(2, &office.products[1]).await;
    phone.write("5").await;
    phone.until(&format!("/dispositivo/.test({status})")).await;
    office.keeps(&[3]).await;
    cable.mend();
    phone.online().await;
    phone.saved().await;
    office.keeps(&[4]).await;
    let draft = office.get(&format!("pending-orders/{id}")).await;
    let lines = draft["content"]["lines"].as_array().unwrap().iter();
    let lines: Vec<_> = lines.map(|line| (line["product"].clone(), line["quantity"].clone())).collect();
    let typed = [(0, 4), (1, 5)].map(|(place, count)| (json!(office.products[place]), json!(count)));
    assert_eq!(lines, typed);

    cable.deafen();
    phone.click("#editor .bar .primary").await;
    office.orders_something().await;
    cable.cut();
    phone.until("document.querySelector('#line').dataset.tone === 'warn'").await;
    cable.mend();
    phone.online().await;
    phone.until("document.querySelectorAll('#finished > li').length === 1").await;
    phone.until("document.querySelector('#drafts').children.length === 0").await;
    let effects = office.control.ledger(0).await.unwrap();
    let saved: Vec<_> = effects.iter().filter_map(|effect| effect.order.as_ref()).collect();
    assert_eq!((effects.len(), saved[0].lines.len()), (1, 2), "{effects:?}");
    assert_eq!(office.get("operations?kind=submit-order").await["items"].as_array().unwrap().len(), 1);
    phone.is_well().await;
    chromium.close().await;
}

/// The tabs of a device share what waits: one sends, and the others hear of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_tab_cannot_send_another_one_does() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let stuck = chromium.device(DESK, "light", "it").await;
    stuck.enter(&office.app()).await;
    let other = stuck.tab().await;
    other.open(&format!("{}/app", office.url)).await;
    other.online().await;
    stuck.offline(true).await;
    stuck.begin_order(&office.customer, &office.products[0], "3").await;
    office.keeps(&[3]).await;
    stuck.saved().await;
    stuck.quantity("4").await;
    office.keeps(&[4]).await;
    stuck.saved().await;
    stuck.is_well().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_outlives_its_server() {
    let (mut office, chromium) = (Office::open().await, Chromium::launch().await);
    let desk = chromium.device(DESK, "dark", "it").await;
    desk.enter(&office.app()).await;
    let id = desk.begin_order(&office.customer, &office.products[0], "2").await;

    office.kill_server();
    desk.quantity("4").await;
    desk.until("/dispositivo/.test(document.querySelector('#editor .bar [role=status]').textContent)").await;
    desk.picture("server-gone-desk-dark").await;
    office.start_server();
    desk.online().await;
    desk.saved().await;
    office.keeps(&[4]).await;
    assert!(desk.read::<bool>("!document.querySelector('#again').open").await, "nobody is asked to sign in");

    // What happens elsewhere is followed again.
    office.set_quantity(&id, 8).await;
    desk.until("document.querySelector('#editor .line .figure').value === '8'").await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_app_starts_without_a_server_and_goes_on_with_it() {
    let (mut office, chromium) = (Office::open().await, Chromium::launch().await);
    let phone = chromium.device(PHONE, "dark", "it").await;
    phone.enter(&office.app()).await;
    phone.begin_order(&office.customer, &office.products[0], "2").await;
    phone.until("navigator.serviceWorker.controller").await;
    phone.until("caches.keys().then((names) => names.length === 1)").await;
    let stored: Vec<String> = phone
        .read("caches.keys().then(([name]) => caches.open(name)).then((kept) => kept.keys()).then((all) => all.map(({ url }) => url))")
        .await;
    assert!(stored.len() > 15 && !stored.iter().any(|url| url.contains("/v1")), "{stored:?}");

    office.kill_server();
    phone.open(&format!("{}/app", office.url)).await;
    phone.until("document.querySelectorAll('#drafts > li').length === 1").await;
    phone.has_a_low_head().await;
    phone.picture("started-offline-phone-dark").await;
    phone.click("#drafts a").await;
    phone.quantity("5").await;
    phone.until("/dispositivo/.test(document.querySelector('#editor .bar [role=status]').textContent)").await;

    // The session was in the server's memory, and the token in the page's: now a person is asked, over the page.
    office.start_server();
    phone.until("document.querySelector('#again').open").await;
    phone.has_a_low_head().await;
    phone.picture("sign-in-again-phone-dark").await;
    phone.fill("#again input", crate::office::TOKEN).await;
    phone.click("#again button").await;
    phone.online().await;
    phone.saved().await;
    office.keeps(&[5]).await;
    chromium.close().await;
}
