//! The [`Journal`] trait for [`PostgresJournal`].

use std::time::Duration;

use async_trait::async_trait;
use slog::error;

use super::{
    PostgresJournal, approvals, audit, claims, export, names, outbox, parking, prune, read, run_count,
    run_list, tree, work,
};
use crate::{
    journal::{
        AttemptsPage, AuditFilter, AuditId, AuditPage, AuditSelect, ClaimFilter, ClaimedWake, Counts,
        EventPage, Journal, JournalError, OutboxEntry, OutboxId, PageLimit, Parked, Pieces, Reached, Recent,
        Recipient, RunCounts, RunPlace, RunsFilter, RunsPage, TreePage, WaitingPage, WaitingPlace, Work,
        rows::{ChangeRows, HeadRow, integer},
    },
    record::{AuditRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId, WorkerId},
};

/// How long a wake-up with an unreadable head is parked: it takes an operator to repair
/// it.
const UNREADABLE_FOR: Duration = Duration::from_secs(3600);

impl PostgresJournal {
    /// The heads of those rows that can be read. The others are parked and reported, so
    /// that they do not block the rest and are not met again soon.
    async fn readable(&self, rows: Vec<HeadRow>, now: Timestamp) -> Vec<NodeHead> {
        let mut heads = Vec::with_capacity(rows.len());
        for row in rows {
            let damage = match row.decode() {
                Ok(head) => {
                    heads.push(head);
                    continue;
                }
                Err(damage) => damage,
            };
            error!(self.log, "parked a node run that cannot be read"; "run_id" => %row.run_id,
                "node_run_id" => %row.node_run_id, "error" => %damage);
            let item = Parked {
                run_id: row.run_id.clone(),
                node_run_id: Some(row.node_run_id.clone()),
                job: row.wake.as_ref().map_or_else(String::new, |wake| wake.job.clone()),
                error: damage.to_string(),
                since: now,
                until: now + UNREADABLE_FOR,
            };
            if let Err(failure) = self.park_item(item).await {
                error!(self.log, "could not park a node run that cannot be read";
                    "node_run_id" => %row.node_run_id, "error" => %failure);
            }
        }
        heads
    }
}

#[async_trait]
impl Journal for PostgresJournal {
    async fn commit(&self, mut change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        if !self.outbox {
            change.outbox.clear();
        }
        let rows = ChangeRows::encode(&mut change)?;
        let committed = self.writers.change(rows).await;
        match &committed {
            Ok(_) => self.recent.committed(&change),
            Err(_) => self.recent.forget(&change.run_id),
        }
        committed
    }

    fn recent(&self) -> Option<&Recent> {
        Some(&self.recent)
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        self.readers.read(|live| read::run(live, run)).await
    }

    async fn runs_reached(&self, runs: &[RunId]) -> Result<Vec<Reached>, JournalError> {
        self.readers.read(|live| read::reached(live, runs)).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.readers.read(|live| read::node(live, node)).await
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        self.readers.read(|live| read::node_bare(live, node)).await
    }

    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
        self.readers.read(|live| read::head(live, node)).await
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError> {
        self.readers.read(|live| read::nodes_live(live, run, under)).await
    }

