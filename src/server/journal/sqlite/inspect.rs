//! What tests read beyond the trait.

use async_trait::async_trait;

use super::{SqliteJournal, parking, read};
use crate::{
    journal::{JournalError, Parked, inspect::Inspect},
    record::AttemptRecord,
    types::NodeRunId,
};

#[async_trait]
impl Inspect for SqliteJournal {
    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, JournalError> {
        self.reads.here(|connection| read::attempts(connection, node))
    }

    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, JournalError> {
        let parked = self.reads.here(|connection| parking::list(connection, limit))?;
        Ok(parked.into_iter().map(|(item, _times)| item).collect())
    }
}
