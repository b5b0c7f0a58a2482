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

/// Without a browser there are no pictures: the board is told so once, and asks no more.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_no_pictures_the_board_asks_once() {
    let office = Office::open().await;
    let tab = Tab::open(&office.board(), DESK, "light").await;
    tab.until("document.querySelectorAll('#agents tr').length === 2").await;
    latency(&office, 5000).await;
    office.submit(office.order(0)).await;
    tab.until("document.querySelector('#pictures figure')").await;
    let hurry = "(window.later = setTimeout, window.setTimeout = (what, ms, ...more) => later(what, 0, ...more), \
         document.querySelector('#pictures').scrollIntoView(), true)";
    tab.read::<bool>(hurry).await;
    tab.until(&format!("{ASKED} > 0")).await;
    let frames = format!(
        "(async () => {{ for (let frame = 0; frame < 200; frame++) await new Promise(requestAnimationFrame); return {ASKED}; }})()"
    );
    assert_eq!(tab.read::<u32>(&frames).await, 1);
    // Nor when somebody looks away and again.
    hide(&tab, true).await;
    hide(&tab, false).await;
    assert_eq!(tab.read::<u32>(&frames).await, 1);
    tab.is_well().await;
    tab.close().await;
}

/// Takes the place of the network for the pictures of ten agents: what is asked for waits until it is answered.
const STAGE: &str = "(async () => {
    const { Pictures } = await import('/assets/board-pictures.js');
    Object.assign(window, { flying: [], pauses: [], aborted: 0, most: 0, later: setTimeout });
    window.setTimeout = (what, ms, ...more) => { if (ms >= 2000) pauses.push(ms); return later(what, 0, ...more); };
    window.fetch = (path, { signal }) => new Promise((answer, refuse) => {
        const asked = { agent: path.split('/')[4], answer: (status) => { flying.splice(flying.indexOf(asked), 1); answer(new Response('', { status })); } };
        signal.addEventListener('abort', () => { if (!flying.includes(asked)) return; aborted += 1; flying.splice(flying.indexOf(asked), 1); refuse(signal.reason); });
        flying.push(asked);
        most = Math.max(most, flying.length);
    });
    const box = document.createElement('div');
    document.body.prepend(box);
    scrollTo(0, 0);
    new Pictures(box).show(Array.from({ length: 10 }, (_, number) => `agent-${number}`));
    return true; })()";

#[tokio::test(flavor = "multi_thread")]
async fn few_pictures_are_asked_for_at_a_time_fewer_after_errors_and_none_once_nobody_looks() {
    let office = Office::open().await;
    let tab = Tab::open(&format!("{}/board", office.url), DESK, "light").await;
    tab.until("!document.querySelector('#signed-out').hidden").await;
    tab.read::<bool>(STAGE).await;
    let agents = "flying.map(({ agent }) => agent)";

    // Ten agents, one after the other as far as places get free.
    let mut asked = vec![];
    for left in (0..10).rev() {
        let waiting = 3.min(left + 1);
        tab.until(&format!("flying.length === {waiting}")).await;
        asked.push(
            tab.read::<String>("(() => { const [one] = flying; one.answer(404); return one.agent; })()")
                .await,
        );
    }
    asked.sort();
    asked.dedup();
    assert_eq!((asked.len(), tab.read::<usize>("most").await), (10, 3));
    tab.until("pauses.length === 1 && flying.length === 3").await;

    // The first error ends the round, and each one doubles the time until the next. Those that failed go to the end,
    // so that others have their turn.
    for round in 2..=7 {
        let failed: Vec<String> = tab.read(agents).await;
        tab.read::<bool>("([...flying].forEach((one) => one.answer(503)), true)").await;
        tab.until(&format!("pauses.length === {round} && flying.length === 3")).await;
        let others: Vec<String> = tab.read(agents).await;
        assert!(others.iter().all(|other| !failed.contains(other)), "{failed:?}, then {others:?}");
    }
    let pauses: Vec<u32> = tab.read("pauses").await;
    assert_eq!(pauses, [2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);

    tab.until("flying.length === 3").await;
    hide(&tab, true).await;
    tab.until("aborted === 3 && flying.length === 0").await;
    tab.close().await;
}
