//! What threads share without a channel, in hundreds of the orders in which they may come: a lease as its holder sees it.
//!
//! The files are the runtime's own; only their locks and their clock are others, at which the next thread is drawn.
//! The rest of the runtime needs none of this: the scheduler and all that the driver knows are the driver's alone, an
//! attempt is its task's, what they tell each other goes through channels, and what is counted is counted by itself.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, dead_code)]

#[path = "../src/calm.rs"]
mod calm;
#[path = "../src/guard.rs"]
mod guard;
#[path = "../src/renewal.rs"]
mod renewal;

/// In the place of the runtime's own.
mod sync {
    use std::ops::Add;
    use std::time::Duration;

    use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
    use shuttle::thread;

    shuttle::lazy_static! {
        static ref CLOCK: AtomicU64 = AtomicU64::new(0);
    }

    /// Seconds of a clock that goes on between any two looks, or not.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(pub(crate) u64);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(CLOCK.load(SeqCst))
        }

        pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
            Duration::from_secs(self.0.saturating_sub(earlier.0))
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;
        fn add(self, time: Duration) -> Self {
            Self(self.0 + time.as_secs())
        }
    }

    pub(crate) fn a_second_passes() {
        CLOCK.fetch_add(1, SeqCst);
    }

    pub(crate) async fn sleep_until(at: Instant) {
        while Instant::now() < at {
            shuttle::future::yield_now().await;
        }
    }

    pub(crate) fn time_passes(seconds: u64) -> thread::JoinHandle<()> {
        thread::spawn(move || (0..seconds).for_each(|_| a_second_passes()))
    }
}

use std::collections::BTreeMap;
use std::time::Duration;

use archibald_core::error::{FenceError, StoreError};
use archibald_core::id::{AgentId, FencingToken, OperationId, WorkerId};
use archibald_core::lease::Lease;
use archibald_core::port::{AgentLock, Guard, LeaseError, LeaseRequest, Leased, Reaped};
use archibald_core::scheduler::Ticket;
use archibald_core::time::Timestamp;
use async_trait::async_trait;
use shuttle::sync::{Arc, Mutex};
use shuttle::{check_pct, check_random, future, thread};
use uuid::Uuid;

use self::guard::LeaseGuard;
use self::renewal::{Holdings, renew_once};
use self::sync::{Instant, time_passes};

/// Orders that are tried of each kind: at random, and with few changes of threads.
const ORDERS: usize = 1_500;
const TTL: Duration = Duration::from_secs(6);
const MARGIN: Duration = Duration::from_secs(1);

fn in_many_orders(story: fn()) {
    check_random(story, ORDERS);
    check_pct(story, ORDERS, 3);
}

fn lease(agent: &str) -> Lease {
    Lease {
        agent: AgentId::new(agent).unwrap(),
        operation: OperationId(Uuid::nil()),
        token: FencingToken(1),
        worker: WorkerId::new("w1").unwrap(),
        expires_at: Timestamp::EPOCH,
        ttl: TTL,
    }
}

/// Until when the store keeps each lease: all that its holders must not believe in for longer.
#[derive(Default)]
struct Store(Mutex<BTreeMap<AgentId, Instant>>);

impl Store {
    /// A new lease, as its holder comes to have it.
    fn take(&self, holdings: &Holdings, agent: &str) -> Arc<LeaseGuard> {
        let (lease, asked) = (lease(agent), Instant::now());
        self.0.lock().unwrap().insert(lease.agent.clone(), Instant::now() + TTL);
        let guard = Arc::new(LeaseGuard::new(lease, asked, MARGIN));
        holdings.add(&guard);
        guard
    }

    fn ends(&self, guard: &LeaseGuard) -> Option<Instant> {
        self.0.lock().unwrap().get(&guard.lease.agent).copied()
    }

    fn take_away(&self, guard: &LeaseGuard) {
        self.0.lock().unwrap().remove(&guard.lease.agent);
    }
}

#[async_trait]
impl AgentLock for Store {
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<(AgentId, FencingToken)>, StoreError> {
        let mut kept = self.0.lock().unwrap();
        let now = Instant::now();
        let mut renewed = vec![];
        for lease in leases {
            if let Some(ends) = kept.get_mut(&lease.agent).filter(|ends| **ends > now) {
                *ends = now + TTL;
                renewed.push((lease.agent.clone(), lease.token));
            }
        }
        Ok(renewed)
    }

    async fn lease(&self, _: &LeaseRequest) -> Result<Leased, LeaseError> {
        unreachable!("leases are taken otherwise here")
    }

    async fn hand_back(&self, _: &Lease) -> Result<(), FenceError> {
        unreachable!("nothing is handed back here")
    }

