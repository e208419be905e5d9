//! What the journal holds: each wire object with the coordinator's own
//! bookkeeping beside it, and the [`ChangeSet`] that one decision makes.
//!
//! # Wake-ups
//!
//! A record that is not finished says itself when it must be looked at again,
//! and what for: its [`Wake`]. The column is the work queue, and the rule "every
//! non-terminal record has a future wake-up" is a constraint of the database,
//! not a hope. A wake-up that a living process works on names it as `owner`
//! (the lease); if that process dies, the wake-up is due at once.
//!
//! ```text
//!            Dispatch              Deadline               (none)
//!   queued ───────────▶ running ───────────────▶ terminal ──────
//!      ▲ retry later,│  claimed  expired, silent     │ told to stop
//!      │ or held     │                               ▼
//!      └─────────────┘                         CancelExecutor, until acknowledged
//! ```
//!
//! Only `engine` makes a [`ChangeSet`]; only `store` applies one.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    time::Timestamp,
    types::{
        ConstraintEnvelope, Error, NodeKind, NodeRun, NodeRunId, NodeRunState, Run, RunEvent, RunId,
        SideEffectClass, WorkerId,
    },
};

/// A Run and what the coordinator knows about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The Run as callers see it.
    pub run: Run,
    /// Of the row, counted up by each commit; 0 = not stored yet.
    #[serde(skip)]
    pub version: u64,
    /// `seq` of the newest event; the first has 1.
    pub last_seq: u64,
    /// NodeRuns in the run, the root included.
    pub nodes: u64,
    /// Digest of the start request, to know a repetition (contract D-07).
    pub request_digest: String,
    /// Subject of the token that started the run.
    pub owner: Option<String>,
    /// When the run as a whole runs out of time. `Some` while it is not over.
    pub deadline: Option<Timestamp>,
}

/// A NodeRun and what the coordinator knows about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The NodeRun as callers see it.
    pub node: NodeRun,
    /// Of the row, counted up by each commit; 0 = not stored yet.
    #[serde(skip)]
    pub version: u64,
    /// Where in the tree it stands.
    pub path: NodePath,
    /// Children created under it so far.
    pub children: u64,
    /// Accepted create requests with at least one new child (contract D-09).
    pub rounds: u64,
    /// Number of the current attempt to execute it: the fencing number. 0 =
    /// never tried.
    pub attempt: u32,
    /// How often handing it over came to nothing in a way that was worth
    /// another try.
    #[serde(default)]
    pub retries: u32,
    /// An earlier attempt may still be at its executor: nobody knows what
    /// became of it.
    #[serde(default)]
    pub astray: bool,
    /// What its NodeType says about effects on the world; none = unknown.
    pub side_effect: Option<SideEffectClass>,
    /// Its NodeType says that executing it twice does no harm.
    pub idempotent: bool,
    /// What of its constraints came from its NodeType, to know a repetition of
    /// the request that made it when the type says something else, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_constraints: Option<ConstraintEnvelope>,
    /// When its time is up, whatever it is doing.
    pub deadline: Option<Timestamp>,
    /// What else it waits for.
    #[serde(default, skip_serializing_if = "Waits::is_nothing")]
    pub waits: Waits,
    /// `Some` as long as the coordinator still has to do something about it;
    /// always while it is not terminal. The journal keeps it in columns, as it
    /// does the `state` and `ended_at` of the NodeRun: see [`NodeHead`].
    #[serde(skip)]
    pub wake: Option<Wake>,
    /// What of the NodeRun was left in the journal when it was read.
    #[serde(skip)]
    pub unread: Unread,
}

/// Members of a NodeRun that are large and were not read with it: they seem to
/// be missing, but a commit of the record leaves them as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    pub inputs: bool,
    pub outputs: bool,
}

impl Unread {
    pub fn any(self) -> bool {
        self.inputs || self.outputs
    }
}

impl NodeRecord {
    pub fn id(&self) -> &NodeRunId {
        &self.node.node_run_id
    }
    pub fn is_terminal(&self) -> bool {
        self.node.state.is_terminal()
    }

