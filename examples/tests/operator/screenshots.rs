//! What the documentation shows of the pages for operators.

use crate::board::{doubt, tile};
use crate::browser::{Tab, seconds};
use crate::demo::demo;
use crate::office::Office;
use crate::screenshot;

const WINDOW: (u32, u32) = (1280, 1300);

#[tokio::test(flavor = "multi_thread")]
async fn the_board_with_a_doubt_and_the_last_hour() {
    let office = Office::open().await;
    doubt(&office).await;
    let first = office.order(0).id;
    let others: Vec<_> = office.data.workload(false).into_iter().filter(|order| order.id != first).collect();
    for order in &others {
        office.submit(order).await;
    }
    let completed = others.len();
    let tab = Tab::open(&office.board().replace("/board", "/board?span=hour"), WINDOW, "light").await;
    tab.until(&format!("{} ?.querySelector('b').innerText === '{completed}'", tile("completed"))).await;
    tab.until(&format!("{} ?.querySelector('b').innerText === '1'", tile("in doubt"))).await;
    let outcomes = format!("{completed} completed · 1 in doubt");
    tab.until(&format!("document.querySelector('#charts').innerText.includes('{outcomes}')")).await;
    screenshot::take(&tab.page, &seconds(60), "board").await;
    tab.is_well().await;
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_when_all_its_orders_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, address) = demo(folder.path());
    let tab = Tab::open(&address, WINDOW, "light").await;
    tab.until("+document.querySelector('#done').innerText >= 6").await;
    tab.until("document.querySelector('#open').innerText === '0'").await;
    screenshot::take(&tab.page, &seconds(60), "demo").await;
    tab.is_well().await;
    tab.close().await;
}
