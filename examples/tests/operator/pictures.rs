//! What a session in use shows, on the board, while somebody looks.

use archibald_testing::erp::BehaviourChange;

use crate::browser::Tab;
use crate::office::Office;

const DESK: (u32, u32) = (1440, 1000);

/// How often the board asked for a picture.
const ASKED: &str =
    "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/picture')).length";

async fn latency(office: &Office, millis: u64) {
    let change = BehaviourChange { latency_ms: Some(millis), ..BehaviourChange::default() };
    office.control.configure(&change).await.unwrap();
}

/// Tells the page that its tab is hidden, or is not any more.
async fn hide(tab: &Tab, hidden: bool) {
    let tell = format!(
        "(Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}), \
         document.dispatchEvent(new Event('visibilitychange')))"
    );
    assert!(tab.read::<bool>(&tell).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_shows_what_a_session_in_use_shows_while_somebody_looks() {
    let office = Office::open_with_a_browser().await;
    let order = office.order(0).clone();
    let tab = Tab::open(&office.board(), DESK, "light").await;
    tab.until("document.querySelectorAll('#agents tr').length === 2").await;
    assert!(
        tab.read::<bool>("(scrollTo(0, 0), document.querySelector('#pictures').childElementCount === 0)")
            .await
    );
    // Every page takes long, so that there is time to look.
    latency(&office, 5000).await;
    let id = office.submit(&order).await;
    tab.until("document.querySelector('#pictures figure')").await;
    tab.read::<bool>("(document.querySelector('#pictures').scrollIntoView(), true)").await;
    tab.until("document.querySelector('#pictures img')?.naturalWidth > 0").await;
    let alt: String = tab.read("document.querySelector('#pictures img').alt").await;
    assert_eq!(alt, format!("What the session of {} shows just now", order.agent));
    let size = "(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])(document.querySelector('#pictures img'))";
    assert_eq!(tab.read::<[u32; 2]>(size).await, [320, 200]);
    tab.shot("board-pictures").await;

    // Whatever waits for its time goes on at once: without a look at who looks, it would never stop asking.
    hide(&tab, true).await;
    let hurry = "(window.later = setTimeout, \
         window.setTimeout = (what, ms, ...more) => later(what, ms === 2000 ? 0 : ms, ...more), true)";
    tab.read::<bool>(hurry).await;
    let frames = "(async () => { const before = COUNT; \
         for (let frame = 0; frame < 200; frame++) await new Promise(requestAnimationFrame); \
         return COUNT - before; })()";
    let more: u32 = tab.read(&frames.replace("COUNT", ASKED)).await;
    assert!(more <= 1, "{more} more pictures were asked for in a hidden tab");
    let before: u32 = tab.read(ASKED).await;
    tab.read::<bool>("(window.setTimeout = later, true)").await;
    hide(&tab, false).await;
    tab.until(&format!("{ASKED} > {before}")).await;

    latency(&office, 5).await;
    office.until(&order.agent, &id, "completed").await;
    tab.until("!document.querySelector('#pictures figure')").await;
    tab.is_well().await;
    tab.close().await;
}
