//! An order from signing in to its number, without a mouse.

use crate::device::{Chromium, DESK};
use crate::office::{Office, TOKEN};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_made_with_the_keyboard_alone() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    let desk = chromium.device(DESK, "light", "en").await;
    desk.open(&format!("{}/app", office.url)).await;
    desk.until("document.activeElement.name === 'token'").await;
    desk.picture("sign-in-desk-light").await;
    desk.write("wrong").await;
    desk.press("Enter").await;
    desk.until("document.querySelector('#sign-in [role=alert]').textContent").await;
    desk.until("document.activeElement.name === 'token'").await;
    desk.read::<Option<bool>>("(document.activeElement.select(), null)").await;
    desk.write(TOKEN).await;
    desk.press("Enter").await;
    desk.online().await;

    desk.tab_to("#new").await;
    desk.press("Enter").await;
    desk.until("document.activeElement.id === 'editor-title'").await;
    // Nothing is missing yet but everything: the first field that is missing gets the focus.
    desk.tab_to("#editor .bar .primary").await;
    desk.press("Enter").await;
    desk.until("document.activeElement.matches('[role=combobox][aria-invalid=true]')").await;
    desk.write(&office.customer).await;
    desk.until("document.activeElement.getAttribute('aria-activedescendant')").await;
    desk.press("ArrowDown").await;
    desk.press("ArrowUp").await;
    desk.press("Enter").await;
    desk.tab_to("#editor .line [role=combobox]").await;
    desk.write(&office.products[1]).await;
    desk.until("document.activeElement.getAttribute('aria-activedescendant')").await;
    desk.press("Escape").await;
    assert!(
        desk.read::<bool>("document.activeElement.value === ''").await,
        "escape takes back what was typed"
    );
    desk.write(&office.products[1]).await;
    desk.until("document.activeElement.getAttribute('aria-activedescendant')").await;
    desk.press("Enter").await;
    desk.until("document.activeElement.matches('.figure')").await;
    desk.write("3").await;
    desk.press("Tab").await;
    desk.write("2.5").await;
    desk.tab_to("#editor .bar .primary").await;
    desk.press("Enter").await;
    desk.until("/\\d{4}/.test(document.querySelector('#finished .result')?.textContent)").await;
    let orders = office.get("pending-orders").await;
    let line = &orders["items"][0]["content"]["lines"][0];
    let expected = serde_json::json!({ "product": office.products[1], "quantity": 3, "discount": "2.5" });
    assert_eq!(line, &expected);
    // A refused token is a 401, which Chromium itself notes; the page has nothing else to complain of.
    desk.is_well().await;
    chromium.close().await;
}
