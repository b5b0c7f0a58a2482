//! An ERP in memory, without pages and without a browser: pool, session and client in one.
//!
//! For tests of one's own actions and for first steps. It keeps what was saved in order, accepts the same
//! order twice without a complaint, as the real one does, and fails as it is told to.

mod session;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::erp::{Customer, Order};
use archibald_core::id::AgentId;
use archibald_core::port::{
    AcquireError, AcquireRequest, BrowserPool, Credentials, LoginError, PoolOccupancy, SessionLease,
};
use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

pub use self::world::{Records, Write};

use self::session::FakeSession;
use self::world::World;

/// What goes wrong with a save, whatever it saves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveFault {
    /// The answer is lost; it was saved or not.
    Lost {
        /// Whether it was saved.
        applied: bool,
    },
    /// A whole answer that says error; it was saved or not.
    ServerError {
        /// Whether it was saved.
        applied: bool,
    },
    /// It is saved once the given number of pages have been read since.
    Late {
        /// That number.
        reads: u32,
    },
    /// A validation message.
    Refused(String),
    /// The session has expired before the save.
    Expired,
    /// The client panics after the save.
    Panic,
    /// It is saved with another value than was typed: the first line's discount, the customer's city. What
    /// has no values, a deletion or a sending, goes well.
    Altered,
    /// An error, and only the head of it was saved: an order without lines, a customer's name, VAT number and
    /// city.
    Half,
}

/// An ERP in memory.
pub struct FakeErp {
    world: Arc<Mutex<World>>,
    slots: Arc<Semaphore>,
    capacity: usize,
    pauses: Arc<Pauses>,
}

#[derive(Default)]
struct Pauses {
    lists: Pause,
    details: Pause,
}

/// Holds pages back until somebody lets them go.
#[derive(Default)]
struct Pause {
    held: Mutex<bool>,
    changed: Notify,
    readers: AtomicUsize,
}

impl Pause {
    fn hold(&self, held: bool) {
        *lock(&self.held) = held;
        self.changed.notify_waiters();
    }

    async fn passed(&self) {
        let _counted = Reader::of(self);
        loop {
            let changed = self.changed.notified();
            if !*lock(&self.held) {
                return;
            }
            changed.await;
        }
    }
}

/// A session that asks for a page, until it has passed or gave up.
struct Reader<'a>(&'a Pause);

impl<'a> Reader<'a> {
    fn of(pause: &'a Pause) -> Self {
        pause.readers.fetch_add(1, Relaxed);
        Self(pause)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Relaxed);
    }
}

impl FakeErp {
    /// One that serves this many sessions together.
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::default(),
            slots: Arc::new(Semaphore::new(capacity)),
            capacity,
            pauses: Arc::default(),
        })
    }

    /// The next save goes wrong like this; several wait in line.
    pub fn fail_next_save(&self, fault: SaveFault) {
        self.world().faults.push_back(fault);
    }

    /// Logins of this agent are refused with this text; `None` lets them in again.
    pub fn refuse_login(&self, agent: &AgentId, text: Option<&str>) {
        match text {
            Some(text) => self.world().refused_logins.insert(agent.clone(), (text.to_owned(), None)),
            None => self.world().refused_logins.remove(agent),
        };
    }

    /// Logins of this agent are refused with this text, as such that were tried with these credentials.
    pub fn refuse_login_with(&self, agent: &AgentId, tried: Credentials, text: &str) {
        self.world().refused_logins.insert(agent.clone(), (text.to_owned(), Some(tried)));
    }

    /// Whose sessions the pool was told to [end](BrowserPool::end), in order.
    #[must_use]
    pub fn ended(&self) -> Vec<AgentId> {
        self.world().ended.clone()
    }

    /// Adds customers to everybody's list.
    pub fn add_customers(&self, customers: impl IntoIterator<Item = Customer>) {
        self.by_hand(|records| records.customers.extend(customers));
    }

    /// Puts an order there behind the product's back, as a person would.
    pub fn add_order(&self, agent: &AgentId, order: Order) {
        self.by_hand(|records| records.orders.push((agent.clone(), order)));
    }

    /// Changes anything behind the product's back, as a person would.
    pub fn by_hand<T>(&self, change: impl FnOnce(&mut Records) -> T) -> T {
        change(&mut self.world().records)
    }

    /// The same, right before so many more pages were read.
    pub fn by_hand_before_page(&self, reads: u32, change: impl FnOnce(&mut Records) + Send + 'static) {
        self.world().late.push((reads, Box::new(|world: &mut World| change(&mut world.records))));
    }

    /// Lists leave out these orders and customers, and no others; their detail pages stay.
    pub fn leave_out_of_lists(&self, ids: impl IntoIterator<Item = impl Into<String>>) {
        self.world().hidden = ids.into_iter().map(Into::into).collect();
    }

    /// Every order there is, in the order of saving.
    #[must_use]
    pub fn orders(&self) -> Vec<(AgentId, Order)> {
        self.world().records.orders.clone()
    }

    /// Every customer there is, in the order of saving.
    #[must_use]
    pub fn customers(&self) -> Vec<Customer> {
        self.world().records.customers.clone()
    }

    /// Everything that was saved through a session, in order.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.world().writes.clone()
    }

    /// How often a list or a detail page was read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.world().reads
    }

    /// The orders and customers whose detail pages were opened, in order.
    #[must_use]
    pub fn opened(&self) -> Vec<String> {
        self.world().opened.clone()
    }

    /// Holds the pages of lists back, or lets them go. Searches are not held.
    pub fn hold_lists(&self, held: bool) {
        self.pauses.lists.hold(held);
    }

    /// Holds detail pages back, or lets them go.
    pub fn hold_details(&self, held: bool) {
        self.pauses.details.hold(held);
    }

    /// How many sessions wait for a page that is held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.pauses.lists.readers.load(Relaxed) + self.pauses.details.readers.load(Relaxed)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl BrowserPool for FakeErp {
    async fn acquire(&self, request: AcquireRequest) -> Result<Box<dyn SessionLease>, AcquireError> {
        let slot = tokio::time::timeout(request.wait, self.slots.clone().acquire_owned());
        let saturated = AcquireError::Saturated { in_use: self.capacity };
        let Ok(Ok(slot)) = slot.await else { return Err(saturated) };
        let mut world = self.world();
        if let Some((text, tried)) = world.refused_logins.get(&request.agent).cloned() {
            let user = request.agent.to_string();
            return Err(LoginError::Refused { user, text, tried }.into());
        }
        world.logins += 1;
        world.in_use += 1;
        Ok(Box::new(FakeSession {
            agent: request.agent,
            guard: request.guard,
            world: self.world.clone(),
            pauses: self.pauses.clone(),
            pictures: request.trace,
            _slot: slot,
        }))
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn occupancy(&self) -> PoolOccupancy {
        let world = self.world();
        PoolOccupancy {
            capacity: self.capacity,
            in_use: world.in_use,
            logins: world.logins,
            ..PoolOccupancy::default()
        }
    }

    async fn end(&self, agent: &AgentId) {
        self.world().ended.push(agent.clone());
    }

    async fn shutdown(&self, _grace: Duration) {}
}
