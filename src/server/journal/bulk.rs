//! Bulk jobs in the journal: a part of [`Journal`](super::Journal) that has nothing to do
//! with its runs.

use async_trait::async_trait;

use super::JournalError;
use crate::{
    record::{BulkChange, BulkJob, BulkOutcome, BulkResult},
    time::Timestamp,
    types::BulkId,
};

/// Orders bulk jobs by when they began, and those of one moment by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkPlace {
    pub created_at: Timestamp,
    pub bulk_id: BulkId,
}

/// Durable home of bulk jobs.
#[async_trait]
pub trait BulkJournal: Send + Sync {
    /// Writes a step of a bulk job, all of it or nothing, and returns once it is durable.
    /// Fails with [`JournalError::Conflict`] if the job is no longer at the version that
    /// was read, or exists although it should be new.
    async fn bulk_commit(&self, change: BulkChange) -> Result<(), JournalError>;

    async fn bulk_fetch(&self, bulk: &BulkId) -> Result<Option<BulkJob>, JournalError>;

    /// The bulk jobs that are live, those first that go on first.
    async fn bulk_live(&self, limit: u32) -> Result<Vec<BulkJob>, JournalError>;

    /// The bulk jobs behind a place, newest first.
    async fn bulk_page(&self, after: Option<&BulkPlace>, limit: u32) -> Result<Vec<BulkJob>, JournalError>;

    /// The results of a bulk job after a number, in their order; with `outcome`, only
    /// those.
    async fn bulk_results(
        &self,
        bulk: &BulkId,
        after: u64,
        outcome: Option<BulkOutcome>,
        limit: u32,
    ) -> Result<Vec<BulkResult>, JournalError>;

    /// Deletes bulk jobs that ended before a time, with their results: about `limit`
    /// rows. Returns how many.
    async fn bulk_prune(&self, ended_before: Timestamp, limit: u32) -> Result<u64, JournalError>;
}
