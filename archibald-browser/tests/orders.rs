//! Changing, deleting and sending orders, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use archibald_core::effect::{ActOutcome, NotSent};
use archibald_core::erp::{Order, WantedOrder, differences};
use archibald_core::port::{ArchibaldClient, ClientError, Guard, LeaseLost};
use archibald_testing::erp::{EffectKind, Fault, OrderState};
use common::office::{Office, told};

const PAGE: &str = "Order.aspx";

fn done(outcome: ActOutcome<Order>) -> Order {
    match outcome {
        ActOutcome::Done(order) => order,
        other => panic!("{other:?}"),
    }
}

/// What the ledger says of an order, as is wanted.
fn kept(office: &Office, place: usize) -> serde_json::Value {
    let content = office.effects()[place].order.clone().unwrap();
    let mut kept = serde_json::to_value(&content).unwrap();
    for line in kept["lines"].as_array_mut().unwrap() {
        let discount = line["discount"].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap();
        line["discount"] = discount.normalize().to_string().into();
    }
    kept
}

fn as_kept(wanted: &WantedOrder, reference: &str) -> serde_json::Value {
    let mut wanted = serde_json::to_value(wanted).unwrap();
    wanted["reference"] = reference.into();
    wanted
}

/// Notes which lines it is told of; after all of them comes one more.
#[derive(Default)]
struct Told(Mutex<Vec<(usize, usize)>>);

impl Guard for Told {
    fn check(&self) -> Result<Duration, LeaseLost> {
        Ok(Duration::from_secs(600))
    }

    fn filling_line(&self, line: usize, of: usize) {
        self.0.lock().unwrap().push((line, of));
    }

    fn filled_in(&self, lines: usize) {
        self.0.lock().unwrap().push((lines + 1, lines));
    }
}

