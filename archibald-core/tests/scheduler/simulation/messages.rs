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
    Lease {
        agent: AgentId,
        operation: OperationId,
        asked_at: Timestamp,
    },
    Attempt {
        agent: AgentId,
        lease: Lease,
        write: Box<Write>,
    },
    Renew {
        leases: Vec<Lease>,
        asked_at: Timestamp,
    },
    Waiting {
        agent: AgentId,
        ended: Option<OperationId>,
    },
    Sweep,
    /// Accepts an operation, and leases it where it is alone.
    Accept {
        new: Box<NewOperation>,
        asked_at: Timestamp,
    },
    HandBack(Box<Back>),
    /// Whether the agent was handed on to this operation after a lease.
    Followed {
        ended: Lease,
        next: OperationId,
    },
    /// Whether this worker holds it.
    Find(Search),
}

/// A lease that is to be given back before anything was attempted.
#[derive(Debug)]
pub(crate) struct Back {
    pub(crate) lease: Lease,
    pub(crate) until: Timestamp,
    pub(crate) then: Then,
}

/// What waits for a lease to be given back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    Nothing,
    /// Another lease of the agent.
    Lease(OperationId),
    /// The end of this attempt.
    Settled(OperationId),
}

/// For a lease that nobody may know of.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) operation: OperationId,
    /// The token that it was found with before.
    pub(crate) seen: Option<FencingToken>,
    pub(crate) until: Timestamp,
}

/// What was leased as it was accepted.
#[derive(Debug)]
pub(crate) struct Leased {
    pub(crate) lease: Lease,
    pub(crate) record: OperationRecord,
    pub(crate) ticket: Ticket,
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
    /// And the agent goes on to another operation.
    HandOn(Disposition, OperationId),
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
    /// An attempt begins with the lease that was at hand.
    Begin {
        agent: AgentId,
        operation: OperationId,
        token: FencingToken,
    },
    Accepted {
        asked_at: Timestamp,
        leased: Option<Box<Leased>>,
    },
    NotAccepted(OperationId),
    HandedBack {
        back: Back,
        done: bool,
    },
    HandBackAgain(Back),
    Followed {
        ended: Lease,
        found: Option<Lease>,
    },
    Found {
        search: Search,
        found: Result<Option<Lease>, ()>,
    },
    FindAgain(Search),
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
    Settled(Box<OperationRecord>, Option<Box<(Lease, OperationRecord)>>),
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

impl Note {
    /// Whether it tells of a lease that came with something else.
    pub(crate) fn brings_a_lease(&self) -> bool {
        matches!(
            self,
            Self::Written(_, _, Reply::Settled(_, Some(_))) | Self::Accepted { leased: Some(_), .. }
        )
    }
}