    async fn revoke(&self, _: &AgentId) -> Result<Option<Ticket>, StoreError> {
        unreachable!("leases are taken away otherwise here")
    }

    async fn reap(&self) -> Result<Reaped, StoreError> {
        unreachable!("nobody sweeps here")
    }
}

/// The gate's look: until when the holder may act, by what it is told now.
fn acts_until(guard: &LeaseGuard) -> Option<Instant> {
    let before = Instant::now();
    guard.check().ok().map(|left| before + left)
}

#[test]
fn nobody_acts_for_longer_than_the_store_keeps_the_lease() {
    in_many_orders(|| {
        let (store, holdings) = (Arc::new(Store::default()), Arc::new(Holdings::default()));
        let guard = store.take(&holdings, "nancy");
        let clock = time_passes(8);
        let renewing = {
            let (store, holdings) = (store.clone(), holdings.clone());
            thread::spawn(move || (0..2).for_each(|_| future::block_on(renew_once(&*store, &holdings))))
        };
        for _ in 0..3 {
            let until = acts_until(&guard);
            let kept = store.ends(&guard).unwrap();
            assert!(until.is_none_or(|until| until <= kept), "acts until {until:?}, kept until {kept:?}");
            thread::yield_now();
        }
        renewing.join().unwrap();
        clock.join().unwrap();
    });
}

/// A late answer to an early request crosses with another: the deadline is the later one's.
#[test]
fn a_renewal_never_takes_back_what_another_gave() {
    in_many_orders(|| {
        let guard = Arc::new(LeaseGuard::new(lease("nancy"), Instant(0), MARGIN));
        let extending: Vec<_> = [3, 9, 6]
            .map(|asked| {
                let guard = guard.clone();
                thread::spawn(move || guard.extend(Instant(asked)))
            })
            .into();
        let mut last = Duration::ZERO;
        for _ in 0..3 {
            let left = guard.check().unwrap();
            assert!(left >= last, "{left:?} is left after {last:?} was");
            last = left;
        }
        extending.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(guard.check(), Ok(Duration::from_secs(9) + (TTL - MARGIN)));
    });
}

#[test]
fn whoever_waits_for_the_end_hears_of_it_once_and_for_all() {
    in_many_orders(|| {
        let (store, holdings) = (Arc::new(Store::default()), Arc::new(Holdings::default()));
        let guard = store.take(&holdings, "nancy");
        let waits = guard.clone();
        let waiting = thread::spawn(move || {
            future::block_on(waits.lost());
            assert!(waits.check().is_err(), "it is lost, and the gate opens");
        });
        let clock = time_passes(3);
        let renewing = {
            let (store, holdings) = (store.clone(), holdings.clone());
            thread::spawn(move || (0..3).for_each(|_| future::block_on(renew_once(&*store, &holdings))))
        };
        store.take_away(&guard);
        future::block_on(renew_once(&*store, &holdings));
        assert!(guard.check().is_err(), "the store said that it is lost");
        renewing.join().unwrap();
        waiting.join().unwrap();
        clock.join().unwrap();
        assert!(guard.check().is_err(), "a lost lease is extended");
    });
}

#[test]
fn a_renewed_lease_is_not_lost_at_the_end_that_it_had() {
    in_many_orders(|| {
        let guard = Arc::new(LeaseGuard::new(lease("nancy"), Instant(0), MARGIN));
        let waits = guard.clone();
        let waiting = thread::spawn(move || {
            future::block_on(waits.lost());
            Instant::now()
        });
        let renewing = {
            let guard = guard.clone();
            thread::spawn(move || {
                guard.extend(Instant(2));
                time_passes(12).join().unwrap();
            })
        };
        renewing.join().unwrap();
        assert!(waiting.join().unwrap() >= Instant(2) + (TTL - MARGIN));
    });
}

/// A lease that comes while others are renewed is not among those that were asked for.
#[test]
fn what_is_taken_during_a_renewal_is_not_lost_by_it() {
    in_many_orders(|| {
        let (store, holdings) = (Arc::new(Store::default()), Arc::new(Holdings::default()));
        let first = store.take(&holdings, "nancy");
        let renewing = {
            let (store, holdings) = (store.clone(), holdings.clone());
            thread::spawn(move || (0..2).for_each(|_| future::block_on(renew_once(&*store, &holdings))))
        };
        let second = store.take(&holdings, "andrew");
        holdings.remove(&first);
        renewing.join().unwrap();
        assert!(second.check().is_ok(), "nobody took it away");
        assert!(holdings.has(&second.lease.agent, second.lease.token));
        assert!(!holdings.has(&first.lease.agent, first.lease.token));
    });
}
