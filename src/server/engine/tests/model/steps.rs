//! The steps that the model and the engine take side by side.

use crate::{engine::Work, types::NodeRunState};

/// What a node is, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Composite,
    /// May be executed twice.
    Reader,
    /// May not.
    Writer,
    /// Of unknown kind.
    Odd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Allow,
    Deny,
    RequireApproval,
    /// Allowed, but there is nobody to execute it.
    Unconfigured,
}

/// How an attempt comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered(NodeRunState),
    CallFailed(Work),
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
    /// Of the attempt that was so many before the current one.
    Finish(usize, u32, Outcome),
    Retry(usize),
    /// Its executor is known to be down.
    Defer(usize),
    Lost(usize),
    /// Its executor has not been heard from for so many seconds.
    Check(usize, u64),
    /// The policy point cannot be asked.
    Hold(usize),
    Complete(usize, NodeRunState),
    Evaluate(usize, bool),
    Told(usize, bool),
    Cancel,
    ExpireRun,
    ExpireNode(usize),
    /// Nothing happens for so many seconds.
    Wait(u64),
    /// The same start again, or another one under the same id.
    StartAgain {
        same: bool,
    },
}
