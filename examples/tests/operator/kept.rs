//! Sessions at the ERP that outlive the server.

use crate::office::Office;

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_that_the_erp_takes_no_more_costs_one_login_and_no_operation() {
    let mut office = Office::open_with_a_browser().await;
    let orders = [0, 1, 2].map(|number| office.order(number).clone());
    let id = office.submit(&orders[0]).await;
    office.until(&orders[0].agent, &id, "completed").await;
    assert_eq!(office.control.stats().await.unwrap().logins, 1);

    office.restart_server();
    let id = office.submit(&orders[1]).await;
    office.until(&orders[1].agent, &id, "completed").await;
    assert_eq!(office.control.stats().await.unwrap().logins, 1, "the session was kept");

    office.restart_server();
    office.control.expire(None).await.unwrap();
    let id = office.submit(&orders[2]).await;
    let operation = office.until(&orders[2].agent, &id, "completed").await;
    assert_eq!(office.control.stats().await.unwrap().logins, 2);
    assert_eq!(operation["attempts"].as_array().map(Vec::len), Some(1), "{operation}");
    assert_eq!(office.control.ledger(0).await.unwrap().len(), 3);
}
