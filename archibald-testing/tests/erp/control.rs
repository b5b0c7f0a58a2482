//! The control port, by its client and by hand.

use std::time::Duration;

use archibald_testing::data::Customer;
use archibald_testing::erp::{
    BehaviourChange, ControlError, EffectKind, ErpControl, ErpOptions, ErpSimulator, Fault, FaultRule,
    HandCustomer, HandOrder, OrderContent, OrderState,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, ORIGIN};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::browser::{Browser, data, fast, order_of, start};

fn by_hand(number: Option<u64>, state: OrderState, reference: &str) -> HandOrder {
    let order = order_of("nancy");
    let (customer, date, lines) = (order.customer, order.date, order.lines);
    let content =
        OrderContent { customer, date, reference: reference.to_owned(), note: String::new(), lines };
    HandOrder { number, agent: "nancy".to_owned(), state, content }
}

#[tokio::test]
async fn the_ledger_is_read_from_where_one_stopped() {
    let erp = start().await;
    let control = ErpControl::new(&erp.control_url()).unwrap();
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    for reference in ["a", "b", "c"] {
        browser.save_order(&order_of("nancy"), reference).await.unwrap();
    }
    assert_eq!(control.ledger(0).await.unwrap(), erp.ledger());
    let rest = control.ledger(2).await.unwrap();
    assert_eq!((rest.len(), rest[0].seq), (1, 3));
    assert!(control.ledger(99).await.unwrap().is_empty());
    assert_eq!(control.stats().await.unwrap(), erp.stats());
    assert_eq!(control.orders().await.unwrap(), erp.orders());
}

#[tokio::test]
async fn people_change_things_behind_ones_back_and_the_ledger_knows() {
    let erp = start().await;
    let control = ErpControl::new(&erp.control_url()).unwrap();
    let number = control.put_order(&by_hand(None, OrderState::Open, "first")).await.unwrap();
    control.put_order(&by_hand(Some(number), OrderState::Open, "second")).await.unwrap();
    control.put_order(&by_hand(Some(number), OrderState::Sent, "third")).await.unwrap();
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    assert_eq!(browser.get(&format!("/Order.aspx?number={number}")).await.text("State"), "Inviato");
    control.delete_order(number).await.unwrap();
    let customer = Customer { name: "Bar".to_owned(), ..Customer::default() };
    let code =
        control.put_customer(&HandCustomer { agents: vec!["nancy".to_owned()], customer }).await.unwrap();
    assert_eq!(browser.get(&format!("/Customer.aspx?code={code}")).await.value("Name"), "Bar");
    let kinds: Vec<EffectKind> = erp.ledger().iter().map(|entry| entry.kind).collect();
    use EffectKind::{CustomerSaved, OrderDeleted, OrderEdited, OrderSaved, OrderSent};
    assert_eq!(kinds, [OrderSaved, OrderEdited, OrderSent, OrderDeleted, CustomerSaved]);
    assert!(erp.ledger().iter().all(|entry| entry.by_hand && entry.request == 0));
    assert_eq!(erp.stats().effects.len(), 0, "the counts are of the ERP's own pages");
}

#[tokio::test]
async fn faults_are_scripted_respecified_and_cleared_from_outside() {
    let erp = start().await;
    let control = ErpControl::new(&erp.control_url()).unwrap();
    control.script(&[FaultRule::next("Order.aspx", "Save", Fault::FailBefore)]).await.unwrap();
    control.set_spec("reject=1").await.unwrap();
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    assert_eq!(browser.save_order(&order_of("nancy"), "").await.unwrap().status, 500);
    assert!(browser.save_order(&order_of("nancy"), "").await.unwrap().has("ValidationSummary"));
    control.clear_faults().await.unwrap();
    assert!(browser.save_order(&order_of("nancy"), "").await.unwrap().has("Message"));
    let faults = control.stats().await.unwrap().faults;
    assert_eq!((faults["fail-before"], faults["reject"]), (1, 1));
}

