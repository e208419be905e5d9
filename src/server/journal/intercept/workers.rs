//! The part of the trait about the processes that work on a journal.

use async_trait::async_trait;

use super::{Answer, Intercepted, Interceptor};
use crate::{
    journal::{Duty, Heartbeats, Workers},
    time::Timestamp,
    types::WorkerId,
};

#[async_trait]
impl<I: Interceptor> Workers for Intercepted<I> {
    fn is_shared(&self) -> bool {
        self.0.journal().is_shared()
    }

    async fn register_worker(&self, worker: &WorkerId) -> Answer<()> {
        self.0.register_worker(worker).await
    }

    async fn beat(&self, worker: &WorkerId) -> Answer<()> {
        self.0.beat(worker).await
    }

    async fn heartbeats(&self) -> Answer<Vec<Heartbeats>> {
        self.0.heartbeats().await
    }

    async fn declare_dead(&self, seen: &Heartbeats) -> Answer<bool> {
        self.0.declare_dead(seen).await
    }

    async fn reap_dead_workers(&self, now: Timestamp) -> Answer<u64> {
        self.0.reap_dead_workers(now).await
    }

    async fn hold_duty(&self, duty: Duty, worker: &WorkerId) -> Answer<bool> {
        self.0.hold_duty(duty, worker).await
    }

    async fn release_claims(&self, worker: &WorkerId, now: Timestamp) -> Answer<()> {
        self.0.write("release_claims", || self.0.journal().release_claims(worker, now)).await
    }
}
