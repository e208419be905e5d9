//! What operators steer with, beside records: pauses of dispatch, nodes that are set
//! aside, and what became of the nodes that a cancel has ended.

use async_trait::async_trait;

use super::JournalError;
use crate::{
    record::{AttemptRecord, AuditRecord, NodeHead, Pause, PauseScope, PausesVersion},
    time::Timestamp,
    types::RunId,
};

/// A NodeRun that was canceled with its run.
#[derive(Clone, Debug, PartialEq)]
pub struct CanceledNode {
    pub head: NodeHead,
    /// The entry of its last attempt in the attempt log, if it has one.
    pub last_attempt: Option<AttemptRecord>,
}

/// The pauses that are in force, and how often they have changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredPauses {
    pub version: PausesVersion,
    /// By their scopes.
    pub pauses: Vec<Pause>,
}

/// The part of a [`Journal`](super::Journal) that operators steer with.
#[async_trait]
pub trait Steering: Send + Sync + 'static {
    /// The pauses that are in force, as of one moment.
    async fn pauses(&self) -> Result<StoredPauses, JournalError>;

    /// Stores a pause in the place of that of the same scope, with its record in the
    /// audit trail. Changes the version of the pauses: no commit that was decided under an
    /// earlier one ([`ChangeSet::pauses`](crate::record::ChangeSet::pauses)) becomes
    /// durable after this has returned, from whichever process.
    async fn pause_put(&self, pause: &Pause, audit: &AuditRecord) -> Result<(), JournalError>;

    /// Deletes the pause of this scope, with a record in the audit trail, and changes the
    /// version in the same way. Returns whether there was one; if there was none, nothing
    /// is recorded.
    async fn pause_remove(&self, scope: &PauseScope, audit: &AuditRecord) -> Result<bool, JournalError>;

    /// Makes dispatches of unclaimed wake-ups that are set aside, due at `now`, at
    /// most `limit`: but not of held runs. Returns how many.
    async fn set_aside_resume(&self, now: Timestamp, limit: u32) -> Result<u64, JournalError>;

    /// The NodeRuns of a run that were canceled at that time, in the order of their
    /// paths, at most `limit`.
    async fn nodes_canceled(
        &self,
        run: &RunId,
        at: Timestamp,
        limit: u32,
    ) -> Result<Vec<CanceledNode>, JournalError>;
}
