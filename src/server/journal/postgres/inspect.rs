//! What tests read beyond the trait.

use std::sync::Arc;

use async_trait::async_trait;

use super::{PostgresJournal, link::Live, parking};
use crate::{
    journal::{JournalError, Parked, inspect::Inspect, rows::from_json},
    record::AttemptRecord,
    types::NodeRunId,
};

#[async_trait]
impl Inspect for PostgresJournal {
    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, JournalError> {
        const LIST: &str = "SELECT body FROM attempts WHERE node_run_id = $1 ORDER BY attempt";
        let list = |live: Arc<Live>| async move {
            let rows = live.query(LIST, &[&node.as_str()]).await?;
            rows.iter().map(|row| from_json(node.as_str(), row.try_get(0)?)).collect()
        };
        self.readers.read(list).await
    }

    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, JournalError> {
        let parked = self.readers.read(|live| async move { parking::list(&live, limit).await }).await?;
        Ok(parked.into_iter().map(|(item, _times)| item).collect())
    }
}
