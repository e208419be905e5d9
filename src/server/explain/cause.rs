//! What there is to say about a record that does not move.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    time::Timestamp,
    types::{NodeRunId, NodeRunState, RunId},
};

/// One reason why a NodeRun is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    pub cause: Cause,
    /// The cause in words.
    pub sentence: String,
    /// Since when it holds, as far as that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it ends at the latest, or is looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who can end it.
    pub acts: Acts,
    /// The command for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Who can make a record move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acts {
    /// Nothing is left to do.
    Done,
    /// The coordinator, by itself.
    Coordinator,
    /// The executor that has the node.
    Executor,
    /// What runs below the node.
    Children,
    /// A person with the role of an operator.
    Operator,
}

/// What holds a NodeRun up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Cause {
    /// It has ended.
    Over {
        state: NodeRunState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error_code: Option<String>,
    },
    /// It has ended without being executed: it has the outputs of a node of the run that
    /// its run repeats.
    Reused { node_run_id: NodeRunId },
    /// It has ended, and its executor has yet to acknowledge that.
    NotifyingExecutor { tries: u32 },
    /// Its executor has it.
    AtExecutor { executor: Option<String>, attempt: u32 },
    /// It is a composite with live nodes below it.
    WaitingForChildren {
        live: u64,
        /// There may be more than were looked at.
        more: bool,
        oldest: Option<NodeRunId>,
    },
    /// It is about to be dispatched.
    DispatchDue,
    /// The policy point is being asked about it.
    AskingPolicy,
    /// It waits for a free slot of its executor.
    WaitingForSlot { executor: Option<String> },
    /// This worker has as many nodes in hand as it may, of all runs or of this one.
    QueueFull { executor: Option<String> },
    /// Calls to its executor have failed, and the circuit breaker is open.
    BreakerOpen { executor: Option<String> },
    /// An attempt has failed, and another one follows.
    BackingOff { retries: u32, last_error: Option<String> },
    /// Something that its dispatch needs was unavailable.
    Postponed { tries: u32 },
    /// The policy point is unavailable.
    PolicyUnavailable,
    /// An approval must be given first.
    WaitingForApproval { approval_id: String },
    /// Its run is held: it starts no work.
    Held { run_id: RunId, by: String, reason: String },
    /// Its dispatch is paused, with that of others.
    DispatchPaused {
        /// `all`, `executor`, `node_type` or `tenant`.
        scope: String,
        /// Of what is paused; absent if everything is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        by: String,
        reason: String,
    },
    /// Dispatch is switched off.
    DispatchOff,
    /// Deciding about it has failed repeatedly.
    Parked { job: String, error: String },
    /// Another worker has claimed it.
    AtWorker { worker: String },
    /// A worker had claimed it and lost it: the next sweep takes it up.
    LostByWorker,
    /// It has no wake-up, which the journal's schema rules out.
    NoWakeUp,
}

impl Cause {
    /// Its code, as answers have it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Over { .. } => "over",
            Self::Reused { .. } => "reused",
            Self::NotifyingExecutor { .. } => "notifying_executor",
            Self::AtExecutor { .. } => "at_executor",
            Self::WaitingForChildren { .. } => "waiting_for_children",
            Self::DispatchDue => "dispatch_due",
            Self::Held { .. } => "held",
            Self::DispatchPaused { .. } => "dispatch_paused",
            Self::AskingPolicy => "asking_policy",
            Self::WaitingForSlot { .. } => "waiting_for_slot",
            Self::QueueFull { .. } => "queue_full",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::BackingOff { .. } => "backing_off",
            Self::Postponed { .. } => "postponed",
            Self::PolicyUnavailable => "policy_unavailable",
            Self::WaitingForApproval { .. } => "waiting_for_approval",
            Self::DispatchOff => "dispatch_off",
            Self::Parked { .. } => "parked",
            Self::AtWorker { .. } => "at_worker",
            Self::LostByWorker => "lost_by_worker",
            Self::NoWakeUp => "no_wake_up",
        }
    }

    /// Who can end it.
    pub(super) fn acts(&self) -> Acts {
        match self {
            Self::Over { .. } | Self::Reused { .. } => Acts::Done,
            Self::AtExecutor { .. } => Acts::Executor,
            Self::WaitingForChildren { .. } => Acts::Children,
            Self::NotifyingExecutor { .. }
            | Self::DispatchDue
            | Self::AskingPolicy
            | Self::WaitingForSlot { .. }
            | Self::QueueFull { .. }
            | Self::BreakerOpen { .. }
            | Self::BackingOff { .. }
            | Self::Postponed { .. }
            | Self::AtWorker { .. }
            | Self::LostByWorker => Acts::Coordinator,
            Self::PolicyUnavailable
            | Self::WaitingForApproval { .. }
            | Self::Held { .. }
            | Self::DispatchPaused { .. }
            | Self::DispatchOff
            | Self::Parked { .. }
            | Self::NoWakeUp => Acts::Operator,
        }
    }

    pub(super) fn reason(self, since: Option<Timestamp>, until: Option<Timestamp>) -> Reason {
        Reason {
            sentence: self.to_string(),
            acts: self.acts(),
            command: self.command(),
            cause: self,
            since,
            until,
        }
    }

    /// The command by which a person can end it, or look further.
    fn command(&self) -> Option<String> {
        match self {
            Self::WaitingForApproval { approval_id } => {
                Some(format!("jarvis-run-coordinator approvals approve {approval_id} --reason TEXT"))
            }
            Self::Held { run_id, .. } => {
                Some(format!("jarvis-run-coordinator runs release {run_id} --reason TEXT"))
            }
            Self::DispatchPaused { scope, name, .. } => {
                let option = scope.replace('_', "-");
                let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
                Some(format!("jarvis-run-coordinator dispatch resume --{option}{name} --reason TEXT"))
            }
            Self::Parked { .. } | Self::NoWakeUp => Some("jarvis-run-coordinator journal check".into()),
            Self::Over { .. }
            | Self::Reused { .. }
            | Self::NotifyingExecutor { .. }
            | Self::AtExecutor { .. }
            | Self::WaitingForChildren { .. }
            | Self::DispatchDue
            | Self::AskingPolicy
            | Self::WaitingForSlot { .. }
            | Self::QueueFull { .. }
            | Self::BreakerOpen { .. }
            | Self::BackingOff { .. }
            | Self::Postponed { .. }
            | Self::PolicyUnavailable
            | Self::DispatchOff
            | Self::AtWorker { .. }
            | Self::LostByWorker => None,
        }
    }
}

