//! No secret gets into a log that is filtered as the driver says.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, unused_imports)]

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use archibald_browser::driver::{Field, LOG_FILTER};
use common::{Bench, Site, Then, seconds};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Alone in its process: the subscriber is everybody's.
#[tokio::test(flavor = "multi_thread")]
async fn neither_cookies_nor_passwords_are_logged() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(format!("trace,{LOG_FILTER}"))
        .with_writer(move || writer.clone())
        .init();
    let (bench, site) = (Bench::launch().await, Site::start().await);
    let limit = seconds(30);
    site.on(
        "/",
        Then::Raw("HTTP/1.1 200 OK\r\nSet-Cookie: auth=c00kie-s3cret\r\nContent-Type: text/html\r\nContent-Length: 32\r\n\r\n<input id=secret type=password> ".into()),
    );
    let context = bench.browser.new_context(None).await.unwrap();
    let page = context.new_page().await.unwrap();
    page.open(&limit, &site.url("/")).await.unwrap();
    let field = Field { selector: "#secret", value: "p4ssword-s3cret", posts_back: false };
    page.fill(&limit, field).await.unwrap();
    page.open(&limit, &site.url("/")).await.unwrap();
    assert_eq!(context.cookies(&limit).await.unwrap()[0].value, "c00kie-s3cret");
    drop((page, context));
    bench.close().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("archibald"), "nothing was logged at all: {log}");
    let leaks: Vec<_> = log.lines().filter(|line| line.contains("s3cret")).collect();
    assert!(leaks.is_empty(), "a secret was logged: {leaks:?}");
}
