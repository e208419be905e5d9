//! The part of the trait that operators steer with.

use async_trait::async_trait;

use super::{Answer, Intercepted, Interceptor};
use crate::{
    journal::{CanceledNode, Steering, StoredPauses},
    record::{AuditRecord, Pause, PauseScope},
    time::Timestamp,
    types::RunId,
};

#[async_trait]
impl<I: Interceptor> Steering for Intercepted<I> {
    async fn pauses(&self) -> Answer<StoredPauses> {
        self.0.read("pauses", self.0.journal().pauses()).await
    }

    async fn pause_put(&self, pause: &Pause, audit: &AuditRecord) -> Answer<()> {
        self.0.write("pause_put", || self.0.journal().pause_put(pause, audit)).await
    }

    async fn pause_remove(&self, scope: &PauseScope, audit: &AuditRecord) -> Answer<bool> {
        self.0.write("pause_remove", || self.0.journal().pause_remove(scope, audit)).await
    }

    async fn set_aside_resume(&self, now: Timestamp, limit: u32) -> Answer<u64> {
        self.0.write("set_aside_resume", || self.0.journal().set_aside_resume(now, limit)).await
    }

    async fn nodes_canceled(&self, run: &RunId, at: Timestamp, limit: u32) -> Answer<Vec<CanceledNode>> {
        self.0.read("nodes_canceled", self.0.journal().nodes_canceled(run, at, limit)).await
    }
}
