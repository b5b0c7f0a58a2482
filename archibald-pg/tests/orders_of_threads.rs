//! What threads share without a channel, in thousands of the orders in which they may come.
//!
//! The files are the store's own; only their locks are others, at which the next thread is drawn.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, dead_code)]

#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/gathering.rs"]
mod gathering;
#[path = "../src/hub.rs"]
mod hub;

/// In the place of the store's own.
mod sync {
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::AtomicUsize as Count;

use archibald_core::id::AgentId;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread::JoinHandle;
use shuttle::{check_pct, check_random, future, thread};

use self::gate::Gates;
use self::gathering::{Gathering, Taken};
use self::hub::Hub;

/// Orders that are tried of each kind: at random, and with few changes of threads.
const ORDERS: usize = 1_500;
const LANES: usize = 2;
/// The first calls, so many: somebody keeps their rows.
const BLOCKED: usize = 2;

fn agent(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn in_many_orders(story: fn()) {
    check_random(story, ORDERS);
    check_pct(story, ORDERS, 3);
}

/// Calls that found somebody of their agent at its gate, over all orders.
static BEHIND: Count = Count::new(0);

/// Calls of two agents from three threads, and who carries them out: many together, and those whose rows somebody
/// keeps alone, in their agent's turn.
#[derive(Default)]
struct Store {
    gathering: Gathering<(AgentId, usize)>,
    gates: Gates,
    threads: Mutex<Vec<JoinHandle<()>>>,
    busy: Mutex<HashSet<AgentId>>,
    at_turn: Mutex<HashSet<AgentId>>,
    working: AtomicUsize,
    done: Mutex<Vec<usize>>,
}

impl Store {
    fn submit(self: &Arc<Self>, who: &str, number: usize) {
        if self.gathering.put((agent(who), number), LANES) {
            let store = self.clone();
            let lane = thread::spawn(move || store.lane());
            self.threads.lock().unwrap().push(lane);
        }
    }

    fn lane(self: &Arc<Self>) {
        let mut done = HashSet::new();
        loop {
            let taken = self.gathering.take(&done, 2, |(agent, _)| agent, |agent| self.gates.is_taken(agent));
            let Taken { together, alone: behind } = taken;
            BEHIND.fetch_add(behind.len(), SeqCst);
            behind.into_iter().for_each(|call| self.carry_out_alone(call));
            if together.is_empty() {
                return;
            }
            done = together.iter().map(|(agent, _)| agent.clone()).collect();
            self.carry_out(together);
        }
    }

    fn carry_out(self: &Arc<Self>, calls: Vec<(AgentId, usize)>) {
        assert!(self.working.fetch_add(1, SeqCst) < LANES, "a lane too many");
        for (agent, _) in &calls {
            assert!(self.busy.lock().unwrap().insert(agent.clone()), "two of {agent} at once");
        }
        for (agent, number) in calls {
            self.busy.lock().unwrap().remove(&agent);
            if number < BLOCKED {
                self.carry_out_alone((agent, number));
            } else {
                self.done.lock().unwrap().push(number);
            }
        }
        self.working.fetch_sub(1, SeqCst);
    }

    fn carry_out_alone(self: &Arc<Self>, (agent, number): (AgentId, usize)) {
        let store = self.clone();
        let alone = thread::spawn(move || {
            future::block_on(async {
                let _turn = store.gates.enter(&agent).await;
                assert!(store.at_turn.lock().unwrap().insert(agent.clone()), "two of {agent} have its turn");
                thread::yield_now();
                store.at_turn.lock().unwrap().remove(&agent);
                store.done.lock().unwrap().push(number);
            });
        });
        self.threads.lock().unwrap().push(alone);
    }

    fn next_thread(&self) -> Option<JoinHandle<()>> {
        self.threads.lock().unwrap().pop()
    }
}

#[test]
fn no_call_is_left_behind_and_no_agent_has_two_at_once() {
    in_many_orders(|| {
        let store = Arc::new(Store::default());
        let call = |store: Arc<Store>, caller: usize| {
            move || (0..2).for_each(|n| store.submit(["nancy", "andrew"][(caller + n) % 2], caller * 2 + n))
        };
        let callers: Vec<_> = (0..3).map(|caller| thread::spawn(call(store.clone(), caller))).collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        while let Some(one) = store.next_thread() {
            one.join().unwrap();
        }
        let mut done = store.done.lock().unwrap().clone();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2, 3, 4, 5]);
        assert!(store.gates.is_empty());
    });
    assert!(BEHIND.load(SeqCst) > 0, "in no order anybody was behind another");
}

#[test]
fn one_at_a_time_has_an_agents_turn_and_no_gate_is_left() {
    in_many_orders(|| {
        let gates = Arc::new(Gates::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let those: Vec<_> = (0..4)
            .map(|_| {
                let (gates, inside) = (gates.clone(), inside.clone());
                thread::spawn(move || {
                    future::block_on(async {
                        let turn = gates.enter(&agent("nancy")).await;
                        assert_eq!(inside.fetch_add(1, SeqCst), 0, "two have the turn");
                        thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                        drop(turn);
                    });
                })
            })
            .collect();
        those.into_iter().for_each(|one| one.join().unwrap());
        assert!(gates.is_empty());
    });
}

/// Whoever tells the other processes sleeps until there is something to tell, and fails now and then.
#[test]
fn what_was_committed_is_told_whenever_the_teller_looks() {
    in_many_orders(|| {
        let hub = Arc::new(Hub::default());
        let commits = [("nancy", true), ("andrew", false), ("nancy", false), ("andrew", true)];
        let committers: Vec<_> = commits
            .chunks(2)
            .map(<[_]>::to_vec)
            .map(|two| {
                let hub = hub.clone();
                thread::spawn(move || {
                    two.iter().for_each(|(who, workers)| hub.committed(&agent(who), *workers))
                })
            })
            .collect();
        let mut told: BTreeMap<AgentId, bool> = BTreeMap::new();
        future::block_on(async {
            while !(told.len() == 2 && told.values().all(|workers| *workers)) {
                hub.untold.notified().await;
                let news = hub.take_news();
                thread::yield_now();
                hub.put_back(news);
                for (agent, workers) in hub.take_news().agents {
                    *told.entry(agent).or_default() |= workers;
                }
            }
        });
        committers.into_iter().for_each(|one| one.join().unwrap());
    });
}
