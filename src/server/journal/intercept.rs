//! A decorator around any journal: every call passes an [`Interceptor`], which
//! may delay it, fail it, repeat it or change it.
//!
//! ```text
//!   caller ──▶ Intercepted<I> ──▶ I::read / I::write ──▶ I::journal
//!                    │                                      ▲
//!                    └── I::commit, I::node_fetch, … ───────┘
//!                        (calls that an interceptor treats in its own way)
//! ```
//!
//! The forwarding of the whole trait is written here once; an interceptor has
//! only what it does. `faulty` is one, the simulator's journal is another.

mod bulk;
mod steering;
mod webhooks;
mod workers;

use async_trait::async_trait;

use super::{
    AttemptsPage, AuditFilter, AuditId, AuditPage, AuditSelect, ClaimFilter, ClaimedWake, Counts, Duty,
    EventPage, Heartbeats, Journal, JournalError, News, OutboxEntry, OutboxId, PageLimit, Parked, Pieces,
    Reached, Recent, Recipient, Room, RunCounts, RunPlace, RunsFilter, RunsPage, SignOfLife, TreePage,
    WaitingPage, WaitingPlace, Work, Workers, inspect::Inspect,
};
use crate::{
    record::{AttemptRecord, AuditRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId, WorkerId},
};

/// The result of a call.
type Answer<T> = Result<T, JournalError>;

/// What happens to the calls of a journal. The names of calls are those of the
/// trait's methods.
pub trait Interceptor: Send + Sync + 'static {
    type Inner: Inspect;

    /// The journal behind it.
    fn journal(&self) -> &Self::Inner;

    /// A call that reads: `work` is the call to the journal behind.
    fn read<T: Send>(
        &self,
        call: &str,
        work: impl Future<Output = Answer<T>> + Send,
    ) -> impl Future<Output = Answer<T>> + Send;

    /// A call that writes. `work` makes the call to the journal behind, and may
    /// be used more than once.
    fn write<T: Send, F: Future<Output = Answer<T>> + Send>(
        &self,
        call: &str,
        work: impl Fn() -> F + Send + Sync,
    ) -> impl Future<Output = Answer<T>> + Send;

    fn commit(&self, change: ChangeSet) -> impl Future<Output = Answer<Option<OutboxId>>> + Send {
        async move { self.write("commit", || self.journal().commit(change.clone())).await }
    }

    fn run_fetch(&self, run: &RunId) -> impl Future<Output = Answer<Option<RunRecord>>> + Send {
        async move { self.read("run_fetch", self.journal().run_fetch(run)).await }
    }

    fn runs_reached(&self, runs: &[RunId]) -> impl Future<Output = Answer<Vec<Reached>>> + Send {
        async move { self.read("runs_reached", self.journal().runs_reached(runs)).await }
    }

    fn node_fetch(&self, node: &NodeRunId) -> impl Future<Output = Answer<Option<NodeRecord>>> + Send {
        async move { self.read("node_fetch", self.journal().node_fetch(node)).await }
    }

    fn node_fetch_bare(&self, node: &NodeRunId) -> impl Future<Output = Answer<Option<NodeRecord>>> + Send {
        async move { self.read("node_fetch_bare", self.journal().node_fetch_bare(node)).await }
    }

    fn head_fetch(&self, node: &NodeRunId) -> impl Future<Output = Answer<Option<NodeHead>>> + Send {
        async move { self.read("head_fetch", self.journal().head_fetch(node)).await }
    }

    fn nodes_live(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
    ) -> impl Future<Output = Answer<Vec<NodeHead>>> + Send {
        async move { self.read("nodes_live", self.journal().nodes_live(run, under)).await }
    }

    fn claim_due(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> impl Future<Output = Answer<Vec<NodeHead>>> + Send {
        async move { self.write("claim_due", || self.journal().claim_due(worker, now, filter)).await }
    }

    fn register_worker(&self, worker: &WorkerId) -> impl Future<Output = Answer<()>> + Send {
        async move { self.write("register_worker", || self.journal().register_worker(worker)).await }
    }

    fn beat(&self, worker: &WorkerId) -> impl Future<Output = Answer<()>> + Send {
        async move { self.write("beat", || self.journal().beat(worker)).await }
    }

    fn heartbeats(&self) -> impl Future<Output = Answer<Vec<Heartbeats>>> + Send {
        async move { self.read("heartbeats", self.journal().heartbeats()).await }
    }

    fn declare_dead(&self, seen: &Heartbeats) -> impl Future<Output = Answer<bool>> + Send {
        async move { self.write("declare_dead", || self.journal().declare_dead(seen)).await }
    }

    fn reap_dead_workers(&self, now: Timestamp) -> impl Future<Output = Answer<u64>> + Send {
        async move { self.write("reap_dead_workers", || self.journal().reap_dead_workers(now)).await }
    }

    fn announce(&self, news: News) {
        self.journal().announce(news);
    }

    fn announced(&self) -> impl Future<Output = News> + Send {
        self.journal().announced()
    }

    fn hold_duty(&self, duty: Duty, worker: &WorkerId) -> impl Future<Output = Answer<bool>> + Send {
        async move { self.write("hold_duty", || self.journal().hold_duty(duty, worker)).await }
    }

    fn time(&self) -> impl Future<Output = Answer<Option<Timestamp>>> + Send {
        async move { self.read("time", self.journal().time()).await }
    }

    fn note_signs(
        &self,
        worker: &WorkerId,
        signs: &[SignOfLife],
        known_to: Timestamp,
        forget_before: Timestamp,
    ) -> impl Future<Output = Answer<()>> + Send {
        async move {
            let note = || self.journal().note_signs(worker, signs, known_to, forget_before);
            self.write("note_signs", note).await
        }
    }

    fn outbox_owed(
        &self,
        recipient: Recipient,
        after: OutboxId,
        in_hand: &[OutboxId],
        limit: u32,
    ) -> impl Future<Output = Answer<Vec<OutboxEntry>>> + Send {
        async move { self.read("outbox_owed", self.journal().outbox_owed(recipient, after, in_hand, limit)).await }
    }

    fn park(&self, item: Parked) -> impl Future<Output = Answer<()>> + Send {
        async move { self.write("park", || self.journal().park(item.clone())).await }
    }
}