    /// What cascades, claims and sweeps need of it.
    pub fn head(&self) -> NodeHead {
        NodeHead {
            node_run_id: self.node.node_run_id.clone(),
            run_id: self.node.run_id.clone(),
            version: self.version,
            path: self.path.clone(),
            kind: self.node.kind,
            state: self.node.state,
            started_at: self.node.started_at,
            ended_at: self.node.ended_at,
            attempt: self.attempt,
            astray: self.astray,
            deadline: self.deadline,
            wake: self.wake.clone(),
        }
    }
}

/// A NodeRun without its content: small, whatever its inputs and outputs are,
/// and readable even if the rest of the record is damaged. The journal has it in
/// columns.
///
/// A decision that needs no more than this changes no more than this: of a
/// head in a [`ChangeSet`] are written `state`, `ended_at` and `wake`. All else
/// in it is as it was read, and changes with the whole record only.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeHead {
    pub node_run_id: NodeRunId,
    pub run_id: RunId,
    /// Of the row, counted up by each commit; never 0, for a head was read.
    pub version: u64,
    /// Where in the tree it stands.
    pub path: NodePath,
    pub kind: Option<NodeKind>,
    pub state: NodeRunState,
    /// When it was first handed to its executor.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Number of the current attempt to execute it.
    pub attempt: u32,
    /// An earlier attempt may still be at its executor.
    pub astray: bool,
    pub deadline: Option<Timestamp>,
    pub wake: Option<Wake>,
}

impl NodeHead {
    pub fn is_terminal(&self) -> bool {
        self.state.is_terminal()
    }
    /// What is to be done about it next.
    pub fn job(&self) -> Option<Job> {
        self.wake.as_ref().map(|wake| wake.job)
    }
}

impl RunRecord {
    pub fn id(&self) -> &RunId {
        &self.run.run_id
    }
    pub fn is_terminal(&self) -> bool {
        self.run.state.is_terminal()
    }
}

/// What a NodeRun waits for beside its deadline: why its wake-up is due when it
/// is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waits {
    /// While it is at an executor that reports by itself: when to ask whether
    /// that has been heard from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_at: Option<Timestamp>,
    /// It was begun again because its executor had not been heard from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub begun_again: bool,
    /// Since when it is held because the policy point cannot be asked about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
}

impl Waits {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do about a NodeRun, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    pub job: Job,
    /// Not before this.
    pub at: Timestamp,
    /// The process that is at it now. It need not be asked again while that
    /// process lives.
    pub owner: Option<WorkerId>,
    /// How often it was tried in vain: the backoff's exponent.
    pub tries: u32,
}

/// What a wake-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Hand the node to its executor.
    Dispatch,
    /// The node is at its executor: at `at` its time is up, or it is time to
    /// ask whether that executor has been heard from ([`Waits::check_at`]).
    Deadline,
    /// The node is over, but its executor has yet to be told.
    CancelExecutor,
}

impl Job {
    pub const ALL: [Self; 3] = [Self::Dispatch, Self::Deadline, Self::CancelExecutor];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Deadline => "deadline",
            Self::CancelExecutor => "cancel_executor",
        }
    }
}

/// A node's place in its run's tree: its ordinal number among all nodes of the
/// run, after those of its ancestors (`1.4.9`; the root is `1`). The node and
/// its descendants are those whose path begins with its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodePath(String);

impl NodePath {
    pub fn root() -> Self {
        Self("1".into())
    }
    /// The path of the child that is the run's `ordinal`th node.
    pub fn child(&self, ordinal: u64) -> Self {
        Self(format!("{}.{ordinal}", self.0))
    }
    /// Steps from the root, which has depth 0.
    pub fn depth(&self) -> u64 {
        self.0.bytes().filter(|&byte| byte == b'.').count() as u64
    }
    /// `other` is this node or one of its descendants.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Those of its ancestors, the nearest first.
    pub fn above(&self) -> impl Iterator<Item = &str> {
        self.0.rmatch_indices('.').map(|(end, _)| &self.0[..end])
    }
}

