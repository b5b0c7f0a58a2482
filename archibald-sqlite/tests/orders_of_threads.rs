//! What threads share without a channel, in thousands of the orders in which they may come.
//!
//! The files are the store's own; only their locks and threads are others, at which the next thread is drawn. A thread
//! that nobody would ever wake is an order that fails. Left out is what shares nothing else: the thread that writes
//! and those that read own their connections and meet callers at the queue alone, an answer goes through a channel,
//! and why the store failed is set once and only read.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, dead_code)]

#[path = "../src/effects.rs"]
mod effects;
#[path = "../src/hub.rs"]
mod hub;
#[path = "../src/queue.rs"]
mod queue;

/// In the place of the store's own.
mod sync {
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use shuttle::thread;
}

use std::collections::BTreeSet;

use archibald_core::id::AgentId;
use archibald_core::port::{BusClosed, Wakeups, WorkerWake, WorkerWakeups};
use shuttle::sync::{Arc, Mutex};
use shuttle::{check_pct, check_random, future, thread};

use self::effects::Effects;
use self::hub::Hub;
use self::queue::{Closed, Queue, Served, Taken};

/// Orders that are tried of each kind: at random, and with few changes of threads.
const ORDERS: usize = 1_500;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn in_many_orders(story: fn()) {
    check_random(story, ORDERS);
    check_pct(story, ORDERS, 3);
}

/// Takes until the end, two at a time.
fn serve(queue: &Queue<usize>, served: &Mutex<Vec<usize>>) {
    let mut taken = vec![];
    while queue.take(&mut taken, 2, None) == Taken::Some {
        thread::yield_now();
        served.lock().unwrap().append(&mut taken);
    }
}

#[test]
fn all_that_is_handed_over_is_served_once_and_nobody_sleeps_for_ever() {
    in_many_orders(|| {
        let done = Arc::new(Mutex::new(vec![]));
        let servers = (0..2).map(|_| {
            let done = done.clone();
            move |queue: &Queue<usize>| serve(queue, &done)
        });
        let served = Arc::new(Served::start("test", 2, servers).unwrap());
        let callers: Vec<_> = (0..2)
            .map(|caller| {
                let served = served.clone();
                thread::spawn(move || {
                    for n in 0..2 {
                        future::block_on(served.put(caller * 2 + n)).unwrap();
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        future::block_on(served.close());
        let mut done = done.lock().unwrap().clone();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3]);
        assert_eq!(future::block_on(served.put(4)), Err(Closed));
    });
}

/// Each thing that was let in is served, and none that was refused, whenever the end comes between.
#[test]
fn what_comes_with_the_end_is_served_or_refused() {
    in_many_orders(|| {
        let done = Arc::new(Mutex::new(vec![]));
        let server = {
            let done = done.clone();
            move |queue: &Queue<usize>| serve(queue, &done)
        };
        let served = Arc::new(Served::start("test", 1, [server]).unwrap());
        let callers: Vec<_> = (0..3)
            .map(|n| {
                let served = served.clone();
                thread::spawn(move || future::block_on(served.put(n)).is_ok())
            })
            .collect();
        future::block_on(served.close());
        let let_in =
            callers.into_iter().enumerate().filter_map(|(n, caller)| caller.join().unwrap().then_some(n));
        let let_in: BTreeSet<_> = let_in.collect();
        let done = done.lock().unwrap().clone();
        assert_eq!(done.len(), let_in.len(), "{done:?} were served, {let_in:?} let in");
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), let_in);
    });
}

fn told(who: &str, survey: bool) -> Effects {
    let agents = BTreeSet::from([agent(who)]);
    Effects { devices: agents.clone(), workers: agents, survey, ..Effects::default() }
}

/// Each is told of once; a worker sleeps until there is something to hear.
#[test]
fn what_was_committed_is_heard_of_by_whoever_sleeps() {
    in_many_orders(|| {
        let hub = Arc::new(Hub::default());
        let (mut worker, mut device) = (hub.worker(), hub.device(&agent("nancy")));
        let committers: Vec<_> = [("nancy", false), ("andrew", true), ("janet", false)]
            .map(|(who, survey)| {
                let hub = hub.clone();
                thread::spawn(move || hub.tell(told(who, survey)))
            })
            .into();
        let mut heard = BTreeSet::new();
        let mut survey = false;
        future::block_on(async {
            while heard.len() < 3 || !survey {
                match worker.next().await.unwrap() {
                    WorkerWake::Agent(agent) => drop(heard.insert(agent)),
                    WorkerWake::Survey => survey = true,
                    WorkerWake::Lost => panic!("few are told of"),
                }
            }
            device.changed().await.unwrap();
        });
        committers.into_iter().for_each(|one| one.join().unwrap());
    });
}

/// Whoever subscribes while it closes is told of the end, and so is whoever sleeps.
#[test]
fn everybody_is_told_of_the_end() {
    in_many_orders(|| {
        let hub = Arc::new(Hub::default());
        let early = (hub.worker(), hub.device(&agent("nancy")));
        let closes = hub.clone();
        let closing = thread::spawn(move || closes.close());
        let late = (hub.worker(), hub.device(&agent("nancy")));
        for (mut worker, mut device) in [early, late] {
            assert_eq!(future::block_on(worker.next()), Err(BusClosed));
            assert_eq!(future::block_on(device.changed()), Err(BusClosed));
        }
        closing.join().unwrap();
    });
}
