//! The result of a decision: everything that one transaction writes.
//!
//! ```text
//!   engine ── decides ──▶ ChangeSet ── commit ──▶ journal: all of it or nothing
//!                            │
//!                            ├─ run, nodes, heads   records, over the versions that were read
//!                            ├─ events, attempts    appended
//!                            ├─ audit               who asked for it, or why it was refused
//!                            ├─ outbox              what the JARVIS stores have yet to receive
//!                            └─ notices             what webhooks report, if there are any
//! ```

use serde::{Deserialize, Serialize};

use super::{
    ApprovalId, AttemptNote, AuditRecord, NodeHead, NodePath, NodeRecord, Notice, OutboxItem, PausesVersion,
    RunRecord,
};
use crate::{
    time::Timestamp,
    types::{Error, NodeRunId, NodeRunState, RunEvent, RunId},
};

/// Everything that one decision writes.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    pub run_id: RunId,
    /// When it was decided.
    pub at: Timestamp,
    /// The Run, if it changed. (Each event changes it, because it counts them.)
    pub run: Option<RunRecord>,
    /// Whether the run is held from now on, if that changes.
    pub held: Option<bool>,
    /// The NodeRuns that are new (version 0) or changed.
    pub nodes: Vec<NodeRecord>,
    /// The NodeRuns of which only `state`, `ended_at` and `wake` changed: their
    /// records are neither read nor written for that. No node is in `nodes` too.
    pub heads: Vec<NodeHead>,
    /// The events, with consecutive `seq`.
    pub events: Vec<EventRecord>,
    /// Attempts that did not end their node, by (node, attempt).
    pub attempts: Vec<AttemptRecord>,
    /// Who asked for it; that a rule refused a node.
    pub audit: Vec<AuditRecord>,
    /// What the JARVIS stores have yet to receive of it. A journal that keeps no
    /// outbox drops these entries.
    pub outbox: Vec<OutboxItem>,
    /// What webhooks report of it.
    pub notices: Vec<Notice>,
    /// The pauses under which it was decided: if they have changed, it is not written.
    /// `None`: it depends on none, or only this process changes them.
    pub pauses: Option<PausesVersion>,
}

impl ChangeSet {
    /// A change set that changes nothing yet.
    pub fn new(run_id: RunId, at: Timestamp) -> Self {
        Self {
            run_id,
            at,
            run: None,
            held: None,
            nodes: Vec::new(),
            heads: Vec::new(),
            events: Vec::new(),
            attempts: Vec::new(),
            audit: Vec::new(),
            outbox: Vec::new(),
            notices: Vec::new(),
            pauses: None,
        }
    }

    /// The same, with outbox entries for all that it changes: the Run, then the
    /// NodeRuns, then the events as one range.
    #[must_use]
    pub fn owing_all(self) -> Self {
        let run = self.run.as_ref().map(|run| OutboxItem::Run { new: run.version == 0 });
        let node = |id: &NodeRunId, new| OutboxItem::NodeRun { node_run_id: id.clone(), new };
        let nodes = self.nodes.iter().map(|record| node(record.id(), record.version == 0));
        // Of a live node only the wake-up has changed, which the stores do not have.
        let heads = self.heads.iter().filter(|head| head.is_terminal());
        let heads = heads.map(|head| node(&head.node_run_id, false));
        let seqs = || self.events.iter().map(|record| record.event.seq);
        let events = seqs().min().zip(seqs().max()).map(|(first, last)| OutboxItem::Events { first, last });
        let outbox = run.into_iter().chain(nodes).chain(heads).chain(events).collect();
        Self { outbox, ..self }
    }

