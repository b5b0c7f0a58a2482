//! Two people, one browser: what is one's is neither shown nor sent as the other's.

use serde_json::json;

use crate::device::{Chromium, DESK, Device};
use crate::office::{COLLEAGUES_TOKEN, Office, TOKEN};

/// What the page asked of this agent's.
async fn asked(device: &Device, agent: &str) -> usize {
    let of_agent = format!("name.includes('/v1/agents/{agent}/')");
    let asked = "performance.getEntriesByType('resource').filter(({ name }) => OF).length";
    device.read(&asked.replace("OF", &of_agent)).await
}

async fn sign_in(device: &Device, form: &str, token: &str) {
    device.fill(&format!("{form} [name=token]"), token).await;
    device.click(&format!("{form} button.primary")).await;
    device.until("!document.getElementById('app').hidden").await;
    device.online().await;
}

/// Nothing of the first one's is on the page, nothing was asked as the first one, and the colleague has nothing new.
async fn is_the_colleagues_alone(device: &Device, office: &Office) {
    let cards: usize = device.read("document.querySelectorAll('#overview ul.cards > li').length").await;
    let text: String = device.read("document.documentElement.innerHTML").await;
    assert_eq!(cards, 0, "{text}");
    for word in [&office.agent, &office.customer, &office.products[0]] {
        assert!(!text.contains(word.as_str()), "{word}: {text}");
    }
    assert_eq!(asked(device, &office.agent).await, 0);
    assert!(asked(device, &office.colleague).await > 0);
    assert_eq!(office.colleagues("pending-orders").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_in_next_neither_sees_nor_sends_what_another_one_left_unsent() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let desk = chromium.device(DESK, "light", "it").await;
    desk.enter(&office.app()).await;
    desk.begin_order(&office.customer, &office.products[0], "2").await;
    desk.until("navigator.serviceWorker.controller").await;
    desk.offline(true).await;
    desk.quantity("7").await;
    desk.until("/dispositivo/.test(document.querySelector('#editor .bar [role=status]').textContent)").await;
    desk.click("#sign-out").await;
    desk.until("document.querySelector('#confirm').open").await;
    desk.click("#confirm-yes").await;
    desk.until(
        "document.querySelector('#sign-in')?.hidden === false && document.querySelector('#app').hidden",
    )
    .await;

    desk.offline(false).await;
    sign_in(&desk, "#sign-in", COLLEAGUES_TOKEN).await;
    is_the_colleagues_alone(&desk, &office).await;
    office.keeps(&[2]).await;
    desk.click("#sign-out").await;
    desk.until(
        "document.querySelector('#sign-in')?.hidden === false && document.querySelector('#app').hidden",
    )
    .await;

    // It was not lost either.
    sign_in(&desk, "#sign-in", TOKEN).await;
    office.keeps(&[7]).await;
    assert_eq!(office.colleagues("pending-orders").await["items"], json!([]));
    desk.is_well().await;
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_one_sends_nothing_while_another_one_is_signed_in_beside_it() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let first = chromium.device(DESK, "light", "it").await;
    first.enter(&office.app()).await;
    first.begin_order(&office.customer, &office.products[0], "2").await;
    let second = first.tab().await;
    second.enter(&format!("{}/app#token={COLLEAGUES_TOKEN}", office.url)).await;

    first.quantity("7").await;
    first.until("document.querySelector('#again').open").await;
    is_the_colleagues_alone(&second, &office).await;
    office.keeps(&[2]).await;

    // Only the first one's own token is taken there, and then the other page waits.
    first.fill("#again [name=token]", COLLEAGUES_TOKEN).await;
    first.click("#again button.primary").await;
    first.until("document.querySelector('#again [role=alert]').textContent").await;
    office.keeps(&[2]).await;
    sign_in(&first, "#again", TOKEN).await;
    office.keeps(&[7]).await;
    second.until("document.querySelector('#again').open").await;
    assert_eq!(office.colleagues("pending-orders").await["items"], json!([]));
    chromium.close().await;
}
