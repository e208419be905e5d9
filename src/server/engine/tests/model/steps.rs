//! The steps that the model and the engine take side by side.

use crate::{engine::Work, types::NodeRunState};

/// The sort of a node, as far as the rules depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Composite,
    /// An atomic node that may be executed twice.
    Reader,
    /// An atomic node that may not.
    Writer,
    /// A node of unknown kind.
    Odd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Allow,
    Deny,
    RequireApproval,
    /// Allowed, but there is no executor.
    Unconfigured,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(NodeRunState),
    CallFailed(Work),
}

/// The recovery action that comes with an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    None,
    Retry,
    /// Of the evaluated node.
    Abort,
    AbortOf(usize),
}

/// Limits of the run; depth, children, total, rounds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) depth: Option<u64>,
    pub(crate) children: Option<u64>,
    pub(crate) total: Option<u64>,
    pub(crate) rounds: Option<u64>,
}

/// Nodes are named by their place in [`Model::nodes`], which is the order in
/// which they were made.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create {
        parent: usize,
        specs: Vec<(Option<u8>, Sort)>,
    },
    Claim(usize),
    Begin(usize, Policy),
    /// Finishes the attempt that was that many before the current one.
    Finish(usize, u32, Outcome),
    Retry(usize),
    /// The circuit breaker of its executor is open.
    Defer(usize),
    Lost(usize),
    /// The last contact with its executor was that many seconds ago.
    Check(usize, u64),
    /// An operator holds the run, or releases it.
    HoldRun,
    ReleaseRun,
    /// Its dispatch is paused.
    SetAside(usize),
    /// Dispatch is resumed.
    Resume,
    /// The PDP is unavailable.
    Hold(usize),
    Complete(usize, NodeRunState),
    Evaluate(usize, Report),
    Notify(usize, bool),
    Cancel,
    ExpireRun,
    ExpireNode(usize),
    /// Nothing happens for that many seconds.
    Wait(u64),
    /// Repeats the start, or sends another one with the same id.
    StartAgain {
        same: bool,
    },
}
