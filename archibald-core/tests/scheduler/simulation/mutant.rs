use serde::{Deserialize, Serialize};

/// A plausible mistake of a worker, of the store, or of a person.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Mutant {
    /// What was released is acted again unseen.
    SkipProbes,
    /// What is not there at first sight is taken for absent.
    BelieveAbsenceAtOnce,
    /// The store takes writes under a lease that is over.
    IgnoreTokens,
    /// A worker goes on after its own deadline.
    IgnoreDeadlines,
    /// A worker forgets what it was told to start.
    LoseCommands,
    /// The store gives the lease of an agent that another one has.
    LeaseHeldAgents,
    /// The store gives a lease that a pause is about.
    LeaseWhatIsPaused,
    /// The store gives leases before their time.
    LeaseWhatIsNotDue,
    /// The store gives leases before the earlier one of the target ended.
    LeaseBlockedTargets,
    /// A start takes the token of the one before.
    KeepTokens,
    /// The store ends leases before their time.
    ReapEarly,
    /// Nobody ends the leases of those who are gone.
    NeverReap,
    /// The gate opens without a look at the lease, and notes nothing.
    OpenTheGateForAll,
    /// A worker never looks whether wake-ups were lost.
    NeverSweep,
    /// A worker does not tell its scheduler that a lease was refused.
    LoseRefusals,
    /// A worker does not tell its scheduler that an attempt is over.
    LoseSettlements,
    /// A worker does not tell its scheduler that a lease was lost.
    LoseLostAttempts,
    /// A request leaves after its last moment.
    SendTooLate,
    /// An error page is taken for success.
    TakeErrorsForDone,
    /// An error page is taken for a refusal.
    TakeErrorsForRefusals,
    /// Attempts that are spent end what may have been applied.
    FailWhatWasReleased,
    /// The store hands an agent on although a pause is about it.
    HandOnWhatIsPaused,
    /// A worker hands its agents on to what goes last.
    HandOnToWhatIsLast,
    /// A worker runs what an agent was handed on to, whatever its scheduler asks for.
    RunWhateverIsAtHand,
    /// A worker runs what it may have been handed on to, without an answer that says so.
    RunWhatMayHaveBeenHandedOn,
    /// A worker keeps what its scheduler does not ask for.
    KeepWhatIsNotWanted,
    /// A worker's deadline of what it was handed on to runs from the answer.
    CountFromTheAnswer,
    /// The store leases what it accepts although others of the agent wait.
    TakeUpBeforeOthers,
}

impl Mutant {
    pub(crate) const ALL: &[Self] = &[
        Self::SkipProbes,
        Self::BelieveAbsenceAtOnce,
        Self::IgnoreTokens,
        Self::IgnoreDeadlines,
        Self::LoseCommands,
        Self::LeaseHeldAgents,
        Self::LeaseWhatIsPaused,
        Self::LeaseWhatIsNotDue,
        Self::LeaseBlockedTargets,
        Self::KeepTokens,
        Self::ReapEarly,
        Self::NeverReap,
        Self::OpenTheGateForAll,
        Self::NeverSweep,
        Self::LoseRefusals,
        Self::LoseSettlements,
        Self::LoseLostAttempts,
        Self::SendTooLate,
        Self::TakeErrorsForDone,
        Self::TakeErrorsForRefusals,
        Self::FailWhatWasReleased,
        Self::HandOnWhatIsPaused,
        Self::HandOnToWhatIsLast,
        Self::RunWhateverIsAtHand,
        Self::RunWhatMayHaveBeenHandedOn,
        Self::KeepWhatIsNotWanted,
        Self::CountFromTheAnswer,
        Self::TakeUpBeforeOthers,
    ];
}
