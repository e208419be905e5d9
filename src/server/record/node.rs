//! A NodeRun and the coordinator's bookkeeping about it.

use serde::{Deserialize, Serialize};

use super::{
    Approval, AttemptNote, Bindings, Hosts, Job, NodeBudget, NodePath, Repetition, ResultRetries, Wake,
};
use crate::{
    time::Timestamp,
    types::{
        ConstraintEnvelope, NodeKind, NodeRun, NodeRunId, NodeRunState, NodeTypeRef, RunId, SideEffectClass,
    },
};

/// A NodeRun with the bookkeeping that callers do not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The NodeRun as callers see it.
    pub node: NodeRun,
    /// Version of the row, counted up by each commit; 0 = not stored yet.
    #[serde(skip)]
    pub version: u64,
    /// Its place in the run's tree.
    pub path: NodePath,
    /// Children created under it so far.
    pub children: u64,
    /// Accepted create requests with at least one new child (contract D-09).
    pub rounds: u64,
    /// Number of the current attempt to execute it: the fencing number. 0 =
    /// never attempted.
    pub attempt: u32,
    /// When the current attempt began, if it is not the first: that began when the
    /// node did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_started_at: Option<Timestamp>,
    /// The attempt of its parent that it was made in; 1 in records of earlier
    /// programs. A composite with children is not attempted again.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub parent_attempt: u32,
    /// For the span of the current attempt, in a run whose trace is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<AttemptNote>>,
    /// Failed attempts that were followed by another.
    #[serde(default)]
    pub retries: u32,
    /// A superseded attempt may still run at its executor: its outcome is
    /// unknown.
    #[serde(default, rename = "astray")]
    pub superseded_attempt_may_run: bool,
    /// Where it was before, if its executor is a pool.
    #[serde(default, skip_serializing_if = "Hosts::is_nothing")]
    pub hosts: Hosts,
    /// The side effects that its NodeType declares; `None` = unknown.
    pub side_effect: Option<SideEffectClass>,
    /// Its NodeType declares that it may be executed twice.
    pub idempotent: bool,
    /// The part of its constraints that came from its NodeType. A repetition of
    /// the create request is recognized by it, even if the type has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_constraints: Option<ConstraintEnvelope>,
    /// When the node times out, whatever its state.
    pub deadline: Option<Timestamp>,
    /// Further reasons for its wake-up.
    #[serde(default, skip_serializing_if = "Waits::is_nothing")]
    pub waits: Waits,
    #[serde(default, skip_serializing_if = "NodeBudget::is_nothing")]
    pub budget: NodeBudget,
    #[serde(default, skip_serializing_if = "ResultRetries::is_nothing")]
    pub result_retries: ResultRetries,
    /// Its inputs could not be judged by the schema of its type when it was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inputs_unjudged: bool,
    /// What its children's types were chosen from, where that is limited.
    #[serde(default, skip_serializing_if = "Bindings::is_empty")]
    pub bindings: Bindings,
    /// What it has to do with the Run that its Run repeats.
    #[serde(default, skip_serializing_if = "Repetition::is_nothing")]
    pub repetition: Repetition,
    /// The coordinator's next action; `Some` in every state that is not
    /// terminal. The journal keeps it in columns, like the `state` and
    /// `ended_at` of the NodeRun: see [`NodeHead`].
    #[serde(skip)]
    pub wake: Option<Wake>,
    /// The members of the NodeRun that were left in the journal by the read.
    #[serde(skip)]
    pub unread: Unread,
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde needs")]
fn is_first(attempt: &u32) -> bool {
    *attempt == first()
}

/// Large members of a NodeRun that were not read with it: they appear to be
/// missing, but a commit of the record leaves them as they are stored.
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

impl NodeRun {
    /// A NodeRun in state `queued`: it has its identity and nothing else.
    pub fn queued(
        run_id: RunId,
        node_run_id: NodeRunId,
        node_type_ref: NodeTypeRef,
        kind: Option<NodeKind>,
    ) -> Self {
        Self {
            node_run_id,
            run_id,
            node_type_ref,
            kind,
            state: NodeRunState::Queued,
            parent_node_run_id: None,
            created_at: None,
            started_at: None,
            ended_at: None,
            inputs: None,
            outputs: None,
            output_artifacts: None,
            executor_binding: None,
            evaluation_result: None,
            recovery_actions: None,
            extensions: None,
        }
    }
}

