//! What goes over the socket, byte by byte, where it matters.

use archibald_testing::erp::{Behaviour, ErpOptions, ErpSimulator, Fault, FaultRule, RunningErp};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::browser::{Browser, Cause, Page, borrowed, fast, order_of, start, until};

/// A form ready to be saved, and the cookies to do it with.
async fn ready(erp: &RunningErp) -> (Browser, Page, String) {
    let mut browser = Browser::logged_in(erp, "nancy").await;
    let (page, header) = browser.type_order(&order_of("nancy"), "mark").await;
    let body = page.filled(&borrowed(&header), Cause::Button("Save"));
    (browser, page, body)
}

fn post(browser: &Browser, body: &str) -> String {
    format!(
        "POST /Order.aspx HTTP/1.1\r\nHost: erp\r\nCookie: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        browser.cookie_header(),
        body.len()
    )
}

async fn connect(erp: &RunningErp) -> TcpStream {
    TcpStream::connect(erp.url().trim_start_matches("http://")).await.unwrap()
}

/// One answer with a `content-length`, whole.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    loop {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "closed after {answer}");
        answer.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).unwrap();
        if body.len() >= length.split("\r\n").next().unwrap().parse().unwrap() {
            return answer;
        }
    }
}

#[tokio::test]
async fn drop_after_sends_not_one_byte_on_a_connection_that_served_before() {
    let erp = start().await;
    erp.script([FaultRule::next("Order.aspx", "Save", Fault::DropAfter)]);
    let (browser, _, body) = ready(&erp).await;
    let mut stream = connect(&erp).await;
    let get =
        format!("GET /Default.aspx HTTP/1.1\r\nHost: erp\r\nCookie: {}\r\n\r\n", browser.cookie_header());
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"));

    stream.write_all(post(&browser, &body).as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("an orderly end");
    assert_eq!(rest, b"");
    assert_eq!(erp.ledger().len(), 1);

    // What Chromium does next by itself: the same bytes on a new connection. The ERP takes them.
    let mut again = connect(&erp).await;
    again.write_all(post(&browser, &body).as_bytes()).await.unwrap();
    assert!(read_answer(&mut again).await.contains("Ordine 20002 salvato."));
    assert_eq!(erp.ledger().len(), 2);
    assert_eq!(erp.stats().posts["Order.aspx"]["ctl00$Main$Save"], 2);
}

#[tokio::test]
async fn truncate_sends_half_of_what_it_promised() {
    let erp = start().await;
    erp.script([FaultRule::next("Order.aspx", "Save", Fault::Truncate)]);
    let (browser, _, body) = ready(&erp).await;
    let mut stream = connect(&erp).await;
    stream.write_all(post(&browser, &body).as_bytes()).await.unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).await.unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    let promised: usize =
        head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && !body.is_empty() && body.len() < promised);
}

#[tokio::test]
async fn a_request_is_carried_out_though_its_client_went_away() {
    let behaviour = Behaviour { latency: Duration::from_millis(50), ..fast().behaviour };
    let erp = ErpSimulator::start(ErpOptions { behaviour, ..fast() }).await.unwrap();
    let (browser, _, body) = ready(&erp).await;
    let requests = erp.stats().requests;
    let mut stream = connect(&erp).await;
    stream.write_all(post(&browser, &body).as_bytes()).await.unwrap();
    until(|| erp.stats().requests == requests + 1).await;
    assert!(erp.ledger().is_empty(), "it is still at work");
    drop(stream);
    until(|| erp.ledger().len() == 1).await;
}

#[tokio::test]
async fn a_body_beyond_all_measure_is_refused() {
    let erp = start().await;
    let (browser, ..) = ready(&erp).await;
    let mut stream = connect(&erp).await;
    let head = post(&browser, "").replace("Content-Length: 0", "Content-Length: 9000000");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; 1 << 20];
    let sent = async {
        for _ in 0..9 {
            if stream.write_all(&chunk).await.is_err() {
                break;
            }
        }
    };
    sent.await;
    let mut got = Vec::new();
    // The server stops reading, so the end may come as a reset after the answer.
    let _ = stream.read_to_end(&mut got).await;
    assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 413"));
    assert_eq!(Browser::new(&erp).get("/Login.aspx").await.status, 200);
}

#[tokio::test]
async fn a_dropped_simulator_frees_its_ports() {
    let erp = start().await;
    let (pages, control) = (erp.url(), erp.control_url());
    let mut idle = connect(&erp).await;
    erp.stop().await;
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    for url in [pages, control] {
        assert!(TcpStream::connect(url.trim_start_matches("http://")).await.is_err());
    }
    let dropped = start().await;
    let address = dropped.url().trim_start_matches("http://").to_owned();
    drop(dropped);
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let erp = start().await;
    let taken = erp.url().trim_start_matches("http://").to_owned();
    let error =
        ErpSimulator::start(ErpOptions { control: taken.parse().unwrap(), ..fast() }).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {taken} for the control port"));
}
