//! An ERP in memory, without pages and without a browser: pool, session and client in one.
//!
//! For tests of one's own actions and for first steps. It keeps what was saved in order, accepts the same
//! order twice without a complaint, as the real one does, and fails as it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archibald_core::effect::{ActOutcome, Intent, NotSent};
use archibald_core::erp::{
    Customer, CustomerPage, Order, OrderLine, OrderQuery, OrderSummary, WantedOrder, differences,
};
use archibald_core::id::AgentId;
use archibald_core::port::{
    AcquireError, AcquireRequest, ArchibaldClient, BrowserPool, ClientError, CommitGate, Finish, Guard,
    LoginError, PoolOccupancy, SessionLease,
};
use archibald_core::record::Evidence;
use async_trait::async_trait;
use rust_decimal::Decimal;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Customers on a page of the list.
const PAGE: usize = 20;

/// What goes wrong with a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveFault {
    /// The answer is lost; the order was saved or not.
    Lost {
        /// Whether it was saved.
        applied: bool,
    },
    /// A whole answer that says error; the order was saved or not.
    ServerError {
        /// Whether it was saved.
        applied: bool,
    },
    /// The order is saved once the given number of lists have been read since.
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
}

#[derive(Default)]
struct State {
    orders: Vec<(AgentId, Order)>,
    late: Vec<(u32, AgentId, Order)>,
    customers: Vec<Customer>,
    faults: VecDeque<SaveFault>,
    refused_logins: BTreeMap<AgentId, String>,
    logins: u64,
    reads: u64,
    in_use: usize,
    next_number: u64,
}

/// An ERP in memory.
pub struct FakeErp {
    state: Arc<Mutex<State>>,
    slots: Arc<Semaphore>,
    capacity: usize,
    pause: Arc<Pause>,
}

/// Holds customers' pages back until somebody lets them go.
#[derive(Default)]
struct Pause {
    held: Mutex<bool>,
    changed: Notify,
}

impl FakeErp {
    /// One that serves this many sessions together.
    #[must_use]
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Arc::default(),
            slots: Arc::new(Semaphore::new(capacity)),
            capacity,
            pause: Arc::default(),
        })
    }

    /// The next save goes wrong like this; several wait in line.
    pub fn fail_next_save(&self, fault: SaveFault) {
        self.state().faults.push_back(fault);
    }

    /// Logins of this agent are refused with this text; `None` lets them in again.
    pub fn refuse_login(&self, agent: &AgentId, text: Option<&str>) {
        match text {
            Some(text) => self.state().refused_logins.insert(agent.clone(), text.to_owned()),
            None => self.state().refused_logins.remove(agent),
        };
    }

    /// Adds customers to everybody's list.
    pub fn add_customers(&self, customers: impl IntoIterator<Item = Customer>) {
        self.state().customers.extend(customers);
    }

    /// Puts an order there behind the product's back, as a person would.
    pub fn add_order(&self, agent: &AgentId, order: Order) {
        self.state().orders.push((agent.clone(), order));
    }

    /// Every order there is, in the order of saving.
    #[must_use]
    pub fn orders(&self) -> Vec<(AgentId, Order)> {
        self.state().orders.clone()
    }

    /// How often a list or a detail page was read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Holds the pages of the list of customers back, or lets them go.
    pub fn hold_customers(&self, held: bool) {
        *self.pause.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.pause.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl BrowserPool for FakeErp {
    async fn acquire(&self, request: AcquireRequest) -> Result<Box<dyn SessionLease>, AcquireError> {
        let slot = tokio::time::timeout(request.wait, self.slots.clone().acquire_owned());
        let saturated = AcquireError::Saturated { in_use: self.capacity };
        let Ok(Ok(slot)) = slot.await else { return Err(saturated) };
        let mut state = self.state();
        if let Some(text) = state.refused_logins.get(&request.agent) {
            let (user, text) = (request.agent.to_string(), text.clone());
            return Err(LoginError::Refused { user, text }.into());
        }
        state.logins += 1;
        state.in_use += 1;
        Ok(Box::new(FakeSession {
            agent: request.agent,
            guard: request.guard,
            state: self.state.clone(),
            pause: self.pause.clone(),
            _slot: slot,
        }))
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn occupancy(&self) -> PoolOccupancy {
        let state = self.state();
        PoolOccupancy {
            capacity: self.capacity,
            in_use: state.in_use,
            logins: state.logins,
            ..PoolOccupancy::default()
        }
    }

    async fn shutdown(&self, _grace: Duration) {}
}

struct FakeSession {
    agent: AgentId,
    guard: Arc<dyn Guard>,
    state: Arc<Mutex<State>>,
    pause: Arc<Pause>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        lock(&self.state).in_use -= 1;
    }
}

#[async_trait]
impl SessionLease for FakeSession {
    fn client(&self) -> &dyn ArchibaldClient {
        self
    }

    async fn finish(self: Box<Self>, _how: Finish) {}
}

impl FakeSession {
    fn save(&self, wanted: &WantedOrder, reference: &str) -> Order {
        let mut state = lock(&self.state);
        let order = state.make(wanted, reference);
        state.orders.push((self.agent.clone(), order.clone()));
        order
    }

    fn read(&self) -> Result<MutexGuard<'_, State>, ClientError> {
        self.guard.check()?;
        let mut state = lock(&self.state);
        state.reads += 1;
        state.deliver_late();
        Ok(state)
    }
}

