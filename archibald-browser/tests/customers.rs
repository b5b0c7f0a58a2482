//! Making, changing and reading customers, in a real Chromium.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use archibald_core::effect::ActOutcome;
use archibald_core::erp::{Customer, WantedCustomer, customer_differences};
use archibald_core::port::ArchibaldClient;
use archibald_testing::erp::{EffectKind, Fault};
use common::office::{Office, told};

const PAGE: &str = "Customer.aspx";

fn done(outcome: ActOutcome<Customer>) -> Customer {
    match outcome {
        ActOutcome::Done(customer) => customer,
        other => panic!("{other:?}"),
    }
}

fn wanted(name: &str) -> WantedCustomer {
    WantedCustomer {
        name: Some(name.into()),
        vat: Some("IT01234567890".into()),
        street: Some("Via dell'Università 3/b".into()),
        city: Some("Forlì".into()),
        postal_code: Some("00100".into()),
        country: Some("Italia".into()),
        email: Some("ordini@example.com".into()),
        phone: Some("+39 045 1234567".into()),
    }
}

/// As the ledger has it.
fn kept(office: &Office, place: usize) -> Customer {
    let customer = office.effects()[place].customer.clone().unwrap();
    serde_json::from_value(serde_json::to_value(&customer).unwrap()).unwrap()
}

#[tokio::test]
async fn a_customer_of_any_name_is_saved_found_and_changed() {
    let office = Office::open().await;
    let desk = office.desk().await;
    let names = [
        "Caffè \"Però\" & figli <b>d'Oro</b>",
        "İstanbul ΣΊΣΥΦΟΣ Straße ﬁne",
        "株式会社 山田　商店",
        "شركة النور \u{200f}(123)",
        "e\u{301}\u{323} o\u{308}\u{200d} 👩‍👩‍👧 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
        "%41+&amp;=;\\u0041 ${x} `y` {code}",
    ];
    for (place, name) in names.into_iter().enumerate() {
        let wanted = wanted(name);
        let customer = done(desk.create_customer(&wanted).await);
        assert_eq!(customer_differences(&wanted, &customer), Vec::<String>::new());
        assert_eq!(kept(&office, place), customer);
        assert_eq!(desk.client.read_customer(&customer.code).await.unwrap(), Some(customer.clone()));
        let found = desk.client.find_customers(&customer.code).await.unwrap();
        let shown: Vec<_> = found.iter().map(|it| (&*it.code, &*it.name, &*it.vat, &*it.city)).collect();
        assert_eq!(shown, [(&*customer.code, name, "IT01234567890", "Forlì")]);
    }
    let code = kept(&office, 0).code;
    // What is not named stays as it is.
    let change = WantedCustomer {
        name: Some("Nuovo nome €".into()),
        city: Some(String::new()),
        ..WantedCustomer::default()
    };
    let customer = done(desk.update_customer(&code, &change).await);
    let expected = Customer { name: "Nuovo nome €".into(), city: String::new(), ..kept(&office, 0) };
    assert_eq!(customer, expected);
    let last = names.len();
    assert_eq!((kept(&office, last), office.effects()[last].kind), (expected, EffectKind::CustomerEdited));
    assert_eq!(office.effects().len(), last + 1);

    let posts = office.all_posts();
    for missing in ["N9999", "nobody & co"] {
        let none = ActOutcome::Refused(format!("there is no customer {missing}"));
        assert_eq!(desk.update_customer(missing, &change).await, none);
        assert_eq!(desk.client.read_customer(missing).await.unwrap(), None);
    }
    // An empty code is the form of a new customer: nothing must be typed there.
    assert_eq!(told(&desk.update_customer("", &change).await), "refused");
    assert_eq!(desk.client.read_customer("").await.unwrap(), None);
    assert_eq!(office.all_posts(), posts);
    drop(desk);
    office.close().await;
}

#[tokio::test]
async fn every_fault_of_a_customers_save_is_told_apart_and_none_is_done_twice() {
    let office = Office::open().await;
    let desk = office.desk().await;
    // The site's own rules, before anything is struck.
    let nameless = WantedCustomer { vat: Some("IT1".into()), ..WantedCustomer::default() };
    let outcome = desk.create_customer(&nameless).await;
    assert!(matches!(&outcome, ActOutcome::Refused(text) if text.contains("obbligatoria")), "{outcome:?}");
    let bad = WantedCustomer { email: Some("nessuna".into()), ..WantedCustomer::default() };
    let known = office.data.assignments()[&office.user].iter().next().unwrap().clone();
    let outcome = desk.update_customer(&known, &bad).await;
    assert!(matches!(&outcome, ActOutcome::Refused(text) if text.contains("e-mail")), "{outcome:?}");
    assert!(office.effects().is_empty());

    let cases = [
        (Fault::Slow, "done", 1),
        (Fault::DropAfter, "lost", 1),
        (Fault::FailAfter, "answered", 1),
        (Fault::FailBefore, "answered", 0),
        (Fault::Reject, "refused", 0),
        (Fault::Altered, "differs", 1),
        (Fault::Half, "differs or answered", 1),
        (Fault::Truncate, "lost", 1),
    ];
    for (fault, expected, effects) in cases {
        for is_new in [true, false] {
            let wanted = wanted(&format!("Bar {fault:?} {is_new}"));
            let before = office.effects().len();
            office.next(PAGE, "Save", fault);
            let outcome = match is_new {
                true => desk.create_customer(&wanted).await,
                false => desk.update_customer(&known, &wanted).await,
            };
            assert!(expected.contains(told(&outcome)), "{fault:?}, new: {is_new}: {outcome:?}");
            assert_eq!(office.effects().len() - before, effects, "{fault:?}, new: {is_new}");
        }
    }
    // The form is saved whole: what nobody asked to change may come out otherwise too.
    let phone = WantedCustomer { phone: Some("045 1".into()), ..WantedCustomer::default() };
    office.next(PAGE, "Save", Fault::Altered);
    let outcome = desk.update_customer(&known, &phone).await;
    let ActOutcome::Differs { differences, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(matches!(&differences[..], [city] if city.starts_with("city: ")), "{differences:?}");
    office.next(PAGE, "Save", Fault::Expire);
    let outcome = desk.update_customer(&known, &wanted("Bar")).await;
    assert_eq!(told(&outcome), "answered", "{outcome:?}");
    let outcome = desk.update_customer(&known, &wanted("Bar")).await;
    assert_eq!(told(&outcome), "not sent", "{outcome:?}");
    drop(desk);
    office.close().await;
}
