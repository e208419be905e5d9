//! What a killed process left unsent, from the journal.
//!
//! ```text
//!   runs changed since the mark ──▶ their nodes ──▶ what ended since the mark ──▶ queue
//! ```
//!
//! The mark is behind what was sent, so some of it is sent twice: under the same ids,
//! by which the receiver knows it. After an orderly stop there is nothing.

use std::time::Duration;

use slog::{info, warn};

use super::{
    pump::Pump,
    records::Traced,
    span::{Ended, Spans},
};
use crate::{
    journal::{JournalError, PageLimit},
    record::{Job, NodeHead, RunRecord},
    time::Timestamp,
    types::{RunEvent, RunId},
};

/// The most that is sent again: what a process does before this, whose mark is older,
/// is over for its collector too.
const BACK: Duration = Duration::from_secs(3_600);
/// The most runs.
const RUNS: u32 = 10_000;
const PAGE: u32 = 256;
/// The events of a run's first commit are among these.
const FIRST_EVENTS: PageLimit = PageLimit { entries: 16, bytes: 1 << 20 };

impl Pump {
    /// Puts what ended since the mark into the queue. As much as is waiting is sent
    /// meanwhile.
    pub(super) async fn replay(&self) {
        if self.state.lock().replayed {
            return;
        }
        match self.replay_from_mark().await {
            Ok(None) => {}
            Ok(Some((runs, spans))) => {
                info!(self.log, "sent spans again that were not known to be sent"; "runs" => runs, "spans" => spans);
            }
            Err(failure) => warn!(self.log, "could not send spans again"; "error" => %failure),
        }
        self.state.lock().replayed = true;
    }

    async fn replay_from_mark(&self) -> Result<Option<(usize, usize)>, JournalError> {
        let Some(mark) = self.state.lock().marked else { return Ok(None) };
        let Some(newest) = self.journal.latest_commit_time().await? else { return Ok(None) };
        let since = mark.max(newest - BACK);
        let runs = self.journal.runs_changed(since, RUNS).await?;
        if runs.len() >= RUNS as usize {
            warn!(self.log, "too many runs to send all of their spans again"; "runs" => RUNS);
        }
        let (mut traced, mut spans) = (0, 0);
        for run in runs {
            // Another run's damage is no reason to stop.
            match self.replay_run(&run, since).await {
                Ok(0) => {}
                Ok(count) => (traced, spans) = (traced + 1, spans + count),
                Err(failure) => {
                    warn!(self.log, "could not send spans of a run again"; "run_id" => %run, "error" => %failure);
                }
            }
            if self.stopping.is_cancelled() {
                break;
            }
        }
        Ok((spans > 0).then_some((traced, spans)))
    }

    async fn replay_run(&self, run: &RunId, since: Timestamp) -> Result<usize, JournalError> {
        let Some(record) = self.journal.run_fetch(run).await? else { return Ok(0) };
        if Traced::of(&record, self.names).is_none() {
            return Ok(0);
        }
        let mut count = 0;
        if record.run.started_at.is_some_and(|started| started >= since) {
            count += self.replay_start(&record).await?;
        }
        let mut after = None;
        loop {
            let page = self.journal.tree_page(run, None, after.as_ref(), PAGE).await?;
            for node in &page.nodes {
                count += self.replay_node(&record, &node.head, since).await?;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        if let Some(at) = record.run.ended_at.filter(|ended| *ended >= since) {
            count += self.put([Ended::Run { run: run.clone(), at }]).await;
        }
        Ok(count)
    }

    async fn replay_start(&self, run: &RunRecord) -> Result<usize, JournalError> {
        let root = self.journal.node_fetch_bare(&run.run.root_node_run_id).await?;
        let events = self.journal.events_after(run.id(), 0, None, FIRST_EVENTS).await?.events;
        let events: Vec<RunEvent> =
            events.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
        let root = root.as_ref().map(|root| &root.node.node_type_ref);
        let span = Traced::of(run, self.names).and_then(|traced| traced.accepted(root, events.iter()));
        Ok(self.put(span.map(|span| Ended::Span(Box::new(span)))).await)
    }

    async fn replay_node(
        &self,
        run: &RunRecord,
        head: &NodeHead,
        since: Timestamp,
    ) -> Result<usize, JournalError> {
        let ended = head.ended_at.is_some_and(|ended| ended >= since);
        // Otherwise its only attempt is under way, or there was none.
        let may_have_logged = head.attempt > 1 || head.attempt == 1 && head.job() != Some(Job::Deadline);
        if !ended && !may_have_logged {
            return Ok(0);
        }
        let Some(node) = self.journal.node_fetch_bare(&head.node_run_id).await? else { return Ok(0) };
        let Some(traced) = Traced::of(run, self.names) else { return Ok(0) };
        let mut count = 0;
        let mut after = may_have_logged.then_some(0);
        while let Some(last) = after {
            let page = self.journal.attempts_page(node.id(), last, PAGE).await?;
            let since = page.attempts.iter().filter(|attempt| attempt.ended_at >= since);
            let spans: Vec<Ended> = since
                .filter_map(|attempt| traced.logged(&node, attempt))
                .map(|span| Ended::Span(Box::new(span)))
                .collect();
            count += self.put(spans).await;
            after = page.next;
        }
        if ended {
            count += self.put(traced.ended(&node).map(|span| Ended::Span(Box::new(span)))).await;
        }
        Ok(count)
    }

    /// Puts these into the queue; if it is filling, what is in it is sent first.
    async fn put(&self, ended: impl IntoIterator<Item = Ended>) -> usize {
        let mut count = 0;
        for ended in ended {
            if !self.queue.has_room_for(self.queue.options.size / 2) {
                self.send_batch().await;
            }
            self.queue.ended(ended);
            count += 1;
        }
        count
    }
}
