//! What a process does wrong on purpose, to prove that the checks find it.

/// A deliberate bug, which the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Some commits are answered, and never made.
    AnswersWithoutCommit,
    /// Some commits lose their last event.
    LosesEvents,
    /// The claims of dead workers are never released.
    KeepsClaimsOfDeadWorkers,
    /// An executor is called twice for one attempt.
    ExecutesTwice,
    /// Cancels are recorded as delivered, and not sent to executors.
    SkipsCancels,
    /// Some wake-ups are delayed by a day.
    DelaysWakeUps,
    /// Some commits are made in two transactions.
    SplitsCommits,
    /// Records that were read once are returned again although they have changed.
    StaleCache,
    /// Silent composites are waited for until their deadline.
    IgnoresSilence,
    /// Workers go on after they were declared dead.
    IgnoresItsFence,
    /// Workers are declared dead although they have beaten since.
    DeclaresTheLivingDead,
    /// What one process hears of executors, the others do not know.
    KeepsWhatItHears,
    /// Attempts begin under pauses that have changed.
    IgnoresPausesOfOthers,
    /// Workers are declared dead by the times of their heartbeats.
    ExpiresByItsClock,
    /// Workers are declared dead that could not beat because the journal was out.
    ExpiresAfterAnOutage,
    /// Answers are made of what a process has written itself.
    AnswersFromItsCache,
    /// Entries of the outbox that appear below one that was read are not sent.
    SkipsLateOutboxIds,
    /// Each process sends the outbox.
    SendsWithoutTheDuty,
    /// The live nodes of a run are read before the run.
    ReadsLiveBeforeRun,
    /// Processes announce nothing, and do not look either.
    TellsNoOthers,
    /// Each process of a replica is the same worker as the one before it.
    ReusesAWorkerName,
}
