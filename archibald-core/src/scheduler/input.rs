use serde::{Deserialize, Serialize};

use super::Ticket;
use crate::id::{AgentId, OperationId};
use crate::pause::PauseScope;
use crate::time::Timestamp;

/// What happened. Serialisable, so that any run can be recorded and replayed.
///
/// Inputs may come late, twice, or contradict each other: none panics, and none makes a second
/// [`Command::Lease`](super::Command::Lease) for an agent before the first was answered. Each variant says
/// what becomes of the odd ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// An operation waits: enqueued, to be retried, redriven, or returned by a lost worker.
    ///
    /// Again for one that waits: the newer ticket replaces the older. For one that is starting or running:
    /// the same ticket is an echo and changes nothing; another is kept, and used if the end of the attempt
    /// brings no newer one, so that a wake-up which overtook the end of a lost attempt is not lost; at worst
    /// one lease is refused as `Gone`. Any ticket of an agent that another worker holds makes it try again.
    Waiting(Ticket),
    /// The store gave the lease that was asked for.
    ///
    /// For anything that was not asked for, or was given before: ignored.
    Leased {
        /// Whose.
        agent: AgentId,
        /// Which operation.
        operation: OperationId,
    },
    /// The store refused the lease that was asked for; agent and slot are free.
    ///
    /// For anything that was not asked for: ignored. Once leased, too: then only `Settled` frees the agent.
    LeaseRefused {
        /// Whose.
        agent: AgentId,
        /// Which operation.
        operation: OperationId,
        /// Why.
        reason: Refusal,
    },
    /// An intent was committed: the attempt is not to be preempted from here on.
    ///
    /// For anything that is neither starting nor running: ignored.
    EffectOpen {
        /// Whose.
        agent: AgentId,
        /// Which operation.
        operation: OperationId,
    },
    /// The attempt is over; agent and slot are free.
    ///
    /// While the lease is under way it counts as well, and the answer that comes later is ignored. For an
    /// operation that is not running here: `next` is taken as `Waiting`, and a ticket that is known is kept.
    Settled {
        /// Whose.
        agent: AgentId,
        /// Which operation.
        operation: OperationId,
        /// Its ticket if it waits again.
        next: Option<Ticket>,
    },
    /// It waits no more: cancelled, or found gone.
    ///
    /// While it is starting or running the agent stays taken until the attempt ends; then it is forgotten,
    /// unless a ticket came since.
    /// Unknown: nothing but what `TargetFreed` does.
    Withdrawn {
        /// Whose.
        agent: AgentId,
        /// Which operation.
        operation: OperationId,
    },
    /// An operation that may have blocked others of its target ended elsewhere: a doubt that was resolved,
    /// an attempt of another worker. What was parked behind it is tried again.
    TargetFreed {
        /// Whose.
        agent: AgentId,
        /// The one that ended.
        operation: OperationId,
    },
    /// Start nothing of it; what runs goes on. Again: the newer one counts.
    Pause {
        /// What.
        scope: PauseScope,
        /// For those who ask why.
        why: String,
        /// Ask its background attempts without an open effect to give way, too.
        drains: bool,
    },
    /// Start its operations again, but for those that another pause is about. An agent that is not paused is tried
    /// again, unless the store was unavailable; anything else: nothing.
    Resume {
        /// What.
        scope: PauseScope,
    },
    /// Start nothing any more, and ask background attempts without an open effect to give way. For good.
    Drain,
    /// A time that [`Scheduler::poll_timeout`](super::Scheduler::poll_timeout) named has come.
    Tick,
}

/// Why the store gave no lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// The operation waits no more: forgotten, unless a ticket came while the lease was under way.
    Gone,
    /// It is not due: tried again then.
    NotDue {
        /// When it is.
        at: Timestamp,
    },
    /// Another worker holds the agent: the agent is parked.
    AgentHeld {
        /// When that lease ends unless it is renewed.
        until: Timestamp,
    },
    /// An earlier unfinished operation has the same target: the ticket is parked until that one is settled,
    /// freed or withdrawn, and tried again after [`BLOCKED_RETRY`](super::BLOCKED_RETRY) all the same.
    TargetBusy {
        /// That operation.
        by: OperationId,
    },
    /// It is paused, as [`Input::Pause`] would say.
    Paused {
        /// What is: of agents this one, and of kinds that of the operation.
        scope: PauseScope,
        /// Why.
        why: String,
    },
    /// The store failed: the agent is left alone for a while.
    Unavailable {
        /// How long.
        until: Timestamp,
    },
}
