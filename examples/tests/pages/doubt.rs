//! What an agent is told where nobody can tell whether an order arrived.

use archibald_testing::erp::{Fault, FaultRule, HandOrder, OrderContent, OrderState};

use crate::device::{Chromium, DESK, PHONE};
use crate::office::Office;

/// The order's save fails, while somebody else's looks just like it.
async fn nobody_can_tell(office: &Office) {
    let rule = FaultRule {
        page: Some("Order.aspx".to_owned()),
        control: Some("Save".to_owned()),
        user: None,
        nth: 1,
        fault: Fault::FailBefore,
        times: 1,
    };
    office.control.script(&[rule]).await.unwrap();
    let order = &office.order;
    let content = OrderContent {
        customer: order.customer.clone(),
        date: order.date,
        reference: String::new(),
        note: String::new(),
        lines: order.lines[..1].to_vec(),
    };
    let hand = HandOrder { number: None, agent: office.agent.clone(), state: OrderState::Open, content };
    office.control.put_order(&hand).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_says_what_happened_and_what_will() {
    let (office, chromium) = (Office::open().await, Chromium::launch().await);
    nobody_can_tell(&office).await;
    let phone = chromium.device(PHONE, "light", "it").await;
    let desk = chromium.device(DESK, "dark", "en").await;
    phone.enter(&office.app()).await;
    desk.enter(&office.app()).await;
    let line = &office.order.lines[0];
    let id = phone.begin_order(&office.customer, &line.product, &line.quantity.to_string()).await;
    phone.fill("#editor [name=date]", &office.order.date.to_string()).await;
    phone.fill("#editor .line .field:nth-child(3) input", &line.discount.to_string()).await;
    phone.click("#editor .bar .primary").await;
    for (device, told) in [(&phone, "non lo ripetiamo"), (&desk, "do not repeat it")] {
        device
            .until(&format!("document.querySelector('#running .note')?.innerText.includes('{told}')"))
            .await;
        device.until("document.querySelector('#running .badge').dataset.tone === 'doubt'").await;
        device.fits().await;
        device.is_well().await;
    }
    phone.picture("doubt-phone").await;
    desk.picture("doubt-desk-dark").await;
    // It is nobody's to change meanwhile, and other orders go on.
    phone.read::<Option<bool>>(&format!("(location.hash = '#/order/{id}', null)")).await;
    phone.until("document.querySelector('#editor fieldset:disabled')").await;
    chromium.close().await;
}
