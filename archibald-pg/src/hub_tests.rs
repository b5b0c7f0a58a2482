use std::collections::BTreeMap;

use archibald_core::id::AgentId;
use archibald_core::port::{BusClosed, Wakeups, WorkerWake, WorkerWakeups};
use futures::FutureExt;

use crate::hub::{Hub, News};

fn nancy() -> AgentId {
    AgentId::new("nancy").unwrap()
}

#[tokio::test]
async fn a_wake_up_waits_for_who_asks_later() {
    let hub = Hub::default();
    let (mut device, mut worker) = (hub.device(&nancy()), hub.worker());
    assert!(device.changed().now_or_never().is_none());
    hub.wake(&nancy(), true);
    hub.wake(&nancy(), false);
    assert_eq!(device.changed().now_or_never(), Some(Ok(())));
    assert!(device.changed().now_or_never().is_none(), "two are one");
    assert_eq!(worker.next().now_or_never(), Some(Ok(WorkerWake::Agent(nancy()))));
    hub.wake_everybody();
    assert_eq!(device.changed().now_or_never(), Some(Ok(())));
    assert_eq!(worker.next().now_or_never(), Some(Ok(WorkerWake::Lost)));
    hub.close();
    assert_eq!(device.changed().now_or_never(), Some(Err(BusClosed)));
    assert_eq!(worker.next().now_or_never(), Some(Err(BusClosed)));
    assert_eq!(hub.device(&nancy()).changed().now_or_never(), Some(Err(BusClosed)));
}

#[test]
fn what_could_not_be_told_is_told_later() {
    let hub = Hub::default();
    hub.committed(&nancy(), true);
    let news = hub.take_news();
    assert_eq!(hub.take_news(), News::default());
    hub.committed(&nancy(), false);
    hub.put_back(news);
    assert_eq!(hub.take_news().agents, BTreeMap::from([(nancy(), true)]));
}

#[test]
fn nobody_stays_subscribed_who_left() {
    let hub = Hub::default();
    let (device, worker) = (hub.device(&nancy()), hub.worker());
    assert_eq!((hub.subscribed().devices, hub.subscribed().workers), (vec![nancy()], true));
    drop((device, worker));
    assert_eq!((hub.subscribed().devices, hub.subscribed().workers), (vec![], false));
}
