//! The [`Journal`] trait for [`SqliteJournal`].
//!
//! Fetches by key run right in the caller's task: a few microseconds, mostly from
//! the read cache, where a blocking thread alone would cost more. Reads that grow
//! with the data run aside, in a blocking thread.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rusqlite::Connection;
use slog::error;

use super::{
    SqliteJournal, approvals, audit,
    claims::{self, FilterRow},
    encoding::{integer, natural},
    export, marks, outbox, parking, prune, read,
    rows::{AuditRow, ChangeRows, HeadRow},
    run_count, run_list, secrets, space, tree, work, write,
};
use crate::{
    journal::{
        AttemptsPage, AuditFilter, AuditId, AuditPage, AuditSelect, ClaimFilter, ClaimedWake, Counts,
        EventPage, Journal, JournalError, OutboxEntry, OutboxId, PageLimit, Parked, Pieces, Reached, Recent,
        Recipient, Room, RunCounts, RunPlace, RunsFilter, RunsPage, TreePage, WaitingPage, WaitingPlace,
        WebhookJournal, Work,
    },
    record::{AuditRecord, ChangeSet, Job, NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, RunId, WorkerId},
};

/// How long a wake-up with an unreadable head is parked: it takes an operator to
/// repair it.
pub(super) const UNREADABLE_FOR: Duration = Duration::from_secs(3600);

impl SqliteJournal {
    /// The heads of those rows that can be read. The others are parked and
    /// reported, so that they do not block the rest and are not met again soon.
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
            let item = parking::unreadable(&row, &damage, now, now + UNREADABLE_FOR);
            if let Err(failure) = self.park(item).await {
                error!(self.log, "could not park a node run that cannot be read";
                    "node_run_id" => %row.node_run_id, "error" => %failure);
            }
        }
        heads
    }
}