/// A command of each kind that a person can be shown.
#[cfg(test)]
pub(crate) fn suggested_commands() -> Vec<String> {
    let waits = Cause::WaitingForApproval { approval_id: "node_run_1.1".into() };
    let parked = Cause::Parked { job: "dispatch".into(), error: "why".into() };
    [waits, parked, Cause::NoWakeUp].iter().filter_map(Cause::command).collect()
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |executor: &Option<String>| {
            executor.as_ref().map_or_else(|| "its executor".into(), |name| format!("the executor {name}"))
        };
        match self {
            Self::Over { state, error_code: None } => write!(f, "The node has ended: {state}"),
            Self::Over { state, error_code: Some(code) } => {
                write!(f, "The node has ended: {state}, with {code}")
            }
            Self::Reused { node_run_id } => {
                write!(f, "It was not executed: its outputs are those of {node_run_id}")
            }
            Self::NotifyingExecutor { tries: 0 } => {
                f.write_str("Its executor is being notified that the node has ended")
            }
            Self::NotifyingExecutor { tries } => {
                write!(f, "Its executor has not acknowledged the end of the node after {tries} tries")
            }
            Self::AtExecutor { executor, attempt } => {
                write!(f, "Attempt {attempt} is at {}, which has not reported yet", named(executor))
            }
            Self::WaitingForChildren { live, more, oldest } => {
                write!(f, "Live nodes below it: {live}{}", if *more { " or more" } else { "" })?;
                oldest.as_ref().map_or(Ok(()), |oldest| write!(f, ", the oldest is {oldest}"))
            }
            Self::DispatchDue => f.write_str("The node is due and is dispatched next"),
            Self::AskingPolicy => f.write_str("The policy decision point is being asked about the node"),
            Self::WaitingForSlot { executor } => {
                write!(f, "The node waits for a free slot of {}", named(executor))
            }
            Self::QueueFull { executor } => {
                write!(f, "The queue of {} is full, or the run has its share of it", named(executor))
            }
            Self::BreakerOpen { executor } => {
                write!(f, "The circuit breaker of {} is open", named(executor))
            }
            Self::BackingOff { retries, last_error: None } => {
                write!(f, "Retry {retries} is scheduled")
            }
            Self::BackingOff { retries, last_error: Some(error) } => {
                write!(f, "Retry {retries} is scheduled, because the last attempt failed: {error}")
            }
            Self::Postponed { tries } => {
                write!(f, "Something that the dispatch needs was unavailable {tries} times")
            }
            Self::PolicyUnavailable => {
                f.write_str("The policy decision point is unavailable: the node is held")
            }
            Self::WaitingForApproval { approval_id } => {
                write!(f, "The node waits for the approval {approval_id}")
            }
            Self::Held { run_id: _, by, reason } => write!(f, "The run is held by {by}: {reason}"),
            Self::DispatchPaused { scope, name: None, by, reason } => {
                write!(f, "Dispatch is paused for {scope} by {by}: {reason}")
            }
            Self::DispatchPaused { scope, name: Some(name), by, reason } => {
                write!(f, "Dispatch is paused for {scope} {name} by {by}: {reason}")
            }
            Self::DispatchOff => f.write_str("Dispatch is switched off (AUTO_DISPATCH)"),
            Self::Parked { job, error } => {
                write!(f, "The job {job} has failed repeatedly and is parked: {error}")
            }
            Self::AtWorker { worker } => write!(f, "Worker {worker} has claimed the node"),
            Self::LostByWorker => f.write_str("The worker lost the node: the next sweep takes it up"),
            Self::NoWakeUp => f.write_str("The node has no wake-up: see `journal check`"),
        }
    }
}
