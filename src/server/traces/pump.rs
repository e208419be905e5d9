//! Sends what has ended to the collector, and keeps the mark.
//!
//! ```text
//!   queue ──▶ batch ──▶ what cascades left out is read ──▶ OTLP ──▶ collector
//!                                                           │ 429, 5xx, no answer: again, a few times
//!                                                           ▼
//!                                    mark: what ended before it is sent, or given up
//! ```
//!
//! **Invariant.** A batch holds up the next ones for as long as its tries take, and
//! nothing else: what does not fit into the queue meanwhile is dropped.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use slog::{Logger, info, warn};
use tokio_util::sync::CancellationToken;

use super::{
    otlp::{self, Resource},
    queue::Queue,
    records::Traced,
    span::{Ended, Names, Span},
};
use crate::{
    journal::{Journal, JournalError, SPANS_MARK},
    metrics::Metrics,
    time::{Clock, Timestamp, backoff, within},
    types::{NodeRunId, RunId},
};

/// How often a batch is tried.
const TRIES: u32 = 5;
const BASE: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(30);

/// How far the mark stays behind: a commit may become durable, and be heard of, this
/// much later than it was decided.
const BEHIND: Duration = Duration::from_secs(10);

/// Later than everything.
const LAST: Timestamp = Timestamp::from_micros(i64::MAX);

/// A collector's address, with all that a request needs.
#[async_trait]
pub(crate) trait Collector: fmt::Debug + Send + Sync + 'static {
    /// Sends a request with this body, and returns that of the answer.
    async fn send(&self, body: Bytes) -> Result<Bytes, PostError>;
}

/// Why a request was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostError {
    /// Whether the same request may be accepted later.
    pub(crate) is_temporary: bool,
    /// When, if the collector says so.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) reason: String,
}

/// The pump, and what it needs.
#[derive(Clone)]
pub(crate) struct Pump {
    pub(crate) queue: Arc<Queue>,
    pub(crate) collector: Arc<dyn Collector>,
    pub(crate) resource: Resource,
    pub(crate) names: Names,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// Cancelled when nothing more ends: what waits is sent, once.
    pub(crate) stopping: CancellationToken,
    pub(crate) state: Arc<Mutex<PumpState>>,
    pub(crate) log: Logger,
}

/// What a restart of the pump goes on with.
#[derive(Debug, Default)]
pub(crate) struct PumpState {
    /// Since when nothing could be sent, and how many spans were given up.
    failing: Option<(Timestamp, u64)>,
    /// The mark as it is stored.
    pub(super) marked: Option<Timestamp>,
    /// The newest end of what was taken from the queue.
    newest: Option<Timestamp>,
    /// What a killed process left is in the queue.
    pub(super) replayed: bool,
}

impl Pump {
    /// Finds the mark. Before the first one nothing was sent, and nothing is sent again.
    pub(crate) async fn prepare(&self) -> Result<(), JournalError> {
        let marked = match self.journal.mark_find(SPANS_MARK).await? {
            Some(marked) => marked,
            None => {
                let now = self.clock.now();
                self.journal.mark_set(SPANS_MARK, now).await?;
                now
            }
        };
        self.state.lock().marked = Some(marked);
        Ok(())
    }

    pub(crate) async fn run(self) {
        self.replay().await;
        loop {
            self.batch_or_time().await;
            // What comes meanwhile waits for more.
            let mut due = self.queue.len();
            while due > 0 || self.stopping.is_cancelled() && !self.queue.is_empty() {
                due = due.saturating_sub(self.send_batch().await);
            }
            if self.stopping.is_cancelled() && self.queue.is_empty() {
                // Nothing is decided any more.
                return self.mark(self.clock.now() + Duration::from_micros(1)).await;
            }
            self.mark_behind().await;
        }
    }