/// Whether a change makes a Run or a NodeRun.
fn is_new_work(change: &ChangeSet) -> bool {
    change.run.as_ref().is_some_and(|run| run.version == 0)
        || change.nodes.iter().any(|node| node.version == 0)
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn commit(&self, mut change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        if !self.outbox {
            change.outbox.clear();
        }
        let rows = Arc::new(ChangeRows::encode(&mut change)?);
        self.cache.before_commit(&change);
        let written = Arc::clone(&rows);
        let space = self.space.clone().filter(|_| is_new_work(&change));
        #[cfg(any(test, feature = "test-util"))]
        let late_ids = self.late_ids.clone();
        let commit = move |connection: &Connection| {
            let last = write::commit(connection, &written)?;
            #[cfg(any(test, feature = "test-util"))]
            if let Some(late_ids) = &late_ids {
                return late_ids.renumber(connection, &written.run_id, written.outbox.len(), last);
            }
            Ok(last)
        };
        let work = move |connection: &Connection| match &space {
            None => commit(connection),
            Some(space) => {
                let before = space::pages_used(connection)?;
                let committed = commit(connection)?;
                space.admit(connection, before)?;
                Ok(committed)
            }
        };
        match self.as_worker(work).await {
            Ok(last) => {
                self.cache.committed(change, &rows);
                Ok(last.map(natural).transpose()?.map(OutboxId))
            }
            Err(failure) => {
                self.cache.commit_failed(&change);
                Err(failure)
            }
        }
    }

    fn room(&self) -> Room {
        self.space.as_ref().map_or(Room::Enough, |space| space.room())
    }

    fn recent(&self) -> Option<&Recent> {
        self.cache.recent()
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
        match self.cache.run(run) {
            Some(found) => Ok(Some(found)),
            None => self.reads.here(|connection| read::run(connection, run)),
        }
    }

    async fn runs_reached(&self, runs: &[RunId]) -> Result<Vec<Reached>, JournalError> {
        let runs = runs.to_vec();
        self.reads.aside(move |connection| read::reached(connection, &runs)).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        match self.cache.node(node) {
            Some(found) => Ok(Some(found)),
            None => self.reads.here(|connection| read::node(connection, node)),
        }
    }

    async fn node_fetch_bare(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        match self.cache.node(node) {
            Some(found) => Ok(Some(found)),
            None => self.reads.here(|connection| read::node_bare(connection, node)),
        }
    }

    async fn head_fetch(&self, node: &NodeRunId) -> Result<Option<NodeHead>, JournalError> {
        match self.cache.head(node) {
            Some(found) => Ok(Some(found)),
            None => self.reads.here(|connection| read::head(connection, node)),
        }
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeHead>, JournalError> {
        let (run, under) = (run.clone(), under.cloned());
        self.reads.aside(move |connection| read::nodes_live(connection, &run, under.as_ref())).await
    }

    async fn nodes_live_first(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        limit: u32,
    ) -> Result<Vec<NodeHead>, JournalError> {
        let (run, under) = (run.clone(), under.cloned());
        self.reads
            .aside(move |connection| read::nodes_live_first(connection, &run, under.as_ref(), limit))
            .await
    }

    async fn node_has_live_below(&self, run: &RunId, node: &NodePath) -> Result<bool, JournalError> {
        self.reads.here(|connection| read::has_live_below(connection, run, node))
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, JournalError> {
        if let Some(page) = self.cache.events_after(run, after, within, limit) {
            return Ok(page);
        }
        let (run, within) = (run.clone(), within.cloned());
        self.reads
            .aside(move |connection| read::events(connection, &run, after, within.as_ref(), limit))
            .await
    }

    async fn claim_due(
        &self,
        worker: &WorkerId,
        now: Timestamp,
        filter: &ClaimFilter,
    ) -> Result<Vec<NodeHead>, JournalError> {
        let filter = FilterRow::encode(filter)?;
        // Mostly nothing is due, and then the writer need not be asked.
        if !self.reads.here(|connection| claims::any_due(connection, now, &filter))? {
            return Ok(Vec::new());
        }
        let worker = worker.clone();
        let claim = move |connection: &Connection| claims::claim_due(connection, &worker, now, &filter);
        // After an error the rows may have changed nevertheless.
        let claimed = self.as_worker(claim).await.inspect_err(|_| self.cache.drop_all_nodes())?;
        for row in &claimed {
            self.cache.outdate_node(&row.run_id, &row.node_run_id, natural(row.version)?);
        }
        Ok(self.readable(claimed, now).await)
    }

    async fn claims_held(
        &self,
        worker: &WorkerId,
        jobs: &[Job],
        since: Timestamp,
    ) -> Result<Vec<ClaimedWake>, JournalError> {
        let (worker, jobs) = (worker.clone(), jobs.to_vec());
        self.reads.aside(move |connection| claims::claims_held(connection, &worker, &jobs, since)).await
    }

    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        self.reads.here(|connection| claims::wake_next(connection, after))
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError> {
        self.reads.here(|connection| read::runs_overdue(connection, now, limit))
    }

    async fn park(&self, item: Parked) -> Result<(), JournalError> {
        let (parked, reports) = (item.clone(), self.wants_notices());
        let park = move |connection: &Connection| parking::park(connection, &parked, reports);
        let outcome = self.as_worker(park).await;
        match &item.node_run_id {
            Some(node) => self.cache.drop_node(node),
            None => self.cache.drop_run(&item.run_id),
        }
        outcome
    }

    async fn latest_commit_time(&self) -> Result<Option<Timestamp>, JournalError> {
        self.reads.aside(read::latest_commit_time).await
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        prune::runs(self, finished_before, limit).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, JournalError> {
        self.reads.aside(move |connection| read::counts(connection, now)).await
    }

    async fn work(&self, now: Timestamp, parked: u32) -> Result<Work, JournalError> {
        self.reads.aside(move |connection| work::work(connection, now, parked)).await
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, JournalError> {
        // Read first: a journal without room can still return what it has.
        if let Some(stored) = self.reads.here(|connection| secrets::get(connection, name))? {
            return Ok(stored);
        }
        let name = name.to_owned();
        self.writes.run(move |connection| secrets::get_or_put(connection, &name, &fresh)).await
    }

    async fn secret_find(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.reads.here(|connection| secrets::get(connection, name))
    }

    async fn secret_replace(&self, name: &str, old: Vec<u8>, new: Vec<u8>) -> Result<(), JournalError> {
        let name = name.to_owned();
        self.writes.run(move |connection| secrets::replace(connection, &name, &old, &new)).await
    }

    async fn mark_find(&self, name: &str) -> Result<Option<Timestamp>, JournalError> {
        self.reads.here(|connection| marks::get(connection, name))
    }

    async fn mark_set(&self, name: &str, at: Timestamp) -> Result<(), JournalError> {
        let name = name.to_owned();
        self.writes.run(move |connection| marks::put(connection, &name, at)).await
    }

    async fn runs_changed(&self, since: Timestamp, limit: u32) -> Result<Vec<RunId>, JournalError> {
        self.reads.aside(move |connection| marks::runs_changed(connection, since, limit)).await
    }

    async fn outbox_owed(
        &self,
        recipient: Recipient,
        after: OutboxId,
        in_hand: &[OutboxId],
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, JournalError> {
        let in_hand = in_hand.to_vec();
        let owed = move |connection: &_| outbox::owed(connection, recipient, after, &in_hand, limit);
        self.reads.aside(owed).await
    }

    async fn outbox_settled(&self, run: &RunId, upto: OutboxId) -> Result<bool, JournalError> {
        let run = run.clone();
        self.reads.aside(move |connection| outbox::settled(connection, &run, upto)).await
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), JournalError> {
        let ids = ids.iter().map(|&id| integer(id.0)).collect::<Result<Vec<_>, _>>()?;
        self.writes.run(move |connection| outbox::acknowledge(connection, &ids)).await
    }

    async fn audit_append(&self, records: Vec<AuditRecord>) -> Result<(), JournalError> {
        let rows = records.iter().map(AuditRow::encode).collect::<Result<Vec<_>, _>>()?;
        self.writes.run(move |connection| audit::append(connection, &rows)).await
    }

    async fn audit_page(
        &self,
        after: AuditId,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<AuditPage, JournalError> {
        let filter = filter.clone();
        self.reads.aside(move |connection| audit::page(connection, after, &filter, limit)).await
    }

    async fn audit_newest(
        &self,
        before: Option<AuditId>,
        select: &AuditSelect,
        limit: u32,
    ) -> Result<AuditPage, JournalError> {
        let select = select.clone();
        self.reads.aside(move |connection| audit::newest(connection, before, &select, limit)).await
    }

    async fn export(&self, run: &RunId, now: Timestamp) -> Result<Option<Pieces>, JournalError> {
        export::pieces(&self.reads, run.clone(), now).await
    }

    async fn approvals_page(
        &self,
        after: Option<&WaitingPlace>,
        run: Option<&RunId>,
        limit: u32,
    ) -> Result<WaitingPage, JournalError> {
        let (after, run) = (after.cloned(), run.cloned());
        self.reads
            .aside(move |connection| approvals::page(connection, after.as_ref(), run.as_ref(), limit))
            .await
    }

    async fn runs_page(
        &self,
        after: Option<&RunPlace>,
        filter: &RunsFilter,
        limit: u32,
    ) -> Result<RunsPage, JournalError> {
        let (after, filter) = (after.cloned(), filter.clone());
        self.reads.aside(move |connection| run_list::page(connection, after.as_ref(), &filter, limit)).await
    }

    async fn runs_count(
        &self,
        after: Option<&RunPlace>,
        filter: &RunsFilter,
    ) -> Result<RunCounts, JournalError> {
        let (after, filter) = (after.cloned(), filter.clone());
        self.reads.aside(move |connection| run_count::count(connection, after.as_ref(), &filter)).await
    }

    async fn tree_page(
        &self,
        run: &RunId,
        under: Option<&NodePath>,
        after: Option<&NodePath>,
        limit: u32,
    ) -> Result<TreePage, JournalError> {
        let (run, under, after) = (run.clone(), under.cloned(), after.cloned());
        let page = move |connection: &_| tree::page(connection, &run, under.as_ref(), after.as_ref(), limit);
        self.reads.aside(page).await
    }

    async fn parked_find(&self, run: &RunId, node: &NodeRunId) -> Result<Option<Parked>, JournalError> {
        self.reads.here(|connection| parking::find(connection, run, node))
    }

    async fn attempts_page(
        &self,
        node: &NodeRunId,
        after: u32,
        limit: u32,
    ) -> Result<AttemptsPage, JournalError> {
        let node = node.clone();
        self.reads.aside(move |connection| tree::attempts(connection, &node, after, limit)).await
    }

    async fn audit_prune(&self, before: Timestamp, limit: u32) -> Result<u64, JournalError> {
        // Mostly nothing is old enough, and then the writer need not be asked.
        if !self.reads.here(|connection| audit::any_before(connection, before))? {
            return Ok(0);
        }
        self.writes.run(move |connection| audit::prune(connection, before, limit)).await
    }
}
