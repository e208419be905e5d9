//! The part of the trait about bulk jobs.

use async_trait::async_trait;

use super::{Answer, Intercepted, Interceptor};
use crate::{
    journal::{BulkJournal, BulkPlace},
    record::{BulkChange, BulkJob, BulkOutcome, BulkResult},
    time::Timestamp,
    types::BulkId,
};

#[async_trait]
impl<I: Interceptor> BulkJournal for Intercepted<I> {
    async fn bulk_commit(&self, change: BulkChange) -> Answer<()> {
        self.0.write("bulk_commit", || self.0.journal().bulk_commit(change.clone())).await
    }

    async fn bulk_fetch(&self, bulk: &BulkId) -> Answer<Option<BulkJob>> {
        self.0.read("bulk_fetch", self.0.journal().bulk_fetch(bulk)).await
    }

    async fn bulk_live(&self, limit: u32) -> Answer<Vec<BulkJob>> {
        self.0.read("bulk_live", self.0.journal().bulk_live(limit)).await
    }

    async fn bulk_page(&self, after: Option<&BulkPlace>, limit: u32) -> Answer<Vec<BulkJob>> {
        self.0.read("bulk_page", self.0.journal().bulk_page(after, limit)).await
    }

    async fn bulk_results(
        &self,
        bulk: &BulkId,
        after: u64,
        outcome: Option<BulkOutcome>,
        limit: u32,
    ) -> Answer<Vec<BulkResult>> {
        self.0.read("bulk_results", self.0.journal().bulk_results(bulk, after, outcome, limit)).await
    }

    async fn bulk_prune(&self, ended_before: Timestamp, limit: u32) -> Answer<u64> {
        self.0.write("bulk_prune", || self.0.journal().bulk_prune(ended_before, limit)).await
    }
}