impl From<String> for NodePath {
    fn from(path: String) -> Self {
        Self(path)
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event and the place of the node that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    pub event: RunEvent,
    /// None for an event of the run as a whole.
    pub path: Option<NodePath>,
}

/// A try to execute a NodeRun that did not become the node's end. (One that
/// did needs no entry: the NodeRun says how it ended.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    pub node_run_id: NodeRunId,
    pub run_id: RunId,
    /// 1, 2, …
    pub attempt: u32,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
    pub outcome: AttemptOutcome,
}

/// What became of an attempt that did not end its node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Its answer came when the node was already over, or on to another
    /// attempt: kept as evidence only.
    Late { state: NodeRunState, error: Option<Error> },
    /// The process died while it was at the executor.
    Lost,
    /// The call gave no result, and the node was to be handed over again.
    Failed {
        error: Error,
        retry_at: Timestamp,
        /// Whether the executor may have begun the work, for all that is known.
        #[serde(default)]
        may_have_begun: bool,
    },
    /// The node is over, and its executor was given up: it never acknowledged
    /// that it was told to stop. What it may answer is fenced off.
    Fenced,
}

/// Everything that one decision writes: all of it or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeSet {
    pub run_id: RunId,
    /// When it was decided.
    pub at: Timestamp,
    /// The Run, if it changed (each event changes it: it counts them).
    pub run: Option<RunRecord>,
    /// The NodeRuns that are new (version 0) or changed.
    pub nodes: Vec<NodeRecord>,
    /// The NodeRuns of which only `state`, `ended_at` and `wake` changed: their
    /// records are neither read nor written for that. None is in `nodes` too.
    pub heads: Vec<NodeHead>,
    /// The events, with their `seq`, one after the other.
    pub events: Vec<EventRecord>,
    /// Attempts that came to nothing, by (node, attempt).
    pub attempts: Vec<AttemptRecord>,
    /// What of it came from the JARVIS stores, and is not owed to them.
    pub adopted: Adopted,
}

/// What of a change set the JARVIS stores have already, word for word. It is
/// written like all the rest, but not owed to them. What is not named here is
/// owed: a mistake costs a call, and nothing is lost.
///
/// Nobody says so, it is found by comparison: [`ChangeSet::adopted_from`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adopted {
    run: bool,
    nodes: BTreeSet<NodeRunId>,
    /// The events up to this `seq`.
    events_to: u64,
}

impl Adopted {
    pub fn has_run(&self) -> bool {
        self.run
    }
    pub fn has_node(&self, node: &NodeRunId) -> bool {
        self.nodes.contains(node)
    }
    pub fn has_event(&self, seq: u64) -> bool {
        seq <= self.events_to
    }
}

impl ChangeSet {
    /// The NodeRuns that it ends, or that are over already.
    pub fn ended(&self) -> impl Iterator<Item = &NodeRunId> {
        let nodes = self.nodes.iter().filter(|node| node.is_terminal()).map(NodeRecord::id);
        let heads = self.heads.iter().filter(|head| head.is_terminal()).map(|head| &head.node_run_id);
        nodes.chain(heads)
    }

    /// Notes what of this the JARVIS stores have: what is the same as theirs,
    /// and the events up to `events_to`, which they gave us.
    #[must_use]
    pub fn adopted_from(self, run: &Run, nodes: &[NodeRun], events_to: u64) -> Self {
        let theirs: HashMap<&NodeRunId, &NodeRun> =
            nodes.iter().map(|node| (&node.node_run_id, node)).collect();
        let same = self.nodes.iter().filter(|node| theirs.get(node.id()) == Some(&&node.node));
        let adopted = Adopted {
            run: self.run.as_ref().is_some_and(|record| record.run == *run),
            nodes: same.map(|node| node.id().clone()).collect(),
            events_to,
        };
        Self { adopted, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_contains_itself_and_its_descendants_only() {
        let node = NodePath::root().child(4);
        assert_eq!(node.as_str(), "1.4");
        assert_eq!((NodePath::root().depth(), node.child(9).depth()), (0, 2));
        assert!(node.contains(&node) && node.contains(&node.child(9)));
        assert!(!node.contains(&NodePath::root()));
        assert_eq!(node.child(19).above().collect::<Vec<_>>(), ["1.4", "1"]);
        assert!(!node.contains(&NodePath::root().child(41)));
    }
}
