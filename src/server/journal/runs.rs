//! What lists of runs and of their nodes are asked with, and what they have.
//!
//! **Invariant:** a page costs a bounded number of rows, however many of them pass
//! the filter: it may be shorter than its limit, and even empty, although more
//! follows. None has inputs, outputs or extensions.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    record::{AttemptRecord, Identity, Labels, NodeHead, NodePath},
    time::Timestamp,
    types::{NodeRunId, NodeTypeRef, RunId, RunState},
};

/// Orders runs by when they started, and those of one moment by their ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunPlace {
    pub started_at: Timestamp,
    pub run_id: RunId,
}

/// A Run as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    pub place: RunPlace,
    pub state: RunState,
    /// It is kept from starting work.
    pub held: bool,
    pub ended_at: Option<Timestamp>,
    /// The type of its root. `None`: unknown, in a run that was adopted.
    pub node_type: Option<(String, String)>,
    pub owner: Option<Identity>,
    /// The code of its root's error, if it ended with one.
    pub error_code: Option<String>,
    /// The run that it repeats.
    pub rerun_of: Option<RunId>,
    pub labels: Labels,
    /// Where runs that need attention are listed: why.
    pub attention: Option<Attention>,
}

/// Why a live run needs attention: the first of these that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attention {
    /// Work of it whose decision fails repeatedly was set aside.
    Parked,
    /// A node waits for an approval.
    Approval,
    /// A node was put back several times: its executor, the registry or the policy point
    /// is unavailable.
    Retrying,
    /// A node has been due for a while, and no executor has taken it.
    Waiting,
}

/// Says of an owner whether its runs are listed.
pub type OwnerRule = dyn Fn(Option<&Identity>) -> bool + Send + Sync;

/// Whose runs are listed.
#[derive(Clone)]
pub struct Visible(pub Arc<OwnerRule>);

/// The runs of a list: there is none without a rule of whom they may belong to.
#[derive(Clone, Debug)]
pub struct RunsFilter {
    pub visible: Visible,
    pub select: RunSelect,
    /// What waits, waits until now.
    pub now: Timestamp,
}

/// Selects runs; what is `None` selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSelect {
    pub state: Option<RunState>,
    /// The id of the root's type.
    pub node_type: Option<String>,
    pub tenant: Option<String>,
    /// The subject of the owner.
    pub owner: Option<String>,
    pub error_code: Option<String>,
    /// At this time or later.
    pub started_after: Option<Timestamp>,
    /// Before this time.
    pub started_before: Option<Timestamp>,
    pub id_prefix: Option<String>,
    /// Whether it is held.
    pub held: Option<bool>,
    /// All of these.
    pub labels: BTreeMap<String, String>,
    /// Only live runs that need attention, at most [`ATTENTION_MAX`] of them.
    pub attention: bool,
}

/// The most runs that are listed as needing attention.
pub const ATTENTION_MAX: usize = 1000;

/// A page of runs, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunsPage {
    pub runs: Vec<RunSummary>,
    /// Every run down to this place was examined: the next page starts behind it.
    pub scanned_to: Option<RunPlace>,
    /// Nothing that could pass was behind `scanned_to`.
    pub at_end: bool,
}

/// A page of the runs, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    pub by_state: BTreeMap<String, u64>,
    pub scanned_to: Option<RunPlace>,
    pub at_end: bool,
}

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub run_id: RunId,
    /// `seq` of its newest event; 0: it has none.
    pub last_seq: u64,
    pub ended: bool,
}

/// A NodeRun as the tree shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSummary {
    pub head: NodeHead,
    pub node_type: NodeTypeRef,
    /// The number of its children.
    pub children: u64,
    /// The NodeRun of another Run whose outputs it has.
    pub reused_from: Option<NodeRunId>,
}

/// A page of a tree, in the order of the paths as text: each node before its
/// descendants, and these before the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreePage {
    pub nodes: Vec<NodeSummary>,
    /// Where the next page starts; `None`: there is none.
    pub next: Option<NodePath>,
}

/// A page of the attempt log of a NodeRun, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptsPage {
    pub attempts: Vec<AttemptRecord>,
    /// The attempt behind which the next page starts; `None`: there is none.
    pub next: Option<u32>,
}

impl RunsFilter {
    /// Whether a run is selected, but for the times.
    pub(super) fn selects(&self, run: &RunSummary) -> bool {
        (self.visible.0)(run.owner.as_ref()) && self.select.selects(run)
    }

    /// Whether runs of an owner may be selected at all.
    pub(super) fn selects_owner(&self, owner: Option<&Identity>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        (self.visible.0)(owner)
            && is(&self.select.tenant, owner.and_then(|owner| owner.tenant.as_deref()))
            && is(&self.select.owner, owner.map(|owner| owner.subject.as_str()))
    }
}

impl RunSelect {
    /// Whether all runs of an owner in a state are selected or none.
    pub(super) fn is_by_owner_and_state(&self) -> bool {
        let Self {
            state: _,
            node_type,
            tenant: _,
            owner: _,
            error_code,
            started_after,
            started_before,
            id_prefix,
            held,
            labels,
            attention,
        } = self;
        node_type.is_none()
            && held.is_none()
            && error_code.is_none()
            && started_after.is_none()
            && started_before.is_none()
            && id_prefix.is_none()
            && labels.is_empty()
            && !attention
    }

    fn selects(&self, run: &RunSummary) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let owner = run.owner.as_ref();
        let prefix = self.id_prefix.as_deref().unwrap_or_default();
        self.state.is_none_or(|state| state == run.state)
            && self.held.is_none_or(|held| held == run.held)
            && run.place.run_id.as_str().starts_with(prefix)
            && is(&self.node_type, run.node_type.as_ref().map(|(id, _)| id.as_str()))
            && is(&self.tenant, owner.and_then(|owner| owner.tenant.as_deref()))
            && is(&self.owner, owner.map(|owner| owner.subject.as_str()))
            && is(&self.error_code, run.error_code.as_deref())
            && self.labels.iter().all(|(name, value)| run.labels.get(name) == Some(value))
    }
}

impl Visible {
    /// All runs.
    pub fn all() -> Self {
        Self(Arc::new(|_| true))
    }
}

impl fmt::Debug for Visible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Visible")
    }
}
