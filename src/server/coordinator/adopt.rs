//! Adoption on access: a run or node run that the journal does not have is looked up
//! in the Run Store and adopted with its whole run.
//!
//! ```text
//!   get, cancel, create, … ──▶ journal has it? ──yes──────────────────▶ the operation
//!                                 │ no                                      ▲
//!                                 ▼                                         │
//!            the run's turn ──▶ journal has it by now? ──yes───────────────┤
//!                                 │ no                                      │
//!                                 ▼                                         │
//!            Run Store: Run, NodeRuns; Event Stream: events ──commit────────┘
//!                                 └ none ─▶ not found
//! ```
//!
//! This is how a coordinator takes the place of another one whose runs are under way,
//! or of itself after its journal was lost. Two coordinators never share a run: the
//! one that wrote it must have stopped.
//!
//! Only for callers who may act on everything. A caller with an assignment token got
//! it for a run in this journal, and learns nothing here about other runs.

use std::time::Duration;

use slog::info;

use super::{Coordinator, error::CoordinatorError};
use crate::{
    auth::{Principal, Scope},
    clients::{CallError, Service, path::fits_into_a_path},
    engine::{self, Decision, NodeTypeFacts, StoredNode, StoredRun},
    record::{NodeRecord, RunRecord},
    services::Stores,
    time::within,
    types::{NodeKind, NodeRun, NodeRunId, RunId},
};

/// How long a caller waits while another adopts the run. A store that does not answer
/// must not queue all callers.
const TURN: Duration = Duration::from_secs(10);

impl Coordinator {
    /// Finds a run in the journal, or adopts it.
    pub(super) async fn run_find_or_adopt(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<Option<RunRecord>, CoordinatorError> {
        if let Some(found) = self.committer.run_find(run).await? {
            return Ok(Some(found));
        }
        let Some(stores) = self.stores_for(caller, run.as_str()) else { return Ok(None) };
        Box::pin(self.run_adopt(stores, run)).await?;
        self.committer.run_find(run).await
    }

    /// Finds a NodeRun in the journal, or adopts its run.
    pub(super) async fn node_find_or_adopt(
        &self,
        caller: &Principal,
        node: &NodeRunId,
    ) -> Result<Option<NodeRecord>, CoordinatorError> {
        if let Some(found) = self.committer.node_find(node).await? {
            return Ok(Some(found));
        }
        let Some(stores) = self.stores_for(caller, node.as_str()) else { return Ok(None) };
        let asked = Box::pin(stores.runs.node_run_get(node)).await;
        let stored = asked.map_err(|error| unavailable(&error))?;
        let Some(stored) = stored else { return Ok(None) };
        if stored.node_run_id != *node {
            return Err(another("NodeRun"));
        }
        Box::pin(self.run_adopt(stores, &stored.run_id)).await?;
        self.committer.node_find(node).await
    }

    /// The stores to look the id up in, if the caller may and the id can be sent.
    fn stores_for(&self, caller: &Principal, id: &str) -> Option<&Stores> {
        match caller.scope() {
            Scope::Identity | Scope::Anonymous => self.stores.as_ref().filter(|_| goes_into_a_path(id)),
            Scope::Subtree(_) => None,
        }
    }

    /// Adopts a run if the Run Store has it and the journal has not.
    async fn run_adopt(&self, stores: &Stores, run: &RunId) -> Result<(), CoordinatorError> {
        self.committer.room_for_new_work()?;
        let Some(_turn) = within(&*self.committer.clock, TURN, self.adoptions.lock(run)).await else {
            let waited = CallError::no_response(
                Service::RunStore,
                "timed out waiting for another adoption of this run",
            );
            return Err(unavailable(&waited));
        };
        if self.committer.run_find(run).await?.is_some() {
            return Ok(());
        }
        let Some(stored) = self.stored_run(stores, run).await? else { return Ok(()) };
        let stored = &stored;
        self.committer
            .command(run, |cx| async move {
                Ok(match self.committer.run_find(run).await? {
                    Some(_) => Decision { changes: None, answer: () },
                    None => engine::run_adopt(stored.clone(), cx),
                })
            })
            .await?;
        info!(self.committer.log, "run adopted from the Run Store"; "run_id" => %run, "state" => %stored.run.state,
            "node_runs" => stored.nodes.len(), "events" => stored.events.len());
        Ok(())
    }

    /// Reads everything that the stores have about a run.
    async fn stored_run(&self, stores: &Stores, id: &RunId) -> Result<Option<StoredRun>, CoordinatorError> {
        let run = stores.runs.run_get(id).await.map_err(|error| unavailable(&error))?;
        let Some(run) = run else { return Ok(None) };
        if run.run_id != *id {
            return Err(another("run"));
        }
        let (nodes, events) = tokio::join!(stores.runs.node_runs_list(id), stores.events.run_events(id));
        let nodes = self.stored_nodes(nodes.map_err(|error| unavailable(&error))?).await?;
        let events = events.map_err(|error| CoordinatorError::EventStreamUnavailable {
            internal: format!("{}: {}", error.code(), error.reason()),
        })?;
        Ok(Some(StoredRun { run, nodes, events }))
    }

    /// The nodes that are not in the journal, with what dispatch has to know of them.
    /// (A NodeRun belongs to one run, but the store may say otherwise.)
    async fn stored_nodes(&self, nodes: Vec<NodeRun>) -> Result<Vec<StoredNode>, CoordinatorError> {
        let mut stored = Vec::with_capacity(nodes.len());
        for node in nodes {
            if self.committer.node_find(&node.node_run_id).await?.is_some() {
                continue;
            }
            let may_be_executed = !node.state.is_terminal() && node.kind != Some(NodeKind::Composite);
            let facts = match may_be_executed {
                // The other coordinator took a type that the registry refuses.
                true => self.admission.facts(&node.node_type_ref).await?.unwrap_or_default(),
                false => NodeTypeFacts::default(),
            };
            stored.push(StoredNode { node, facts });
        }
        Ok(stored)
    }
}

/// Whether the Run Store can be asked for an id: it takes ids from the path of a URL,
/// and proxies may read `%2F` and `%5C` as slashes. (Other coordinators accept more
/// ids from their callers than this one.)
fn goes_into_a_path(id: &str) -> bool {
    fits_into_a_path(id) && !id.chars().any(|c| matches!(c, '/' | '\\') || c.is_control())
}

/// The Run Store answered with a different object than it was asked for.
fn another(what: &str) -> CoordinatorError {
    unavailable(&CallError::malformed(Service::RunStore, &format!("the answer is about another {what}")))
}

fn unavailable(error: &CallError) -> CoordinatorError {
    CoordinatorError::RunStoreUnavailable { internal: format!("{}: {}", error.code(), error.reason()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_do_not_fit_a_url_path_are_not_requested() {
        for id in ["run_1", "with space", "ü", "a?b#c%2F", "..."] {
            assert!(goes_into_a_path(id), "{id}");
        }
        for id in ["", ".", "..", "a/b", r"a\..\b", "a\nb", "\u{0}"] {
            assert!(!goes_into_a_path(id), "{id}");
        }
    }
}