impl NodeRecord {
    /// Whether an executor may be working on it.
    pub fn is_at_executor(&self) -> bool {
        is_at_executor(self.node.state)
    }

    /// The code of the error with which it ended, if there was one: as callers see it
    /// in its extensions.
    pub fn error_code(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Code {
            code: String,
        }
        let extensions = self.node.extensions.as_ref()?;
        let error =
            ["completion_error", "jarvis.completion_error"].iter().find_map(|key| extensions.raw(key))?;
        serde_json::from_str::<Code>(error).ok().map(|error| error.code)
    }

    /// A record that is not stored yet: no attempts, no children, nothing known
    /// about its type, no deadline and no wake-up.
    pub fn new(node: NodeRun, path: NodePath) -> Self {
        Self {
            node,
            version: 0,
            path,
            children: 0,
            rounds: 0,
            attempt: 0,
            attempt_started_at: None,
            parent_attempt: first(),
            note: None,
            retries: 0,
            superseded_attempt_may_run: false,
            hosts: Hosts::default(),
            side_effect: None,
            idempotent: false,
            type_constraints: None,
            deadline: None,
            waits: Waits::default(),
            budget: NodeBudget::default(),
            result_retries: ResultRetries::default(),
            inputs_unjudged: false,
            bindings: Bindings::default(),
            repetition: Repetition::default(),
            wake: None,
            unread: Unread::default(),
        }
    }

    pub fn id(&self) -> &NodeRunId {
        &self.node.node_run_id
    }

    pub fn is_terminal(&self) -> bool {
        self.node.state.is_terminal()
    }

    /// Whether the current attempt ends with the node: it is not over already, with
    /// another to follow.
    pub fn attempt_is_open(&self) -> bool {
        self.attempt > self.retries.saturating_add(u32::from(self.waits.restarted))
    }

    /// The part of it that cascades, claims and sweeps need.
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
            superseded_attempt_may_run: self.superseded_attempt_may_run,
            deadline: self.deadline,
            wake: self.wake.clone(),
        }
    }
}

/// A NodeRun without its content: small whatever the size of its inputs and
/// outputs, and readable even if the rest of the record is damaged. The journal
/// keeps it in columns.
///
/// A decision that needs no more than this changes no more than this: of a head
/// in a [`ChangeSet`](super::ChangeSet), the journal writes `state`, `ended_at`
/// and `wake`. The other fields are as they were read, and change only with the
/// whole record.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeHead {
    pub node_run_id: NodeRunId,
    pub run_id: RunId,
    /// Version of the row, counted up by each commit; never 0, because a head
    /// was read.
    pub version: u64,
    /// Its place in the run's tree.
    pub path: NodePath,
    pub kind: Option<NodeKind>,
    pub state: NodeRunState,
    /// When it was first handed to its executor.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Number of the current attempt to execute it.
    pub attempt: u32,
    /// A superseded attempt may still run at its executor.
    pub superseded_attempt_may_run: bool,
    pub deadline: Option<Timestamp>,
    pub wake: Option<Wake>,
}

/// Whether an executor may be working on a node in this state.
fn is_at_executor(state: NodeRunState) -> bool {
    match state {
        NodeRunState::Running => true,
        NodeRunState::Queued
        | NodeRunState::Assigned
        | NodeRunState::Succeeded
        | NodeRunState::Failed
        | NodeRunState::Canceled => false,
    }
}

impl NodeHead {
    /// Whether an executor may be working on it.
    pub fn is_at_executor(&self) -> bool {
        is_at_executor(self.state)
    }

    pub fn is_terminal(&self) -> bool {
        self.state.is_terminal()
    }

    /// The action that its wake-up stands for.
    pub fn job(&self) -> Option<Job> {
        self.wake.as_ref().map(|wake| wake.job)
    }
}

/// What a NodeRun waits for beside its deadline: the reason why its wake-up is
/// due when it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waits {
    /// While it is at an executor that reports by itself: when to check whether
    /// that executor is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_at: Option<Timestamp>,
    /// It was dispatched again because its executor was silent.
    #[serde(rename = "begun_again", skip_serializing_if = "std::ops::Not::not")]
    pub restarted: bool,
    /// Since when it is held because the PDP is unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
    /// The newest approval that it had to wait for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<Approval>>,
}

impl Waits {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}