#[tokio::test]
async fn behaviour_changes_while_it_runs() {
    let erp = start().await;
    let control = ErpControl::new(&erp.control_url()).unwrap();
    let change =
        BehaviourChange { latency_ms: Some(7), single_session: Some(true), ..BehaviourChange::default() };
    control.configure(&change).await.unwrap();
    let behaviour = erp.behaviour();
    assert_eq!((behaviour.latency, behaviour.single_session), (Duration::from_millis(7), true));
    assert_eq!(behaviour.slow, fast().behaviour.slow);
}

#[tokio::test]
async fn nonsense_is_refused_in_words() {
    let erp = start().await;
    let control = ErpControl::new(&erp.control_url()).unwrap();
    let text = |error: ControlError| error.to_string();
    assert!(text(control.set_spec("lots").await.unwrap_err()).contains("none, some, heavy"));
    assert!(text(control.set_password("nobody", "x").await.unwrap_err()).contains("no user \\\"nobody\\\""));
    assert!(text(control.delete_order(5).await.unwrap_err()).contains("there is no order 5"));
    let stranger = HandOrder { agent: "nobody".to_owned(), ..by_hand(None, OrderState::Open, "") };
    assert!(matches!(control.put_order(&stranger).await, Err(ControlError::Refused { status: 404, .. })));
    assert!(matches!(ErpControl::new("8091"), Err(ControlError::Address(_))));
    let nobody_there = ErpControl::new(&{
        let gone = start().await;
        let url = gone.control_url();
        gone.stop().await;
        url
    });
    assert!(matches!(nobody_there.unwrap().stats().await, Err(ControlError::Unreachable { .. })));
}

#[tokio::test]
async fn preloaded_orders_are_there_under_their_ids_and_in_no_ledger() {
    let erp = ErpSimulator::start(ErpOptions { preload: true, ..fast() }).await.unwrap();
    assert_eq!(erp.orders().len(), data().orders.len());
    assert!(erp.ledger().is_empty());
    let mut browser = Browser::logged_in(&erp, "nancy").await;
    let first = order_of("nancy");
    let page = browser.get(&format!("/Order.aspx?number={}", first.id)).await;
    assert_eq!(page.text("LineCount"), first.lines.len().to_string());
}

#[tokio::test]
async fn many_simulators_live_side_by_side() {
    let (one, two) = (start().await, start().await);
    Browser::logged_in(&one, "nancy").await.save_order(&order_of("nancy"), "x").await.unwrap();
    assert_eq!((one.ledger().len(), two.ledger().len()), (1, 0));
}

/// What a browser sends for a page: from anywhere, or by a name that leads to this machine.
#[tokio::test]
async fn pages_of_a_browser_steer_nothing() {
    let erp = start().await;
    let address = erp.control_url().trim_start_matches("http://").to_owned();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let local = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
    for host in &local {
        assert_eq!(recycled(&address, host, None).await, 200, "{host}");
        for origin in ["https://elsewhere.example".to_owned(), "null".to_owned(), format!("http://{host}")] {
            assert_eq!(recycled(&address, host, Some(&origin)).await, 403, "{host} for {origin}");
        }
    }
    assert_eq!(recycled(&address, "localhost", None).await, 200, "without a port");
    for host in
        ["elsewhere.example", "127.0.0.1.elsewhere.example:80", "127.0.0.1@elsewhere.example", "10.0.0.1", ""]
    {
        assert_eq!(recycled(&address, host, None).await, 403, "{host}");
    }
}

/// The status of a request that anybody could send without asking first.
async fn recycled(address: &str, host: &str, origin: Option<&str>) -> u16 {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::post("/recycle").header(HOST, host);
    if let Some(origin) = origin {
        request = request.header(ORIGIN, origin);
    }
    let answer = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
    drop(sender);
    let _ = connection.await;
    answer.status().as_u16()
}
