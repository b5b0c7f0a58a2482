//! Editing, deleting and sending an order.

use archibald_core::effect::ActOutcome;
use archibald_core::erp::WantedOrder;
use archibald_testing::erp::{EffectKind, OrderState};

use crate::stage::{LONG, Stage, content, saved, wanted};

/// Edits an order from one content to another; answers how many lines were removed and added by a postback.
async fn edited(before: &WantedOrder, after: &WantedOrder) -> (u64, u64) {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let number = stage.put_as("nancy", before, OrderState::Open).await;
    let (intent, _) = stage.intent(LONG).await;
    let (gate, reference) = (stage.gate(), &after.reference);
    let outcome = session.client().edit_order(&number, after, reference, intent, gate).await;
    let ActOutcome::Done(order) = outcome else { panic!("{outcome:?}") };
    assert_eq!((&order.number, content(&order)), (&number, after.clone()));
    assert_eq!(saved(&stage.erp).pop().unwrap(), (number, after.clone()));
    assert_eq!((stage.effects().len(), stage.saves_posted()), (1, 1));
    // Turning the pages of the lines is a postback of their grid as well.
    let turned = (before.lines.len().div_ceil(20) - 1) + (after.lines.len().div_ceil(20) - 1);
    (stage.posted("Order.aspx", "Lines") - turned as u64, stage.posted("Order.aspx", "AddLine"))
}

#[tokio::test]
async fn an_edit_changes_only_what_differs() {
    let before = wanted(25);
    assert_eq!(edited(&before, &before).await, (0, 0));
    let header = WantedOrder {
        date: "2026-11-22".parse().unwrap(),
        reference: "other".to_owned(),
        note: "two\nlines".to_owned(),
        ..before.clone()
    };
    assert_eq!(edited(&before, &header).await, (0, 0));
    let mut last = before.clone();
    last.lines[24].quantity += 1;
    assert_eq!(edited(&before, &last).await, (1, 1));
    let mut without_the_third = before.clone();
    without_the_third.lines.remove(2);
    assert_eq!(edited(&before, &without_the_third).await, (23, 22));
    assert_eq!(edited(&before, &wanted(19)).await, (6, 0));
    assert_eq!(edited(&wanted(19), &before).await, (0, 6));
}

#[tokio::test]
async fn an_edit_to_what_the_erp_does_not_take_is_refused_and_changes_nothing() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let number = stage.put_as("nancy", &wanted(2), OrderState::Open).await;
    let mut unknown_product = wanted(3);
    unknown_product.lines[2].product = "A9999".to_owned();
    let unknown_customer = WantedOrder { customer: "NOBODY".to_owned(), ..wanted(2) };
    let cases = [
        (unknown_product, "Articolo sconosciuto.", 0),
        (unknown_customer, "Cliente sconosciuto.", 1),
        (wanted(0), "Inserire almeno una riga.", 2),
    ];
    for (order, words, posted) in cases {
        let (intent, reference) = stage.intent(LONG).await;
        let outcome = session.client().edit_order(&number, &order, &reference, intent, stage.gate()).await;
        assert_eq!(outcome, ActOutcome::Refused(words.to_owned()));
        assert_eq!(stage.saves_posted(), posted, "{words}");
    }
    assert_eq!(stage.effects(), []);
}

#[tokio::test]
async fn a_deleted_order_is_gone() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let number = stage.put("nancy", "mark", OrderState::Open).await;
    let (intent, _) = stage.intent(LONG).await;
    assert_eq!(session.client().delete_order(&number, intent, stage.gate()).await, ActOutcome::Done(()));
    assert_eq!(session.client().read_order(&number).await.unwrap(), None);
    assert_eq!(stage.effects()[0].kind, EffectKind::OrderDeleted);
}

#[tokio::test]
async fn a_sent_order_reads_back_as_sent() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let number = stage.put("nancy", "mark", OrderState::Open).await;
    let (intent, _) = stage.intent(LONG).await;
    let outcome = session.client().send_order(&number, intent, stage.gate()).await;
    let ActOutcome::Done(order) = outcome else { panic!("{outcome:?}") };
    assert_eq!((order.sent, order.lines.len()), (true, 22));
    assert_eq!(session.client().read_order(&number).await.unwrap(), Some(order));
    assert_eq!(stage.effects()[0].kind, EffectKind::OrderSent);
}

#[tokio::test]
async fn an_order_that_is_not_there_or_is_sent_is_refused_before_the_gate() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let sent = stage.put("nancy", "mark", OrderState::Sent).await;
    let foreign = stage.put("andrew", "mark", OrderState::Open).await;
    let client = session.client();
    for (number, words) in [
        (sent.as_str(), format!("order {sent} is sent to Verona and cannot be changed any more")),
        (foreign.as_str(), format!("there is no order {foreign}")),
        ("17", "there is no order 17".to_owned()),
        ("", "there is no order ".to_owned()),
    ] {
        let refused = ActOutcome::Refused(words.clone());
        let (intent, reference) = stage.intent(LONG).await;
        assert_eq!(client.edit_order(number, &wanted(1), &reference, intent, stage.gate()).await, refused);
        let (intent, _) = stage.intent(LONG).await;
        assert_eq!(client.send_order(number, intent, stage.gate()).await, refused);
        let (intent, _) = stage.intent(LONG).await;
        let refused = ActOutcome::Refused(words);
        assert_eq!(client.delete_order(number, intent, stage.gate()).await, refused);
    }
    let posts = ["Save", "Delete", "Send"].map(|button| stage.posted("Order.aspx", button));
    assert_eq!((posts, stage.effects()), ([0, 0, 0], vec![]));
}

/// Somebody sends the order while its page is open here: whatever is pressed then is not believed to be refused,
/// since the form that answers is another.
#[tokio::test]
async fn an_order_that_is_sent_by_somebody_else_meanwhile_is_unclear() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let number = stage.put("nancy", "mark", OrderState::Open).await;
    let (intent, _) = stage.intent(LONG).await;
    let gate = crate::stage::MeanwhileGate::sends(&stage, &number);
    let outcome = session.client().delete_order(&number, intent, gate).await;
    assert!(matches!(outcome, ActOutcome::Ambiguous { answered: true, .. }), "{outcome:?}");
    assert!(session.client().read_order(&number).await.unwrap().unwrap().sent);
}
