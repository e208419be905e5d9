//! Large outputs go to the Artifact Store, where that is switched on (FIX G34).
//!
//! ```text
//!   result, completion ──▶ too large? ──▶ put ──▶ decide and commit, with the reference
//!                              │           └─ fails ─▶ warn ─┐
//!                              └─ no ────────────────────────┴─▶ decide and commit, as reported
//! ```
//!
//! The artifact is there before anything refers to it. If the process dies in
//! between, or the end of the node is refused, the artifact is one that nobody
//! refers to, and no more. The store is never needed: what it does not take in
//! time stays in the journal.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use slog::{debug, warn};

use super::{
    committer::Committer,
    locks::{Held, KeyedLocks},
};
use crate::{
    clients::CallError,
    engine::{self, Attempt, AttemptResult},
    record::NodeHead,
    services::ArtifactStore,
    time::{Clock, Timestamp, within},
    types::{JsonObject, NodeRunCompleteRequest, NodeRunId, ResourceRef},
};

/// How long a store that did not answer is left alone: results are not to wait
/// for it one after the other.
const REST: Duration = Duration::from_secs(5);

/// How long health speaks of a failure. Whether the store is back, only the
/// next large outputs will tell.
const REMEMBER: Duration = Duration::from_secs(60);

const JSON: &str = "application/json";

/// Where outputs of more than `limit` bytes of JSON go.
pub struct Offload {
    store: ArtifactStore,
    limit: usize,
    clock: Arc<dyn Clock>,
    /// One report on a node at a time, so that a repeated one finds the first
    /// one's end and does not make another artifact.
    turns: KeyedLocks<NodeRunId>,
    /// When the store last failed, if it has not worked since.
    failed_at: Mutex<Option<Timestamp>>,
}

impl Offload {
    pub fn new(store: ArtifactStore, limit: usize, clock: Arc<dyn Clock>) -> Self {
        Self { store, limit, clock, turns: KeyedLocks::default(), failed_at: Mutex::default() }
    }

    /// What the store did to large outputs lately.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        let failed = self.failed_within(REMEMBER);
        failed.then_some("Large outputs stay in the journal: the store did not take them")
    }

    fn failed_within(&self, time: Duration) -> bool {
        let failed = self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|failed| self.clock.now() < failed + time)
    }

    fn note(&self, failed_at: Option<Timestamp>) {
        *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = failed_at;
    }

    /// Stores the outputs of a node, in half of the time that the node has
    /// left: the other half is for its end.
    async fn put(&self, node: &NodeHead, outputs: Vec<u8>) -> Result<ResourceRef, Kept> {
        if self.failed_within(REST) {
            return Err(Kept::Resting);
        }
        let now = self.clock.now();
        let time = node.deadline.map_or(Duration::MAX, |deadline| deadline.since(now) / 2);
        let stored = within(&*self.clock, time, self.store.put(outputs.into(), JSON)).await;
        let failed = match stored {
            Some(Ok(artifact)) => {
                self.note(None);
                return Ok(artifact.reference());
            }
            Some(Err(error)) => Kept::Failed(error),
            None => Kept::NoTime,
        };
        match &failed {
            // It has answered: these outputs are too large for it.
            Kept::Failed(error) if error.status == Some(413) => {}
            Kept::Failed(_) => self.note(Some(self.clock.now())),
            Kept::Resting | Kept::NoTime => {}
        }
        Err(failed)
    }
}

/// Why outputs stay where they are.
#[derive(Debug, thiserror::Error)]
enum Kept {
    #[error("the store failed a moment ago")]
    Resting,
    #[error("the node's time is almost up")]
    NoTime,
    #[error("{}: {}", .0.code, reason(.0))]
    Failed(CallError),
}

fn reason(error: &CallError) -> String {
    error.details.text("error").unwrap_or_else(|| error.message.clone())
}

/// The outputs of nodes on their way into the journal.
pub(super) struct Outputs {
    /// `None`: outputs are kept whole, however large.
    pub(super) offload: Option<Offload>,
    pub(super) committer: Arc<Committer>,
}

impl Outputs {
    /// A completion as it is to be stored. To be kept until it is stored: the
    /// node's turn.
    pub(super) async fn completion_offload(
        &self,
        node: &NodeRunId,
        mut completion: NodeRunCompleteRequest,
    ) -> (NodeRunCompleteRequest, Option<Held<'_, NodeRunId>>) {
        let NodeRunCompleteRequest { outputs, output_artifacts, .. } = &mut completion;
        let turn = self.outputs_offload(node, None, outputs, output_artifacts).await;
        (completion, turn)
    }

    /// The result of an attempt as it is to be stored.
    pub(super) async fn result_offload(
        &self,
        node: &NodeRunId,
        attempt: Attempt,
        mut result: AttemptResult,
    ) -> AttemptResult {
        match &mut result {
            AttemptResult::Answered { outputs, output_artifacts, .. } => {
                let _turn = self.outputs_offload(node, Some(attempt), outputs, output_artifacts).await;
            }
            AttemptResult::Failed { .. } => {}
        }
        result
    }

    async fn outputs_offload(
        &self,
        node: &NodeRunId,
        attempt: Option<Attempt>,
        outputs: &mut Option<JsonObject>,
        output_artifacts: &mut Option<Vec<ResourceRef>>,
    ) -> Option<Held<'_, NodeRunId>> {
        let offload = self.offload.as_ref()?;
        let given = outputs.as_ref()?;
        let whole = engine::oversized(given, offload.limit)?;
        let turn = offload.turns.lock(node).await;
        // A report on a node that is over, or on to another attempt, is not
        // stored; if the journal cannot say, neither is an artifact.
        let record = self.committer.head_find(node).await.ok().flatten()?;
        if record.is_terminal() || attempt.is_some_and(|attempt| attempt.number != record.attempt) {
            return Some(turn);
        }
        let size = whole.len();
        match offload.put(&record, whole).await {
            Ok(artifact) => {
                debug!(self.committer.log, "outputs put into the artifact store"; "node_run_id" => %node,
                    "artifact_id" => &artifact.id, "bytes" => size);
                *outputs = outputs.take().map(|given| engine::abridge(&given, offload.limit, &artifact));
                output_artifacts.get_or_insert_default().push(artifact);
            }
            Err(kept) => {
                warn!(self.committer.log, "large outputs kept in the journal"; "node_run_id" => %node,
                    "bytes" => size, "reason" => %kept);
            }
        }
        Some(turn)
    }
}
