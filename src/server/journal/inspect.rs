//! What tests read beyond the trait: production code has no use for it.

use async_trait::async_trait;

use super::{Journal, JournalError, Parked};
use crate::{record::AttemptRecord, types::NodeRunId};

/// A journal whose attempt log and parked items can be listed.
#[async_trait]
pub trait Inspect: Journal {
    /// The logged attempts of a NodeRun, oldest first.
    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, JournalError>;

    /// The parked items, longest parked first, at most `limit`.
    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, JournalError>;
}
