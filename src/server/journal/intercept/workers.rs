//! The part of the trait about the processes that work on a journal.

use async_trait::async_trait;

use super::{Answer, Intercepted, Interceptor};
use crate::{
    journal::{Duty, Heard, Heartbeats, News, SignOfLife, Workers},
    record::NodePath,
    time::Timestamp,
    types::{RunId, WorkerId},
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

    fn announce(&self, news: News) {
        self.0.announce(news);
    }

    async fn announced(&self) -> News {
        self.0.announced().await
    }

    async fn hold_duty(&self, duty: Duty, worker: &WorkerId) -> Answer<bool> {
        self.0.hold_duty(duty, worker).await
    }

    async fn time(&self) -> Answer<Option<Timestamp>> {
        self.0.time().await
    }

    async fn note_signs(
        &self,
        worker: &WorkerId,
        signs: &[SignOfLife],
        known_to: Timestamp,
        forget_before: Timestamp,
    ) -> Answer<()> {
        self.0.note_signs(worker, signs, known_to, forget_before).await
    }

    async fn last_heard(&self, run: &RunId, path: &NodePath) -> Answer<Heard> {
        self.0.read("last_heard", self.0.journal().last_heard(run, path)).await
    }

    async fn release_claims(&self, worker: &WorkerId, now: Timestamp) -> Answer<()> {
        self.0.write("release_claims", || self.0.journal().release_claims(worker, now)).await
    }
}