/// The journal behind `I`, with every call passing `I`.
pub struct Intercepted<I>(pub I);

#[async_trait]
impl<I: Interceptor> Journal for Intercepted<I> {
    async fn commit(&self, change: ChangeSet) -> Answer<Option<OutboxId>> {
        self.0.commit(change).await
    }

    fn room(&self) -> Room {
        self.0.journal().room()
    }

    fn recent(&self) -> Option<&Recent> {
        self.0.journal().recent()
    }

    async fn run_fetch(&self, run: &RunId) -> Answer<Option<RunRecord>> {
        self.0.run_fetch(run).await
    }

    async fn runs_reached(&self, runs: &[RunId]) -> Answer<Vec<Reached>> {
        self.0.runs_reached(runs).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Answer<Option<NodeRecord>> {
        self.0.node_fetch(node).await
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Answer<Option<NodeRecord>> {
        self.0.node_fetch_bare(node).await
    }

    async fn head_fetch(&self, node: &NodeRunId) -> Answer<Option<NodeHead>> {
        self.0.head_fetch(node).await
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Answer<Vec<NodeHead>> {
        self.0.nodes_live(run, under).await
    }

    async fn nodes_live_first(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        limit: u32,
    ) -> Answer<Vec<NodeHead>> {
        self.0.read("nodes_live_first", self.0.journal().nodes_live_first(run, under, limit)).await
    }

    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Answer<bool> {
        self.0.read("node_has_live_below", self.0.journal().node_has_live_below(run, node)).await
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Answer<EventPage> {
        self.0.read("events_after", self.0.journal().events_after(run, after, within, limit)).await
    }

    async fn claim_due(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> Answer<Vec<NodeHead>> {
        self.0.claim_due(worker, now, filter).await
    }

    async fn claims_held(
        &self,
        worker: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Answer<Vec<ClaimedWake>> {
        self.0.read("claims_held", self.0.journal().claims_held(worker, jobs, since)).await
    }

    async fn wake_next(&self, after: Timestamp) -> Answer<Option<Timestamp>> {
        self.0.read("wake_next", self.0.journal().wake_next(after)).await
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Answer<Vec<RunId>> {
        self.0.read("runs_overdue", self.0.journal().runs_overdue(now, limit)).await
    }

    async fn park(&self, item: Parked) -> Answer<()> {
        self.0.park(item).await
    }

    async fn latest_commit_time(&self) -> Answer<Option<Timestamp>> {
        self.0.read("latest_commit_time", self.0.journal().latest_commit_time()).await
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Answer<u64> {
        self.0.write("runs_prune", || self.0.journal().runs_prune(finished_before, limit)).await
    }

    async fn counts(&self, now: Timestamp) -> Answer<Counts> {
        self.0.read("counts", self.0.journal().counts(now)).await
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Answer<Vec<u8>> {
        self.0.write("secret", || self.0.journal().secret(name, fresh.clone())).await
    }

    async fn secret_find(&self, name: &str) -> Answer<Option<Vec<u8>>> {
        self.0.read("secret_find", self.0.journal().secret_find(name)).await
    }

    async fn mark_find(&self, name: &str) -> Answer<Option<Timestamp>> {
        self.0.read("mark_find", self.0.journal().mark_find(name)).await
    }

    async fn mark_set(&self, name: &str, at: Timestamp) -> Answer<()> {
        self.0.write("mark_set", || self.0.journal().mark_set(name, at)).await
    }

    async fn runs_changed(&self, since: Timestamp, limit: u32) -> Answer<Vec<RunId>> {
        self.0.read("runs_changed", self.0.journal().runs_changed(since, limit)).await
    }

    async fn secret_replace(&self, name: &str, old: Vec<u8>, new: Vec<u8>) -> Answer<()> {
        let replace = || self.0.journal().secret_replace(name, old.clone(), new.clone());
        self.0.write("secret_replace", replace).await
    }

    async fn outbox_owed(
        &self,
        recipient: Recipient,
        after: OutboxId,
        in_hand: &[OutboxId],
        limit: u32,
    ) -> Answer<Vec<OutboxEntry>> {
        self.0.outbox_owed(recipient, after, in_hand, limit).await
    }

    async fn outbox_settled(&self, run: &RunId, upto: OutboxId) -> Answer<bool> {
        self.0.read("outbox_settled", self.0.journal().outbox_settled(run, upto)).await
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Answer<()> {
        self.0.write("outbox_ack", || self.0.journal().outbox_ack(ids)).await
    }

    async fn audit_append(&self, records: Vec<AuditRecord>) -> Answer<()> {
        self.0.write("audit_append", || self.0.journal().audit_append(records.clone())).await
    }

    async fn audit_page(&self, after: AuditId, filter: &AuditFilter, limit: u32) -> Answer<AuditPage> {
        self.0.read("audit_page", self.0.journal().audit_page(after, filter, limit)).await
    }

    async fn audit_newest(
        &self,
        before: Option<AuditId>,
        select: &AuditSelect,
        limit: u32,
    ) -> Answer<AuditPage> {
        self.0.read("audit_newest", self.0.journal().audit_newest(before, select, limit)).await
    }

    async fn export(&self, run: &RunId, now: Timestamp) -> Answer<Option<Pieces>> {
        self.0.read("export", self.0.journal().export(run, now)).await
    }

    async fn work(&self, now: Timestamp, parked: u32) -> Answer<Work> {
        self.0.read("work", self.0.journal().work(now, parked)).await
    }

    async fn runs_page(&self, after: Option<&RunPlace>, filter: &RunsFilter, limit: u32) -> Answer<RunsPage> {
        self.0.read("runs_page", self.0.journal().runs_page(after, filter, limit)).await
    }

    async fn runs_count(&self, after: Option<&RunPlace>, filter: &RunsFilter) -> Answer<RunCounts> {
        self.0.read("runs_count", self.0.journal().runs_count(after, filter)).await
    }

    async fn tree_page(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        after: Option<&NodePath>,
        limit: u32,
    ) -> Answer<TreePage> {
        self.0.read("tree_page", self.0.journal().tree_page(run, under, after, limit)).await
    }

    async fn parked_find(&self, run: &RunId, node: &NodeRunId) -> Answer<Option<Parked>> {
        self.0.read("parked_find", self.0.journal().parked_find(run, node)).await
    }

    async fn attempts_page(&self, node: &NodeRunId, after: u32, limit: u32) -> Answer<AttemptsPage> {
        self.0.read("attempts_page", self.0.journal().attempts_page(node, after, limit)).await
    }

    async fn approvals_page(
        &self,
        after: Option<&WaitingPlace>,
        run: Option<&RunId>,
        limit: u32,
    ) -> Answer<WaitingPage> {
        self.0.read("approvals_page", self.0.journal().approvals_page(after, run, limit)).await
    }

    async fn audit_prune(&self, before: Timestamp, limit: u32) -> Answer<u64> {
        self.0.write("audit_prune", || self.0.journal().audit_prune(before, limit)).await
    }
}

#[async_trait]
impl<I: Interceptor> Inspect for Intercepted<I> {
    async fn attempts_list(&self, node: &NodeRunId) -> Answer<Vec<AttemptRecord>> {
        self.0.read("attempts_list", self.0.journal().attempts_list(node)).await
    }

    async fn parked_list(&self, limit: u32) -> Answer<Vec<Parked>> {
        self.0.read("parked_list", self.0.journal().parked_list(limit)).await
    }
}
