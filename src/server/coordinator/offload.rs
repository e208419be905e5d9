//! Large outputs go to the Artifact Store, where that is switched on (FIX G34).
//!
//! ```text
//!   result, completion ──▶ too large? ──▶ put ──▶ decide and commit, with the reference
//!                              │           └─ fails ─▶ warn ─┐
//!                              └─ no ────────────────────────┴─▶ decide and commit, as reported
//! ```
//!
//! The artifact is stored before a record refers to it. If the process dies in
//! between, or the end of the node is refused, the artifact stays without a
//! reference. The store is optional: outputs that it does not take in time stay in
//! the journal.

use std::{sync::Arc, time::Duration};

use slog::{debug, warn};

use super::committer::Committer;
use crate::{
    engine::{self, Attempt, AttemptResult},
    record::NodeHead,
    resilience::{Held, KeyedLocks},
    services::{
        ArtifactStore,
        artifact_store::{OffloadSkipped, OutputOffload},
    },
    time::Clock,
    types::{JsonObject, NodeRunCompleteRequest, NodeRunId, ResourceRef},
};

/// Where outputs of more than `limit` bytes of JSON go.
pub struct Offload {
    store: OutputOffload,
    limit: usize,
    clock: Arc<dyn Clock>,
    /// One report on a node at a time, so that a repeated report finds the end
    /// that the first one made, and does not store another artifact.
    turns: KeyedLocks<NodeRunId>,
}

impl Offload {
    pub fn new(store: ArtifactStore, limit: usize, clock: Arc<dyn Clock>) -> Self {
        let store = OutputOffload::new(store, Arc::clone(&clock));
        Self { store, limit, clock, turns: KeyedLocks::default() }
    }

    /// What health says if the store has failed recently.
    pub(super) fn trouble(&self) -> Option<&'static str> {
        let message = "Large outputs stay in the journal: the store did not take them";
        self.store.has_failed_recently().then_some(message)
    }

    /// Stores the outputs of a node, in half of the time that the node has left:
    /// the other half is for its end.
    async fn put(&self, node: &NodeHead, outputs: Vec<u8>) -> Result<ResourceRef, OffloadSkipped> {
        let now = self.clock.now();
        let limit = node.deadline.map_or(Duration::MAX, |deadline| deadline.since(now) / 2);
        Box::pin(self.store.put(outputs, limit)).await
    }
}

/// The outputs of nodes on their way into the journal.
pub(super) struct Outputs {
    /// `None`: outputs are kept whole, however large.
    pub(super) offload: Option<Offload>,
    pub(super) committer: Arc<Committer>,
}

impl Outputs {
    /// The completion as it is to be stored. The node's turn is to be held until
    /// then.
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
        // A report on a node that has ended, or that has another attempt, is not
        // stored. If the journal cannot be read, no artifact is stored either.
        let record = self.committer.head_find(node).await.ok().flatten()?;
        if record.is_terminal() || attempt.is_some_and(|attempt| attempt.number != record.attempt) {
            return Some(turn);
        }
        let size = whole.len();
        match offload.put(&record, whole).await {
            Ok(artifact) => {
                debug!(self.committer.log, "large outputs put into the artifact store"; "node_run_id" => %node,
                    "artifact_id" => &artifact.id, "bytes" => size);
                *outputs = outputs.take().map(|given| engine::abridge(&given, offload.limit, &artifact));
                output_artifacts.get_or_insert_default().push(artifact);
            }
            Err(skipped) => {
                warn!(self.committer.log, "large outputs kept in the journal"; "node_run_id" => %node,
                    "bytes" => size, "error" => %skipped);
            }
        }
        Some(turn)
    }
}