    async fn batch_or_time(&self) {
        if self.queue.has_batch() {
            return;
        }
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => {}
            () = self.queue.batch.notified() => {}
            () = self.clock.sleep(self.queue.options.delay) => {}
        }
    }

    /// Sends the next batch, and returns its size.
    pub(super) async fn send_batch(&self) -> usize {
        let batch = self.queue.take();
        let size = batch.len();
        let newest = batch.iter().map(Ended::at).max();
        let mut spans = Vec::with_capacity(batch.len());
        for ended in batch {
            match self.resolved(ended).await {
                Ok(span) => spans.extend(span),
                Err(failure) => {
                    self.metrics.spans("failed", 1);
                    warn!(self.log, "could not read what a span is about"; "error" => %failure);
                }
            }
        }
        if !spans.is_empty() {
            self.send(&spans).await;
        }
        let mut state = self.state.lock();
        state.newest = state.newest.max(newest);
        size
    }

    async fn send(&self, spans: &[Span]) {
        let body = Bytes::from(otlp::encoded(&self.resource, spans));
        let count = spans.len() as u64;
        let mut tries = 0;
        let failure = loop {
            match self.collector.send(body.clone()).await {
                Ok(answer) => return self.sent(count, &answer),
                Err(failure) => {
                    tries += 1;
                    if !failure.is_temporary || tries >= TRIES || self.stopping.is_cancelled() {
                        break failure;
                    }
                    self.failing(&failure, 0);
                    let wait = backoff(tries - 1, BASE, CAP, "spans");
                    let wait = wait.max(failure.retry_after.unwrap_or_default().min(CAP));
                    tokio::select! {
                        () = self.clock.sleep(wait) => {}
                        () = self.stopping.cancelled() => {}
                    }
                }
            }
        };
        self.metrics.spans("failed", count);
        self.failing(&failure, count);
    }

    fn sent(&self, count: u64, answer: &[u8]) {
        let rejected = match otlp::rejected(answer) {
            None => 0,
            Some((rejected, reason)) => {
                warn!(self.log, "the collector rejected spans"; "spans" => rejected, "error" => reason);
                rejected.min(count)
            }
        };
        self.metrics.spans("exported", count - rejected);
        self.metrics.spans("rejected", rejected);
        if let Some((since, given_up)) = self.state.lock().failing.take() {
            info!(self.log, "spans are sent again"; "since" => %since, "given_up" => given_up);
        }
    }

    /// Logs the beginning of an outage.
    fn failing(&self, failure: &PostError, given_up: u64) {
        let mut state = self.state.lock();
        match &mut state.failing {
            Some((_, before)) => *before += given_up,
            failing @ None => {
                *failing = Some((self.clock.now(), given_up));
                warn!(self.log, "could not send spans to the collector"; "error" => &failure.reason,
                    "temporary" => failure.is_temporary);
            }
        }
    }

    /// The span of what has ended.
    async fn resolved(&self, ended: Ended) -> Result<Option<Span>, JournalError> {
        match ended {
            Ended::Span(span) => Ok(Some(*span)),
            Ended::Node { run, node, .. } => self.node_span(&run, &node).await,
            Ended::Run { run, .. } => self.run_span(&run).await,
        }
    }

    async fn node_span(&self, run: &RunId, node: &NodeRunId) -> Result<Option<Span>, JournalError> {
        let (Some(run), Some(node)) =
            (self.journal.run_fetch(run).await?, self.journal.node_fetch_bare(node).await?)
        else {
            return Ok(None);
        };
        Ok(Traced::of(&run, self.names).and_then(|traced| traced.ended(&node)))
    }

    async fn run_span(&self, run: &RunId) -> Result<Option<Span>, JournalError> {
        let Some(run) = self.journal.run_fetch(run).await? else { return Ok(None) };
        let Some(root) = self.journal.node_fetch_bare(&run.run.root_node_run_id).await? else {
            return Ok(None);
        };
        let traced = Traced::of(&run, self.names);
        Ok(traced.and_then(|traced| traced.whole(&root.node.node_type_ref, root.error_code().as_deref())))
    }

    /// Moves the mark on if something was sent that is behind it.
    async fn mark_behind(&self) {
        let target = self.queue.oldest().unwrap_or(LAST).min(self.clock.now() - BEHIND);
        let is_due = {
            let state = self.state.lock();
            state
                .newest
                .is_some_and(|newest| state.marked.is_none_or(|marked| marked <= newest && marked < target))
        };
        if is_due {
            self.mark(target).await;
        }
    }

    async fn mark(&self, at: Timestamp) {
        // A disk that hangs must not hold up what waits.
        let stored = within(&*self.clock, CAP, self.journal.mark_set(SPANS_MARK, at)).await;
        match stored {
            Some(Ok(())) => self.state.lock().marked = Some(at),
            // The next one comes soon; until then a crash sends more spans again.
            Some(Err(failure)) => {
                slog::debug!(self.log, "could not store the mark of spans"; "error" => %failure)
            }
            None => {}
        }
    }
}