    /// The same with what was decided on its own records: both are one commit.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        for node in later.nodes {
            match self.nodes.iter_mut().find(|known| known.id() == node.id()) {
                Some(known) => *known = node,
                None => self.nodes.push(node),
            }
        }
        self.run = later.run.or(self.run);
        self.held = later.held.or(self.held);
        self.heads.extend(later.heads);
        self.events.extend(later.events);
        self.attempts.extend(later.attempts);
        self.audit.extend(later.audit);
        self.owing_all()
    }

    /// The NodeRuns in it that are terminal.
    pub fn ended(&self) -> impl Iterator<Item = &NodeRunId> {
        let nodes = self.nodes.iter().filter(|node| node.is_terminal()).map(NodeRecord::id);
        let heads = self.heads.iter().filter(|head| head.is_terminal()).map(|head| &head.node_run_id);
        nodes.chain(heads)
    }

    /// What webhooks report of it: what has ended, failed or begun to wait with this
    /// decision.
    pub fn to_report(&self) -> Vec<Notice> {
        let at = self.at;
        let is_now = |ended_at: Option<Timestamp>| ended_at == Some(at);
        let failed = |node: &NodeRunId| Notice::NodeRunFailed {
            run_id: self.run_id.clone(),
            node_run_id: node.clone(),
        };
        let mut notices = Vec::new();
        for node in &self.nodes {
            if node.node.state == NodeRunState::Failed && is_now(node.node.ended_at) {
                notices.push(failed(node.id()));
            }
            notices.extend(
                asks_now(node, at).map(|approval_id| Notice::ApprovalRequested {
                    run_id: self.run_id.clone(),
                    approval_id,
                }),
            );
        }
        let heads = self.heads.iter().filter(|head| head.state == NodeRunState::Failed);
        notices.extend(heads.filter(|head| is_now(head.ended_at)).map(|head| failed(&head.node_run_id)));
        let run = self.run.iter().filter(|run| run.is_terminal() && is_now(run.run.ended_at));
        notices.extend(run.map(|run| Notice::RunCompleted { run_id: run.id().clone() }));
        notices
    }
}

/// The approval that a node waits for since now.
fn asks_now(node: &NodeRecord, now: Timestamp) -> Option<ApprovalId> {
    let approval = node.waits.approval.as_deref()?;
    (approval.is_open() && approval.requested_at == now).then(|| approval.approval_id.clone())
}

/// An event and the place of the node that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    pub event: RunEvent,
    /// `None` for an event of the run as a whole.
    pub path: Option<NodePath>,
}

/// An attempt to execute a NodeRun that did not become the node's end. (The one
/// that did needs no entry: the NodeRun says how it ended.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    pub node_run_id: NodeRunId,
    pub run_id: RunId,
    /// 1, 2, …
    pub attempt: u32,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub outcome: AttemptOutcome,
    /// For its span, in a run whose trace is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<AttemptNote>>,
    /// Of an executor that was given up: why, in at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// The maximum length of the reason why an executor was given up.
const BECAUSE_BYTES: usize = 500;

impl AttemptRecord {
    /// The same with the reason, cut to what may be kept of it.
    #[must_use]
    pub fn because(self, why: &str) -> Self {
        let end = (0..=BECAUSE_BYTES.min(why.len())).rev().find(|end| why.is_char_boundary(*end));
        Self { because: why.get(..end.unwrap_or_default()).map(str::to_owned), ..self }
    }
}

/// The outcome of an attempt that did not end its node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The executor answered when the node was already terminal, or had moved on
    /// to another attempt. The answer is kept as evidence only.
    Late { state: NodeRunState, error: Option<Error> },
    /// The worker died while the attempt was at the executor.
    Lost,
    /// The call gave no result, and the node was to be dispatched again.
    Failed {
        error: Error,
        retry_at: Timestamp,
        /// The executor may have begun the work, as far as is known.
        #[serde(default)]
        may_have_begun: bool,
    },
    /// The executor reported a failure, and the node was to be dispatched again,
    /// as its type allows.
    FailedResult { error: Option<Error>, retry_at: Timestamp },
    /// The node is terminal, and its executor was given up: it never
    /// acknowledged the cancel. A late answer is fenced off.
    Fenced,
}
