use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::queue::{Closed, Queue, Served, Taken};

#[tokio::test]
async fn all_that_was_handed_over_is_served_before_the_end_and_nothing_after() {
    let sum = Arc::new(AtomicUsize::new(0));
    let servers = (0..3).map(|_| {
        let sum = sum.clone();
        move |queue: &Queue<usize>| {
            let mut taken = vec![];
            while queue.take(&mut taken, 2, None) == Taken::Some {
                sum.fetch_add(taken.drain(..).sum(), Ordering::Relaxed);
            }
        }
    });
    let served = Served::start("test", 5, servers).unwrap();
    for n in 1..=100 {
        assert_eq!(served.put(n).await, Ok(()), "more than there is room for wait and are let in");
    }
    served.close().await;
    assert_eq!(sum.load(Ordering::Relaxed), 5_050);
    assert_eq!(served.put(1).await, Err(Closed));
}

#[tokio::test]
async fn a_thread_that_waited_long_enough_is_told_and_what_comes_later_is_served() {
    let queue = Queue::new(1);
    let mut taken = vec![];
    assert_eq!(queue.take(&mut taken, 1, Some(Duration::from_millis(1))), Taken::Nothing);
    queue.put("late").await.unwrap();
    assert_eq!(queue.take(&mut taken, 1, Some(Duration::from_millis(1))), Taken::Some);
    assert_eq!(taken, ["late"]);
}

#[tokio::test]
async fn nobody_waits_for_a_thread_that_ended_badly() {
    let dies = |queue: &Queue<tokio::sync::oneshot::Sender<()>>| {
        queue.take(&mut vec![], 1, None);
        panic!("on purpose");
    };
    let served = Served::start("test", 1, [dies]).unwrap();
    let (reply, answer) = tokio::sync::oneshot::channel();
    served.put(reply).await.unwrap();
    assert!(answer.await.is_err());
    served.close().await;
    let (reply, _answer) = tokio::sync::oneshot::channel();
    assert_eq!(served.put(reply).await, Err(Closed));
}
