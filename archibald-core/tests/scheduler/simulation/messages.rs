//! What is under way between workers, store and ERP.

use std::time::Duration;

use archibald_core::effect::{Intent, IntentRequest, Receipt};
use archibald_core::id::{AgentId, FencingToken, OperationId};
use archibald_core::lease::Lease;
use archibald_core::operation::NewOperation;
use archibald_core::pause::PauseScope;
use archibald_core::record::{Disposition, OperationRecord};
use archibald_core::scheduler::{Input, Refusal, Ticket};
use archibald_core::time::Timestamp;

/// A worker's process: what is sent to an earlier one is lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Address {
    pub(crate) worker: usize,
    pub(crate) incarnation: u64,
}

#[derive(Debug)]
pub(crate) enum Happening {
    Enqueue(Box<NewOperation>),
    AtStore(Address, Call),
    AtWorker(Address, Note),
    Applied { operation: OperationId, list_lag: Duration },
    Read { to: Address, agent: AgentId, token: FencingToken, began: Timestamp },
    Restart(usize),
    Person,
}

/// A statement on its way to the store.
#[derive(Debug)]
pub(crate) enum Call {
    Lease { agent: AgentId, operation: OperationId, asked_at: Timestamp },
    Attempt { agent: AgentId, lease: Lease, write: Box<Write> },
    Renew { leases: Vec<Lease>, asked_at: Timestamp },
    Waiting { agent: AgentId, ended: Option<OperationId> },
    Sweep,
}

/// A write of an attempt, under its lease.
#[derive(Debug)]
pub(crate) enum Write {
    Intend(IntentRequest),
    Release(Intent),
    Answered,
    Record(Receipt),
    Checkpoint(u64),
    Settle(Disposition),
}

/// Something that reaches a worker.
#[derive(Debug)]
pub(crate) enum Note {
    Input(Input),
    Lease {
        agent: AgentId,
        operation: OperationId,
        asked_at: Timestamp,
        answer: Box<Result<(Lease, OperationRecord), Refusal>>,
    },
    Written(AgentId, FencingToken, Reply),
    Seen(AgentId, FencingToken, Seen),
    WriteAgain(AgentId, FencingToken, Write),
    Renewed {
        leases: Vec<Lease>,
        asked_at: Timestamp,
        survivors: Option<Vec<FencingToken>>,
    },
    Heard {
        tickets: Vec<Ticket>,
        agent: AgentId,
        ended: Option<OperationId>,
    },
    Swept {
        tickets: Vec<Ticket>,
        paused: Vec<PauseScope>,
    },
    Tick,
    RenewTime,
    SweepTime,
}

/// How a write went.
#[derive(Debug)]
pub(crate) enum Reply {
    Intended(Intent),
    Released,
    Done,
    Settled(Box<OperationRecord>),
    Superseded,
    TooShort,
    Unavailable(Option<Write>),
}

/// What a page showed.
#[derive(Debug)]
pub(crate) enum Seen {
    Page,
    Done,
    Error { whole: bool },
    Refused,
    Maintenance,
    Probe { began: Timestamp, found: Option<Receipt>, unclear: bool },
}
