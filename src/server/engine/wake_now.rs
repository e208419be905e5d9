//! Trying now what waits for a time: an operator knows that the reason is gone.
//!
//! ```text
//!   Dispatch, CancelExecutor, later ──▶ due now
//!   any job, parked ──────────────────▶ due now
//!   any other wake-up ────────────────▶ as it is
//! ```
//!
//! Nothing else of the node changes: no attempt, no retry is granted, and what made it
//! wait (a circuit breaker, a policy point) still has a say.

use super::{
    audit::Audited,
    bookkeeping::head_asked,
    command::{Cx, Decision},
    guard::HeadBefore,
};
use crate::record::{Job, NodeHead, Wake};

/// Makes the wake-up of a node due now. Answers whether it waits for a time, so that
/// this is possible. `parked`: its job is set aside because it failed repeatedly.
pub fn node_wake(mut node: NodeHead, parked: bool, reason: &str, cx: Cx<'_>) -> Decision<bool> {
    let Some(wake) = node.wake.clone().filter(|wake| wake.at > cx.now && wake.claimed_by.is_none()) else {
        return Decision::unchanged(false);
    };
    let waits_for_a_time = match wake.job {
        Job::Dispatch | Job::CancelExecutor => true,
        // That time is the deadline, or when a person has to have decided.
        Job::Deadline | Job::Approval | Job::SetAside => parked,
    };
    if !waits_for_a_time {
        return Decision::unchanged(false);
    }
    let before = HeadBefore::of(&node);
    node.wake = Some(Wake { at: cx.now, ..wake });
    let audited = Audited::node(&node.node_run_id, reason);
    Decision::commit(head_asked(&before, node, audited, cx), true)
}
