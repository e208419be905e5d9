//! What a decision may change in a record, asserted in every build: transitions by
//! the tables of [`lifecycle`], and counters that never go backwards.
//!
//! ```text
//!   record as loaded ──▶ NodeBefore, RunBefore ──┐
//!        │ the command's rules                   ▼
//!        └─────────▶ record as it is to be ──▶ may_become ──▶ change set
//!                                                └─▶ panic: nothing is committed
//! ```
//!
//! A rule that violates this is a bug, and an invalid record is worse than a
//! command that fails: a panic is contained (500 for a caller, parked for a job)
//! and leaves the journal as it was. Messages contain ids and states, and nothing
//! else that a caller sent.
//!
//! Used by `draft` and `bookkeeping`.

use super::lifecycle;
use crate::{
    record::{NodeHead, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
    types::{NodeRunId, NodeRunState, RunId, RunState},
};

/// A NodeRun as it was loaded.
#[derive(Clone, Debug)]
pub(super) struct NodeBefore {
    id: NodeRunId,
    run: RunId,
    version: u64,
    state: NodeRunState,
    ended_at: Option<Timestamp>,
    path: NodePath,
    attempt: u32,
    children: u64,
    rounds: u64,
}

impl NodeBefore {
    pub(super) fn of(node: &NodeRecord) -> Self {
        Self {
            id: node.id().clone(),
            run: node.node.run_id.clone(),
            version: node.version,
            state: node.node.state,
            ended_at: node.node.ended_at,
            path: node.path.clone(),
            attempt: node.attempt,
            children: node.children,
            rounds: node.rounds,
        }
    }

    /// Panics unless the record that was loaded may be stored as `node`.
    #[track_caller]
    pub(super) fn may_become(&self, node: &NodeRecord) {
        let (from, to) = (self.state, node.node.state);
        let name = self.id.as_str().escape_debug();
        assert!(
            self.id == *node.id() && self.run == node.node.run_id && self.version == node.version,
            "node run {name}: it would be stored as another record, {}",
            node.id().as_str().escape_debug()
        );
        assert!(lifecycle::node_run_may(from, to), "node run {name}: {from} must not become {to}");
        assert!(
            !from.is_terminal() || self.ended_at == node.node.ended_at,
            "node run {name}: it is {from}, and its end would change"
        );
        assert!(self.path == node.path, "node run {name}: it would move from {} to {}", self.path, node.path);
        assert!(
            self.attempt <= node.attempt,
            "node run {name}: its attempt would go back from {} to {}",
            self.attempt,
            node.attempt
        );
        assert!(
            self.children <= node.children && self.rounds <= node.rounds,
            "node run {name}: it would have fewer children ({} to {}) or rounds ({} to {})",
            self.children,
            node.children,
            self.rounds,
            node.rounds
        );
        wakes(node);
    }
}

/// The head of a NodeRun as it was loaded.
#[derive(Clone, Debug)]
pub(super) struct HeadBefore(NodeHead);

impl HeadBefore {
    pub(super) fn of(head: &NodeHead) -> Self {
        Self(head.clone())
    }

    /// Panics if more than its wake-up has changed. (A node also ends by its head:
    /// see `Draft::end_head`.)
    #[track_caller]
    pub(super) fn may_become(&self, head: &NodeHead) {
        let name = self.0.node_run_id.as_str().escape_debug();
        let same = NodeHead { wake: head.wake.clone(), ..self.0.clone() };
        assert!(same == *head, "node run {name}: more than its wake-up would change");
        assert!(head.is_terminal() || head.wake.is_some(), "node run {name}: it would have no wake-up");
    }
}

/// Panics unless a live node has a wake-up: without one it would be stuck
/// forever.
#[track_caller]
pub(super) fn wakes(node: &NodeRecord) {
    assert!(
        node.is_terminal() || node.wake.is_some(),
        "node run {}: it is {} and would have no wake-up",
        node.id().as_str().escape_debug(),
        node.node.state
    );
}

/// Panics unless a node that is `from` may end as `to`.
#[track_caller]
pub(super) fn node_ends(id: &NodeRunId, from: NodeRunState, to: NodeRunState) {
    assert!(
        !from.is_terminal() && to.is_terminal() && lifecycle::node_run_may(from, to),
        "node run {}: it is {from} and must not end as {to}",
        id.as_str().escape_debug()
    );
}

/// A Run as it was loaded.
#[derive(Clone, Debug)]
pub(super) struct RunBefore {
    id: RunId,
    state: RunState,
    ended_at: Option<Timestamp>,
    last_seq: u64,
    nodes: u64,
}

impl RunBefore {
    pub(super) fn of(run: &RunRecord) -> Self {
        Self {
            id: run.id().clone(),
            state: run.run.state,
            ended_at: run.run.ended_at,
            last_seq: run.last_seq,
            nodes: run.nodes,
        }
    }

    /// Panics unless the record that was loaded may be stored as `run`, with that
    /// number of new events.
    #[track_caller]
    pub(super) fn may_become(&self, run: &RunRecord, events: usize) {
        let (from, to) = (self.state, run.run.state);
        let name = self.id.as_str().escape_debug();
        assert!(self.id == *run.id(), "run {name}: it would be stored as another record");
        assert!(lifecycle::run_may(from, to), "run {name}: {from} must not become {to}");
        assert!(
            !from.is_terminal() || self.ended_at == run.run.ended_at,
            "run {name}: it is {from}, and its end would change"
        );
        assert!(
            run.last_seq == self.last_seq + events as u64,
            "run {name}: {events} events do not lead from number {} to {}",
            self.last_seq,
            run.last_seq
        );
        assert!(
            self.nodes <= run.nodes,
            "run {name}: it would have fewer nodes, {} to {}",
            self.nodes,
            run.nodes
        );
    }
}

/// Panics unless a run that is `from` may end as `to`.
#[track_caller]
pub(super) fn run_ends(id: &RunId, from: RunState, to: RunState) {
    assert!(
        !from.is_terminal() && to.is_terminal() && lifecycle::run_may(from, to),
        "run {}: it is {from} and must not end as {to}",
        id.as_str().escape_debug()
    );
}