impl Told {
    fn take(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn every_line_is_told_of_before_it_is_filled_in() {
    let office = Office::open().await;
    let told = Arc::new(Told::default());
    let desk = office.desk_under(told.clone()).await;
    let mut wanted = office.wanted(3);
    desk.create(1, &wanted).await;
    assert_eq!((told.take(), office.posts(PAGE, "AddLine")), (vec![(1, 3), (2, 3), (3, 3), (4, 3)], 3));
    wanted.lines[2].product = "NOTHING".into();
    assert_eq!(common::office::told(&desk.create(2, &wanted).await.0), "refused");
    assert_eq!((told.take(), office.posts(PAGE, "AddLine")), (vec![(1, 3), (2, 3), (3, 3)], 5));
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn an_edit_changes_what_differs_over_all_pages_of_lines() {
    let office = Office::open().await;
    let told = Arc::new(Told::default());
    let desk = office.desk_under(told.clone()).await;
    let mut wanted = office.wanted(23);
    let number = office.put_order(&wanted, "Fiera ~OLD", OrderState::Open).await;

    // Lines from the twentieth on: four go, over two pages, and six come.
    wanted.note = "altra nota\nsu due righe 😀".into();
    wanted.lines.truncate(19);
    wanted.lines.extend(office.wanted(6).lines);
    wanted.lines[19].discount = "0.5".parse().unwrap();
    let order = done(desk.edit(&number, &wanted, "Fiera ~NEW").await);
    assert_eq!(differences(&wanted, "Fiera ~NEW", &order), Vec::<String>::new());
    assert_eq!(office.posts(PAGE, "AddLine"), 6);
    assert_eq!(kept(&office, 0), as_kept(&wanted, "Fiera ~NEW"));
    assert_eq!(told.take(), (20..=26).map(|line| (line, 25)).collect::<Vec<_>>());
    assert_eq!(desk.client.read_order(&number).await.unwrap(), Some(order));

    // Another header alone touches no line.
    wanted.date = "2026-12-24".parse().unwrap();
    done(desk.edit(&number, &wanted, "Fiera ~NEW").await);
    assert_eq!(office.posts(PAGE, "AddLine"), 6);
    assert_eq!(kept(&office, 1), as_kept(&wanted, "Fiera ~NEW"));
    assert_eq!(told.take(), [(26, 25)]);

    // Another first line: all go, and come in another number.
    wanted.lines.drain(..23);
    done(desk.edit(&number, &wanted, "Fiera ~NEW").await);
    assert_eq!(office.posts(PAGE, "AddLine"), 8);
    assert_eq!(kept(&office, 2), as_kept(&wanted, "Fiera ~NEW"));
    assert_eq!(told.take(), [(1, 2), (2, 2), (3, 2)]);

    let kinds: Vec<_> = office.effects().iter().map(|entry| (entry.kind, entry.number.clone())).collect();
    assert_eq!(kinds, vec![(EffectKind::OrderEdited, number.clone()); 3]);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn an_order_is_sent_or_deleted_once_and_then_refused() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let wanted = office.wanted(21);
    let number = office.put_order(&wanted, "~A", OrderState::Open).await;

    let order = done(desk.send(&number).await);
    assert!(order.sent);
    assert_eq!(differences(&wanted, "~A", &order), Vec::<String>::new());
    let said = desk.dialogs().await;
    assert!(said.contains("accepted: true: Inviare l'ordine a Verona?"), "{said}");

    let other = office.put_order(&office.wanted(1), "~B", OrderState::Open).await;
    assert_eq!(desk.delete(&other).await, ActOutcome::Done(()));
    let said = desk.dialogs().await;
    assert!(said.contains("accepted: true: Eliminare l'ordine?"), "{said}");
    assert_eq!(desk.client.read_order(&other).await.unwrap(), None);

    let effects: Vec<_> = office.effects().into_iter().map(|entry| (entry.kind, entry.number)).collect();
    let expected = [(EffectKind::OrderSent, number.clone()), (EffectKind::OrderDeleted, other.clone())];
    assert_eq!(effects, expected);

    // What is sent or not there is refused before the gate, by reading alone.
    let short = office.wanted(1);
    let sent = office.put_order(&short, "~C", OrderState::Sent).await;
    let posts = office.all_posts();
    let refused = |outcome: ActOutcome<Order>| match outcome {
        ActOutcome::Refused(text) => text,
        other => panic!("{other:?}"),
    };
    let gone = |what: &str| format!("order {sent} is sent to Verona and cannot be {what} any more");
    assert_eq!(refused(desk.edit(&sent, &short, "~C").await), gone("changed"));
    assert_eq!(refused(desk.send(&sent).await), gone("sent"));
    assert_eq!(desk.delete(&sent).await, ActOutcome::Refused(gone("deleted")));
    for missing in [other.as_str(), "999999", "1x"] {
        let none = format!("there is no order {missing}");
        assert_eq!(refused(desk.edit(missing, &short, "~C").await), none);
        assert_eq!(refused(desk.send(missing).await), none);
        assert_eq!(desk.delete(missing).await, ActOutcome::Refused(none));
    }
    // An empty number is the form of a new order: nothing must be typed there.
    assert_eq!(refused(desk.edit("", &short, "~C").await), "there is no order ");
    assert_eq!(office.all_posts(), posts);
    assert_eq!(office.effects().len(), 2);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn every_fault_of_a_change_is_told_apart_and_none_is_done_twice() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let mut changed = office.wanted(2);
    changed.note = "una nota che è più lunga di dieci caratteri".into();
    changed.lines[1].quantity = 7;
    let edits = [
        (Fault::Slow, "done", 1),
        (Fault::DropAfter, "lost", 1),
        (Fault::FailAfter, "answered", 1),
        (Fault::FailBefore, "answered", 0),
        (Fault::Reject, "refused", 0),
        (Fault::Altered, "differs", 1),
        (Fault::Half, "differs or answered", 1),
        (Fault::Truncate, "lost", 1),
        (Fault::Similar, "answered", 0),
        (Fault::Recycle, "answered", 0),
    ];
    let mut desk = desk;
    for (fault, expected, effects) in edits {
        let number = office.put_order(&office.wanted(2), "~A", OrderState::Open).await;
        let before = office.effects().len();
        office.next(PAGE, "Save", fault);
        let outcome = desk.edit(&number, &changed, "~A").await;
        assert!(expected.contains(told(&outcome)), "{fault:?}: {outcome:?}");
        assert_eq!(office.effects().len() - before, effects, "{fault:?}");
        if fault == Fault::Similar {
            let said = desk.dialogs().await;
            assert!(said.contains("simile") && said.contains("accepted: false"), "{said}");
            assert_eq!(office.posts(PAGE, "SaveAnyway"), 0);
        }
        if fault == Fault::Recycle {
            desk = office.desk().await;
        }
    }
    let clicks = [
        (Fault::DropAfter, "lost", 1),
        (Fault::FailAfter, "answered", 1),
        (Fault::FailBefore, "answered", 0),
        (Fault::Reject, "refused", 0),
        (Fault::Truncate, "lost", 1),
    ];
    for (fault, expected, effects) in clicks {
        for control in ["Send", "Delete"] {
            let number = office.put_order(&office.wanted(1), "~A", OrderState::Open).await;
            let before = office.effects().len();
            office.next(PAGE, control, fault);
            let outcome = match control {
                "Send" => desk.send(&number).await.map(|_| ()),
                _ => desk.delete(&number).await,
            };
            assert_eq!(told(&outcome), expected, "{control} {fault:?}: {outcome:?}");
            assert_eq!(office.effects().len() - before, effects, "{control} {fault:?}");
        }
    }
    drop(desk);
    office.close().await;
}

/// Only the question that the page map names, word for word, is answered with OK.
#[tokio::test]
async fn an_unknown_question_is_dismissed_and_named_and_nothing_is_sent() {
    let office = Office::open().await;
    let number = office.put_order(&office.wanted(1), "~A", OrderState::Open).await;
    let desk = office.desk_with(|map| map.order.delete_question = "Eliminare".into()).await;
    let outcome = desk.delete(&number).await;
    let ActOutcome::NotSent(NotSent::Other(why)) = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("Eliminare l'ordine?"), "{why}");
    drop(desk);
    let desk = office.desk_with(|map| map.order.send_question = String::new()).await;
    let outcome = desk.send(&number).await;
    let ActOutcome::NotSent(NotSent::Other(why)) = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("Inviare l'ordine a Verona?"), "{why}");
    assert!(office.effects().is_empty());
    drop(desk);

    // Without the site's word that it was saved, an equal form is no proof.
    let desk = office.desk_with(|map| map.order.saved = "Ordine {number} registrato.".into()).await;
    let outcome = desk.edit(&number, &office.wanted(2), "~A").await;
    assert_eq!(told(&outcome), "answered", "{outcome:?}");
    assert_eq!(office.effects().len(), 1);
    drop(desk);
    office.close().await;
}
