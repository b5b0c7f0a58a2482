//! What is old is let go, by the worker and without being asked.

use std::sync::Arc;
use std::time::Duration;

use archibald_core::event::Cursor;
use archibald_core::port::{EventBus, EventRead, ResetReason};
use archibald_runtime::{NoFailpoints, RuntimeConfig};

use crate::support::{House, agent, quick};

/// A device that is further behind than what is kept begins with a snapshot, and every other goes on.
#[tokio::test]
async fn a_log_is_pruned_to_what_is_kept() {
    let config = RuntimeConfig { keep_events_at_most: 2, sweep: Duration::from_millis(50), ..quick() };
    let mut house = House::with(config, Arc::new(NoFailpoints));
    let nancy = agent("nancy");
    for key in ["one", "two"] {
        let id = house.submit("nancy", key).await;
        house.finished("nancy", id).await;
    }
    // A worker looks for what is old with its first sweep, and then once in a while.
    house.restart();
    let pruned = async {
        loop {
            let head = house.store.head(&nancy).await.unwrap();
            if head.floor > 0 {
                return head;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let head = tokio::time::timeout(Duration::from_secs(30), pruned).await.expect("the log is pruned");
    assert_eq!(head.floor, head.head - 2);
    let read = async |seq| house.store.read(&nancy, Cursor { epoch: head.epoch, seq }, 10).await.unwrap();
    assert_eq!(read(head.floor - 1).await, EventRead::Reset(ResetReason::Pruned));
    let EventRead::Batch { events, .. } = read(head.floor).await else { panic!("it is kept") };
    assert_eq!(events.len(), 2);
}
