use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use archibald_core::port::{AgentLock, EventBus, OperationStore};
use archibald_core::record::Disposition;
use archibald_pg::{PgOptions, PgStore};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::fleet::until_heard;
use crate::private::Private;
use crate::proxy::Proxy;
use crate::support::{agent, options, request, submit};

/// Shorter than what a worker's leases have left when a renewal is due.
const IN_TIME: Duration = Duration::from_secs(35);
const LONG: Duration = Duration::from_secs(600);

/// No byte comes any more on the connections that there were, and no error either. Renewals that are on their
/// way are given up and made on others, before the leases end.
#[tokio::test(flavor = "multi_thread")]
async fn leases_outlive_connections_that_went_silent() {
    let private = Private::start();
    let proxy = Proxy::start(&private).await;
    let store = PgStore::connect(proxy.url(), PgOptions { max_connections: 6, ..options() }).await.unwrap();
    let record = store.enqueue(submit(&agent("nancy"), "k")).await.unwrap().record;
    let lease = store.lease(&request(&record, "w", LONG)).await.unwrap().lease;
    let renewed = watch::channel(0_u32).0;
    let stop = Arc::new(AtomicBool::new(false));
    // Many, so that some are amid a statement and some between two.
    let renewals: Vec<_> = (0..6)
        .map(|_| {
            let (store, lease) = (store.clone(), lease.clone());
            let (renewed, stop) = (renewed.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    if let Ok(kept) = store.renew(slice::from_ref(&lease)).await {
                        assert_eq!(kept.len(), 1);
                        renewed.send_modify(|times| *times += 1);
                    }
                }
            })
        })
        .collect();
    for round in 0..2 {
        let mut times = renewed.subscribe();
        let wanted = *times.borrow() + 30;
        timeout(IN_TIME, times.wait_for(|times| *times >= wanted)).await.expect("they flow").unwrap();
        proxy.silence();
        // Those that were answered already may still be counted: as many as there are, and one.
        let wanted = *times.borrow() + 7;
        let again = timeout(IN_TIME, times.wait_for(|times| *times >= wanted)).await;
        assert!(again.is_ok(), "round {round}: renewals hang");
    }
    stop.store(true, Relaxed);
    for renewal in renewals {
        timeout(IN_TIME, renewal).await.expect("none hangs").unwrap();
    }
    assert_eq!(store.head(&agent("nancy")).await.unwrap().head, 2);
    let done = Disposition::Complete { result: json!({}) };
    store.settle(&lease, done.into()).await.unwrap();
}

/// The listening one among them: within a minute wake-ups come again.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_went_silent_listens_again() {
    let private = Private::start();
    let proxy = Proxy::start(&private).await;
    // Nothing but notifications tells it.
    let deaf = PgOptions { poll_every: LONG, ..options() };
    let listening = PgStore::connect(proxy.url(), deaf).await.unwrap();
    let telling = PgStore::connect(&private.url(), options()).await.unwrap();
    until_heard(&listening, &telling).await;
    proxy.silence();
    until_heard(&listening, &telling).await;
}
