use archibald_testing::erp::{Fault, FaultRule, HandOrder, OrderContent, OrderState};
use serde_json::json;

use crate::browser::Tab;
use crate::office::Office;

const DESK: (u32, u32) = (1440, 1000);
const PHONE: (u32, u32) = (360, 740);

pub fn tile(state: &str) -> String {
    format!("[...document.querySelectorAll('.tile')].find((tile) => tile.innerText.includes('{state}'))")
}

/// An order whose save fails, while somebody else's looks just like it: nobody can tell but a person.
pub async fn doubt(office: &Office) -> String {
    let order = office.order(0);
    let content = OrderContent {
        customer: order.customer.clone(),
        date: order.date,
        reference: String::new(),
        note: String::new(),
        lines: order.lines.clone(),
    };
    let hand = HandOrder { number: None, agent: order.agent.clone(), state: OrderState::Open, content };
    let rule = FaultRule {
        page: Some("Order.aspx".to_owned()),
        control: Some("Save".to_owned()),
        user: None,
        nth: 1,
        fault: Fault::FailBefore,
        times: 1,
    };
    office.control.script(&[rule]).await.unwrap();
    office.control.put_order(&hand).await.unwrap();
    let id = office.submit(order).await;
    office.until(&order.agent, &id, "in_doubt").await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubt_is_decided_with_the_keyboard_alone_beside_what_was_seen() {
    let office = Office::open().await;
    let id = doubt(&office).await;
    let agent = office.order(0).agent.clone();
    let tab = Tab::open(&office.board(), DESK, "light").await;
    tab.until(&format!("{} ?.querySelector('b').innerText === '1'", tile("in doubt"))).await;
    tab.press("d").await;
    tab.until("new URLSearchParams(location.search).get('state') === 'in_doubt'").await;
    tab.press("j").await;
    tab.press("Enter").await;
    tab.until("document.querySelector('#detail .timeline')").await;
    tab.shot("board-doubt").await;
    tab.press("x").await;
    tab.until("document.querySelector('dialog[open] .seen')").await;
    let seen: String = tab.read("document.querySelector('dialog .seen').innerText").await;
    assert!(seen.contains("sent, outcome unknown"), "{seen}");
    tab.tab_to("input[value=applied]").await;
    tab.press(" ").await;
    tab.shot("board-resolve").await;
    tab.tab_to("input[name=number]").await;
    tab.write("1042").await;
    tab.press("Enter").await;
    let operation = office.until(&agent, &id, "completed").await;
    assert_eq!(operation["result"]["order"], "1042", "{operation}");
    tab.until("!document.querySelector('dialog')").await;
    tab.until("document.querySelector('#detail').innerText.includes('order 1042')").await;
    tab.press("Escape").await;
    tab.until("document.querySelector('#detail').hidden").await;
    tab.press("?").await;
    tab.until("document.querySelector('dialog[open] kbd')").await;
    tab.is_well().await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clicks_tell_why_an_operation_waits_and_a_pause_says_what_follows() {
    let office = Office::open().await;
    let agent = office.order(0).agent.clone();
    let tab = Tab::open(&office.board(), DESK, "light").await;
    tab.until("document.querySelectorAll('#agents tr').length === 2").await;

    tab.click("#pause").await;
    let what = format!("agent {agent}");
    let choose = format!(
        "(() => {{ const what = document.querySelector('dialog select'); what.value = '{what}'; \
         what.dispatchEvent(new Event('change', {{ bubbles: true }})); return true; }})()"
    );
    assert!(tab.read::<bool>(&choose).await);
    let follows: String = tab.read("document.querySelector('dialog .note').innerText").await;
    assert!(follows.contains(&agent) && follows.contains("until somebody resumes it"), "{follows}");
    tab.tab_to("input[name=why]").await;
    tab.write("stock-taking").await;
    tab.shot("board-pause").await;
    tab.press("Enter").await;
    tab.until("document.querySelector('#pauses').innerText.includes('stock-taking')").await;

    office.submit(office.order(0)).await;
    tab.until(&format!("{} ?.querySelector('b').innerText === '1'", tile("waiting"))).await;
    assert!(tab.read::<bool>(&format!("({}.click(), true)", tile("waiting"))).await);
    tab.click("#list [role=option]:not([hidden])").await;
    tab.until("document.querySelector('#detail .why')?.innerText.includes('stock-taking')").await;
    tab.shot("board-why").await;

    tab.click("#pauses button").await;
    tab.until("!document.querySelector('#pauses').innerText").await;
    tab.until("document.querySelector('#detail').innerText.includes('completed')").await;
    tab.is_well().await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_in_the_address_and_a_phone_shows_it_all() {
    let office = Office::open().await;
    let order = office.order(0);
    let id = office.submit(order).await;
    office.until(&order.agent, &id, "completed").await;
    let address =
        format!("{}/board?state=completed&agent={}&op={}~{id}", office.url, order.agent, order.agent);
    let tab = Tab::open(&office.board(), PHONE, "dark").await;
    tab.until("document.querySelectorAll('#agents tr').length === 2").await;
    tab.is_well().await;
    tab.shot("board-phone").await;
    tab.close().await;
    let tab = Tab::open(&format!("{address}#token={}", crate::office::OPERATOR), PHONE, "dark").await;
    tab.until("document.querySelector('#detail').innerText.includes('accepted and on disk')").await;
    tab.until("document.querySelector('#filter [name=agent]').length > 1").await;
    let shown: Vec<String> = tab
        .read("['state', 'agent'].map((name) => document.querySelector(`#filter [name=${name}]`).value)")
        .await;
    assert_eq!(shown, ["completed".to_owned(), order.agent.clone()]);
    tab.is_well().await;
    tab.shot("board-phone-detail").await;
    tab.close().await;
}

/// The list begins with the last fifty that are over. What is older comes when it is asked for, as the filter of the
/// address wants it, and what happens meanwhile is seen as before.
#[tokio::test(flavor = "multi_thread")]
async fn older_operations_are_loaded_with_the_keyboard_as_far_back_as_there_are_any() {
    let office = Office::open().await;
    let agent = office.order(0).agent.clone();
    office.post("/v1/admin/pause", &json!({ "agent": agent })).await;
    for number in 0..260 {
        let order =
            json!({ "kind": "create-customer", "payload": { "name": "Toms" }, "key": format!("{number}") });
        let accepted = office.post(&format!("/v1/agents/{agent}/operations"), &order).await;
        let cancel = format!("/v1/agents/{agent}/operations/{}/cancel", accepted["id"].as_str().unwrap());
        office.post(&cancel, &json!({})).await;
    }
    let address =
        format!("{}/board?state=cancelled&agent={agent}#token={}", office.url, crate::office::OPERATOR);
    let tab = Tab::open(&address, DESK, "light").await;
    let lists = |count: usize| format!("document.querySelector('#count').innerText.startsWith('{count} of')");
    tab.until(&lists(50)).await;

    tab.tab_to("#older").await;
    tab.press("Enter").await;
    tab.until(&lists(200)).await;
    tab.until("document.querySelector('#older-said').innerText.startsWith('150 older')").await;
    tab.shot("board-older").await;
    office.post("/v1/admin/resume", &json!({ "agent": agent })).await;
    let id = office.submit(office.order(0)).await;
    tab.until(&format!("{} ?.querySelector('b').innerText === '1'", tile("completed"))).await;
    assert!(tab.read::<bool>(&lists(200)).await, "of another state");
    tab.press("o").await;
    tab.until(&lists(260)).await;
    tab.until("document.querySelector('#older-said').innerText.includes('nothing older')").await;
    tab.until("document.querySelector('#older').hidden && document.activeElement.id === 'list'").await;

    // Another filter is another question.
    tab.press("0").await;
    tab.until(&lists(261)).await;
    tab.until("!document.querySelector('#older').hidden").await;
    tab.until(&format!(
        "document.querySelector('#list [role=option][aria-posinset=\"1\"]').dataset.id === '{id}'"
    ))
    .await;
    tab.is_well().await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_charts_show_the_last_hours_as_soon_as_the_board_is_opened() {
    let office = Office::open().await;
    let order = office.order(0);
    let id = office.submit(order).await;
    office.until(&order.agent, &id, "completed").await;
    let filled = "document.querySelectorAll('#charts .bar.completed').length === 2 && \
         document.querySelector('#charts .p50')?.getAttribute('d') && \
         document.querySelector('#charts').innerText.includes('1 completed')";
    let tab = Tab::open(&office.board(), DESK, "light").await;
    tab.until(filled).await;
    tab.shot("board-history").await;
    tab.read::<bool>("(location.reload(), true)").await;
    tab.until(&format!("performance.getEntriesByType('navigation')[0]?.type === 'reload' && {filled}")).await;
    let choose = "(() => { const span = document.querySelector('#span'); span.value = 'day'; \
         span.dispatchEvent(new Event('change', { bubbles: true })); return true; })()";
    assert!(tab.read::<bool>(choose).await);
    tab.until("document.querySelector('#charts').innerText.includes('each 16 min')").await;
    tab.until(filled).await;
    assert_eq!(tab.read::<String>("new URLSearchParams(location.search).get('span')").await, "day");
    tab.is_well().await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_asks_who_is_there() {
    let office = Office::open().await;
    let tab = Tab::open(&format!("{}/board", office.url), PHONE, "light").await;
    tab.until("!document.querySelector('#signed-out').hidden").await;
    assert!(tab.read::<bool>("document.querySelector('#content').hidden").await);
    tab.tab_to("input[name=token]").await;
    tab.write(crate::office::OPERATOR).await;
    tab.press("Enter").await;
    tab.until("!document.querySelector('#content').hidden").await;
    tab.close().await;
}
