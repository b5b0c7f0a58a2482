//! What the core asks of the outside world, one small trait a file.
//!
//! Every method says what happens when its future is dropped. "Cancel safe" means: either it happened
//! whole or not at all, and asking again (or reading) tells which.

mod agent_lock;
mod agent_store;
mod archibald_client;
mod browser_pool;
mod clock;
mod credentials;
mod event_bus;
mod history;
mod operation_store;
mod operations;
mod pending_orders;

pub use self::agent_lock::{AgentLock, LeaseError, LeaseRequest, Leased, Reaped};
pub use self::agent_store::{AgentStore, Sealed};
pub use self::archibald_client::{ArchibaldClient, ClientError, CommitGate, GateRefused};
pub use self::browser_pool::{
    AcquireError, AcquireRequest, BrowserPool, Finish, Guard, LeaseLost, LoginError, PoolOccupancy,
    SessionLease,
};
pub use self::clock::Clock;
pub use self::credentials::{
    AgentAdmin, CredentialError, CredentialProvider, CredentialStore, Credentials, ListedAgent,
};
pub use self::event_bus::{
    BusClosed, EventBus, EventRead, Head, ResetReason, Snapshot, Wakeups, WorkerWake, WorkerWakeups,
};
pub use self::history::{Minute, Tally};
pub use self::operation_store::{
    AdminError, Enqueued, HandedOn, OperationFilter, OperationPage, OperationStore, RowPage, RowQuery,
    Survey, SurveyRequest, TakenUp,
};
pub use self::operations::{EnqueueRequest, NotPreempted, Operations, Overview, Why};
pub use self::pending_orders::{
    CreatedPendingOrder, PendingOrderPage, PendingOrderStore, PendingOrders, SubmitRequest,
};

#[cfg(feature = "mock")]
pub use self::{
    agent_lock::MockAgentLock, agent_store::MockAgentStore, archibald_client::MockArchibaldClient,
    archibald_client::MockCommitGate, browser_pool::MockBrowserPool, browser_pool::MockGuard,
    browser_pool::MockSessionLease, clock::MockClock, credentials::MockAgentAdmin,
    credentials::MockCredentialProvider, credentials::MockCredentialStore, event_bus::MockEventBus,
    operation_store::MockOperationStore, operations::MockOperations, pending_orders::MockPendingOrderStore,
    pending_orders::MockPendingOrders,
};
