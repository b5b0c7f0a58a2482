//! Creating, changing, finding and reading customers.

use archibald_core::effect::ActOutcome;
use archibald_core::erp::{Customer, WantedCustomer};
use archibald_testing::erp::{EffectKind, Fault, FaultRule};

use crate::stage::{LONG, Stage, data};
use crate::writes::{baker, some_customer};

#[tokio::test]
async fn a_new_customer_gets_a_code_and_reads_back_as_wanted() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let (intent, _) = stage.intent(LONG).await;
    let outcome = session.client().create_customer(&baker(), intent, stage.gate()).await;
    let ActOutcome::Done(customer) = outcome else { panic!("{outcome:?}") };
    let expected = baker().fields().map(|(field, wanted)| (field, wanted.unwrap_or("").to_owned()));
    assert_eq!(customer.fields().map(|(field, text)| (field, text.to_owned())), expected);
    assert_eq!(session.client().read_customer(&customer.code).await.unwrap(), Some(customer.clone()));
    let listed = Customer {
        street: String::new(),
        postal_code: String::new(),
        email: String::new(),
        phone: String::new(),
        ..customer
    };
    for text in ["due <torri>", "IT01234567890"] {
        let found = session.client().find_customers(text).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&listed), "{text}");
    }
    assert_eq!(stage.effects()[0].kind, EffectKind::CustomerSaved);
    assert_eq!(stage.posted("Customer.aspx", "Save"), 1);
}

#[tokio::test]
async fn an_update_changes_what_is_wanted_and_leaves_the_rest() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let code = some_customer();
    let before = session.client().read_customer(&code).await.unwrap().unwrap();
    let wanted = WantedCustomer {
        phone: Some("045 1".to_owned()),
        email: Some(String::new()),
        ..WantedCustomer::default()
    };
    let (intent, _) = stage.intent(LONG).await;
    let outcome = session.client().update_customer(&code, &wanted, intent, stage.gate()).await;
    let after = Customer { phone: "045 1".to_owned(), email: String::new(), ..before };
    assert_eq!(outcome, ActOutcome::Done(after.clone()));
    assert_eq!(stage.effects()[0].customer.as_ref().unwrap().street, after.street);
}

/// What nobody asked to change was changed all the same: not as wanted.
#[tokio::test]
async fn an_update_that_changes_another_field_differs() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    stage.erp.script([FaultRule::next("Customer.aspx", "Save", Fault::Altered)]);
    let wanted = WantedCustomer { phone: Some("045 1".to_owned()), ..WantedCustomer::default() };
    let (intent, _) = stage.intent(LONG).await;
    let outcome = session.client().update_customer(&some_customer(), &wanted, intent, stage.gate()).await;
    let ActOutcome::Differs { differences, .. } = outcome else { panic!("{outcome:?}") };
    assert!(differences.len() == 1 && differences[0].starts_with("city: "), "{differences:?}");
}

#[tokio::test]
async fn what_the_form_does_not_take_is_refused_in_its_words() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let wanted = WantedCustomer {
        name: Some(String::new()),
        vat: Some("12-34".to_owned()),
        ..WantedCustomer::default()
    };
    let words = "La ragione sociale è obbligatoria. Partita IVA non valida.";
    let (intent, _) = stage.intent(LONG).await;
    let outcome = session.client().create_customer(&wanted, intent, stage.gate()).await;
    assert_eq!(outcome, ActOutcome::Refused(words.to_owned()));
    let (intent, _) = stage.intent(LONG).await;
    let outcome = session.client().update_customer(&some_customer(), &wanted, intent, stage.gate()).await;
    assert_eq!(outcome, ActOutcome::Refused(words.to_owned()));
    assert_eq!(stage.effects(), []);
}

#[tokio::test]
async fn a_customer_that_is_not_there_is_neither_read_nor_changed() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let seen = data().assignments();
    let foreign = seen["andrew"].difference(&seen["nancy"]).next().unwrap().clone();
    for code in [foreign.as_str(), "NOBODY", "x&y=z", ""] {
        assert_eq!(session.client().read_customer(code).await.unwrap(), None, "{code:?}");
        let (intent, _) = stage.intent(LONG).await;
        let outcome = session.client().update_customer(code, &baker(), intent, stage.gate()).await;
        assert_eq!(outcome, ActOutcome::Refused(format!("there is no customer {code}")));
    }
    assert_eq!((stage.posted("Customer.aspx", "Save"), stage.effects()), (0, vec![]));
}

#[tokio::test]
async fn customers_are_found_over_all_pages_and_for_nothing_there_are_none() {
    let stage = Stage::new().await;
    let session = stage.session().await;
    let codes = |found: Vec<Customer>| found.into_iter().map(|found| found.code).collect::<Vec<_>>();
    let own: Vec<String> = data().assignments()["nancy"].iter().cloned().collect();
    assert!(own.len() > 40, "three pages");
    assert_eq!(codes(session.client().find_customers("").await.unwrap()), own);
    assert_eq!(codes(session.client().find_customers(&own[3]).await.unwrap()), [own[3].clone()]);
    assert_eq!(session.client().find_customers("no such thing").await.unwrap(), []);
}
