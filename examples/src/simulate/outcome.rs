use super::busy::Busy;
use super::pool::Logins;

/// What was going on when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Its agent had nothing under way, and a slot was free.
    SlotFree,
    /// Its agent had nothing under way, and all slots were taken.
    NoSlot,
    /// A sync of its agent ran and was asked to give way.
    SyncGaveWay,
    /// A sync of its agent ran and was protected.
    SyncProtected,
    /// Its agent had another operation of the kind that somebody waits for.
    OwnWrites,
}

/// What became of one job.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// What was going on when it was asked for; of interactive ones alone.
    pub asked: Option<Asked>,
    /// How long its agent was free and it was first in line, and no slot was to be had.
    pub slot_ms: u64,
    /// Slots that were given back in that time.
    pub releases: u64,
    /// How long it had its slot and no session yet.
    pub session_ms: u64,
    /// Whether that was a login because the agent's context had been given away.
    pub evicted: bool,
    /// When it began to work for the first time.
    pub worked_ms: Option<u64>,
    /// How often it gave way.
    pub preemptions: u32,
    /// When it was done.
    pub ended_ms: Option<u64>,
    /// Requests that are done.
    pub(super) done: usize,
    /// Slots that had been given back when it was asked for.
    pub(super) releases_before: u64,
}

/// A slot in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Place of the job in the workload.
    pub job: usize,
    /// When the lease was given.
    pub from_ms: u64,
    /// When it was given back.
    pub to_ms: u64,
}

/// What the day came to.
#[derive(Debug)]
pub struct Outcome {
    /// For each job of the workload.
    pub told: Vec<Told>,
    /// In the order in which they ended.
    pub attempts: Vec<Attempt>,
    /// What was in use when.
    pub busy: Busy,
    /// How often a session was there.
    pub logins: Logins,
    /// How often a sync was asked to give way.
    pub preemptions: u64,
    /// Rules that were broken: none.
    pub violations: Vec<String>,
    /// When the last one was done.
    pub ended_ms: u64,
}