impl State {
    fn make(&mut self, wanted: &WantedOrder, reference: &str) -> Order {
        self.next_number += 1;
        Order {
            number: format!("O-{}", self.next_number),
            customer: wanted.customer.clone(),
            date: wanted.date,
            reference: reference.to_owned(),
            note: wanted.note.clone(),
            sent: false,
            lines: wanted
                .lines
                .iter()
                .map(|line| OrderLine {
                    product: line.product.clone(),
                    quantity: line.quantity,
                    unit_price: 1.into(),
                    discount: line.discount,
                })
                .collect(),
        }
    }

    fn deliver_late(&mut self) {
        for (reads, ..) in &mut self.late {
            *reads = reads.saturating_sub(1);
        }
        let (due, waiting) = std::mem::take(&mut self.late).into_iter().partition(|(reads, ..)| *reads == 0);
        self.late = waiting;
        let due: Vec<(u32, AgentId, Order)> = due;
        self.orders.extend(due.into_iter().map(|(_, agent, order)| (agent, order)));
    }
}

#[async_trait]
impl ArchibaldClient for FakeSession {
    async fn create_order(
        &self,
        wanted: &WantedOrder,
        reference: &str,
        intent: Intent,
        gate: Arc<dyn CommitGate>,
    ) -> ActOutcome<Order> {
        if self.guard.check().is_err() {
            return ActOutcome::NotSent(NotSent::LeaseLost);
        }
        let fault = lock(&self.state).faults.pop_front();
        if fault == Some(SaveFault::Expired) {
            return ActOutcome::NotSent(NotSent::SessionExpired);
        }
        if let Err(error) = gate.open(intent).await {
            return ActOutcome::NotSent(NotSent::Other(error.to_string()));
        }
        let ambiguous = |answered| ActOutcome::Ambiguous { evidence: format!("{fault:?}"), answered };
        match &fault {
            None | Some(SaveFault::Expired) => {
                let order = self.save(wanted, reference);
                let differences = differences(wanted, reference, &order);
                debug_assert!(differences.is_empty(), "{differences:?}");
                ActOutcome::Done(order)
            }
            Some(SaveFault::Refused(text)) => ActOutcome::Refused(text.clone()),
            Some(SaveFault::Lost { applied } | SaveFault::ServerError { applied }) => {
                if *applied {
                    self.save(wanted, reference);
                }
                ambiguous(matches!(fault, Some(SaveFault::ServerError { .. })))
            }
            Some(SaveFault::Late { reads }) => {
                let mut state = lock(&self.state);
                let order = state.make(wanted, reference);
                state.late.push((*reads, self.agent.clone(), order));
                ambiguous(false)
            }
            Some(SaveFault::Panic) => {
                self.save(wanted, reference);
                std::panic::resume_unwind(Box::new("the client panics, as it was told to"))
            }
        }
    }

    async fn find_orders(&self, query: &OrderQuery) -> Result<Vec<OrderSummary>, ClientError> {
        let state = self.read()?;
        let matches = |order: &Order| {
            query.reference.as_ref().is_none_or(|text| order.reference.contains(text))
                && query.customer.as_ref().is_none_or(|code| order.customer == *code)
                && query.date.is_none_or(|date| order.date == date)
        };
        let own = state.orders.iter().filter(|(agent, order)| *agent == self.agent && matches(order));
        Ok(own
            .map(|(_, order)| OrderSummary {
                number: order.number.clone(),
                customer: order.customer.clone(),
                date: order.date,
                reference: order.reference.clone(),
                sent: order.sent,
                total: order.lines.iter().map(|line| line.unit_price * Decimal::from(line.quantity)).sum(),
            })
            .collect())
    }

    async fn read_order(&self, number: &str) -> Result<Option<Order>, ClientError> {
        let state = self.read()?;
        let own = state.orders.iter().find(|(agent, order)| *agent == self.agent && order.number == number);
        Ok(own.map(|(_, order)| order.clone()))
    }

    async fn read_customers(&self, page: u32) -> Result<CustomerPage, ClientError> {
        loop {
            let changed = self.pause.changed.notified();
            if !*self.pause.held.lock().unwrap_or_else(PoisonError::into_inner) {
                break;
            }
            changed.await;
        }
        let state = self.read()?;
        let first = page.saturating_sub(1) as usize * PAGE;
        Ok(CustomerPage {
            customers: state.customers.iter().skip(first).take(PAGE).cloned().collect(),
            pages: u32::try_from(state.customers.len().div_ceil(PAGE)).unwrap_or(u32::MAX).max(1),
        })
    }

    async fn check_health(&self) -> Result<(), ClientError> {
        self.read().map(drop)
    }

    async fn capture(&self) -> Vec<Evidence> {
        vec![]
    }
}