    async fn nodes_live_first(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        limit: u32,
    ) -> Result<Vec<NodeHead>, JournalError> {
        self.readers.read(|live| read::nodes_live_first(live, run, under, Some(limit))).await
    }

    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Result<bool, JournalError> {
        self.readers.read(|live| read::has_live_below(live, run, node)).await
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, JournalError> {
        self.readers.read(|live| read::events(live, run, after, within, limit)).await
    }

    async fn claim_due(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> Result<Vec<NodeHead>, JournalError> {
        let claimed = self.claim(worker, now, filter).await?;
        claimed.iter().for_each(|head| self.recent.forget_node(&head.run_id, &head.node_run_id));
        Ok(self.readable(claimed, now).await)
    }

    async fn claims_held(
        &self,
        worker: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Result<Vec<ClaimedWake>, JournalError> {
        self.readers.read(|live| claims::claims_held(live, worker, jobs, since)).await
    }

    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        self.readers.read(|live| claims::wake_next(live, after)).await
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError> {
        self.readers.read(|live| read::runs_overdue(live, now, limit)).await
    }

    async fn park(&self, item: Parked) -> Result<(), JournalError> {
        self.recent.forget(&item.run_id);
        self.park_item(item).await
    }

    async fn latest_commit_time(&self) -> Result<Option<Timestamp>, JournalError> {
        self.readers.read(read::latest_commit_time).await
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        prune::runs(self, finished_before, limit).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, JournalError> {
        self.readers.read(|live| read::counts(live, now)).await
    }

    async fn work(&self, now: Timestamp, parked: u32) -> Result<Work, JournalError> {
        self.readers.read(|live| work::work(live, now, parked)).await
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, JournalError> {
        self.secret_get_or_put(name, fresh).await
    }

    async fn secret_find(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.readers.read(|live| names::secret(live, name)).await
    }

    async fn secret_replace(&self, name: &str, old: Vec<u8>, new: Vec<u8>) -> Result<(), JournalError> {
        self.secret_swap(name, old, new).await
    }

    async fn mark_find(&self, name: &str) -> Result<Option<Timestamp>, JournalError> {
        self.readers.read(|live| names::mark(live, name)).await
    }

    async fn mark_set(&self, name: &str, at: Timestamp) -> Result<(), JournalError> {
        self.mark_put(name, at).await
    }

    async fn runs_changed(&self, since: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError> {
        self.readers.read(|live| names::runs_changed(live, since, limit)).await
    }

    async fn outbox_owed(
        &self,
        recipient: Recipient,
        after: OutboxId,
        in_hand: &[OutboxId],
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, JournalError> {
        self.readers.read(|live| outbox::owed(live, recipient, after, in_hand, limit)).await
    }

    async fn outbox_settled(&self, run: &RunId, upto: OutboxId) -> Result<bool, JournalError> {
        self.readers.read(|live| outbox::settled(live, run, upto)).await
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), JournalError> {
        let ids = ids.iter().map(|id| integer(id.0)).collect::<Result<Vec<_>, _>>()?;
        self.writers
            .own(move |live| {
                let ids = ids.clone();
                async move {
                    live.execute(outbox::ACKNOWLEDGE, &[&ids]).await?;
                    Ok(())
                }
            })
            .await
    }

    async fn audit_append(&self, records: Vec<AuditRecord>) -> Result<(), JournalError> {
        self.audit_put(&records).await
    }

    async fn audit_page(
        &self,
        after: AuditId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<AuditPage, JournalError> {
        self.readers.read(|live| audit::page(live, after, filter, limit)).await
    }

    async fn audit_newest(
        &self,
        before: Option<AuditId>,
        select: &AuditSelect,
        limit: u32,
    ) -> Result<AuditPage, JournalError> {
        self.readers.read(|live| audit::newest(live, before, select, limit)).await
    }

    async fn export(&self, run: &RunId, now: Timestamp) -> Result<Option<Pieces>, JournalError> {
        export::pieces(self, run, now).await
    }

    async fn approvals_page(
        &self,
        after: Option<&WaitingPlace>,
        run: Option<&RunId>,
        limit: u32,
    ) -> Result<WaitingPage, JournalError> {
        self.readers.read(|live| approvals::page(live, after, run, limit)).await
    }

    async fn runs_page(
        &self,
        after: Option<&RunPlace>,
        filter: &RunsFilter,
        limit: u32,
    ) -> Result<RunsPage, JournalError> {
        self.readers.read(|live| run_list::page(live, after, filter, limit)).await
    }

    async fn runs_count(
        &self,
        after: Option<&RunPlace>,
        filter: &RunsFilter,
    ) -> Result<RunCounts, JournalError> {
        self.readers.read(|live| run_count::count(live, after, filter)).await
    }

    async fn tree_page(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        after: Option<&NodePath>,
        limit: u32,
    ) -> Result<TreePage, JournalError> {
        self.readers.read(|live| tree::page(live, run, under, after, limit)).await
    }

    async fn parked_find(&self, run: &RunId, node: &NodeRunId) -> Result<Option<Parked>, JournalError> {
        self.readers.read(|live| parking::find(live, run, node)).await
    }

    async fn attempts_page(
        &self,
        node: &NodeRunId,
        after: u32,
        limit: u32,
    ) -> Result<AttemptsPage, JournalError> {
        self.readers.read(|live| tree::attempts(live, node, after, limit)).await
    }

    async fn audit_prune(&self, before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        self.audit_delete(before, limit).await
    }
}
