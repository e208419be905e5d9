//! What the journal does not know, looked up in the Run Store, and adopted with
//! the whole run that it belongs to.
//!
//! ```text
//!   get, cancel, create, … ──▶ journal has it ──────────────────────▶ as ever
//!                                 │ no
//!                                 ▼
//!            one turn a run ──▶ journal has it by now ──────────────▶ as ever
//!                                 │ no
//!                                 ▼
//!            Run Store: Run, NodeRuns; Event Stream: events ──commit▶ as ever
//!                                 └ no ─▶ there is no such thing
//! ```
//!
//! So ours takes the place of another coordinator whose runs are under way,
//! and of itself when the journal is lost. It does not share runs with anybody:
//! whoever wrote them has to be gone.
//!
//! Only for callers who may act on everything. Those with the token of a NodeRun
//! got it from this journal, and learn nothing here about other runs.

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

/// How long somebody waits while somebody else adopts the run. A store that
/// does not answer must not make a queue of all who ask.
const TURN: Duration = Duration::from_secs(10);

impl Coordinator {
    /// A run that the journal has, or has now.
    pub(super) async fn run_find_or_adopt(
        &self,
        caller: &Principal,
        run: &RunId,
    ) -> Result<Option<RunRecord>, CoordinatorError> {
        if let Some(found) = self.committer.run_find(run).await? {
            return Ok(Some(found));
        }
        let Some(stores) = self.stores_for(caller, run.as_str()) else { return Ok(None) };
        self.run_adopt(stores, run).await?;
        self.committer.run_find(run).await
    }

    /// A NodeRun that the journal has, or has now.
    pub(super) async fn node_find_or_adopt(
        &self,
        caller: &Principal,
        node: &NodeRunId,
    ) -> Result<Option<NodeRecord>, CoordinatorError> {
        if let Some(found) = self.committer.node_find(node).await? {
            return Ok(Some(found));
        }
        let Some(stores) = self.stores_for(caller, node.as_str()) else { return Ok(None) };
        let stored = stores.runs.node_run_get(node).await.map_err(|error| unavailable(&error))?;
        let Some(stored) = stored else { return Ok(None) };
        if stored.node_run_id != *node {
            return Err(another("NodeRun"));
        }
        self.run_adopt(stores, &stored.run_id).await?;
        self.committer.node_find(node).await
    }

    /// Where to look for this id, if anywhere.
    fn stores_for(&self, caller: &Principal, id: &str) -> Option<&Stores> {
        match caller.scope() {
            Scope::Everything => self.stores.as_ref().filter(|_| goes_into_a_path(id)),
            Scope::Subtree(_) => None,
        }
    }

    /// Brings a run into the journal, if the Run Store has it and the journal
    /// has not.
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

    /// All that the stores have about a run.
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

    /// The nodes that are not in the journal (a NodeRun belongs to one run, but
    /// who knows what the store says), with what dispatch has to know of them.
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

/// Whether the Run Store could be asked for it at all: it takes ids from the
/// path of a URL, and what stands between may take `%2F` and `%5C` for slashes.
/// (Other coordinators let callers choose worse ids than we do.)
fn goes_into_a_path(id: &str) -> bool {
    fits_into_a_path(id) && !id.chars().any(|c| matches!(c, '/' | '\\') || c.is_control())
}

/// The Run Store answered about something else than it was asked for.
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
