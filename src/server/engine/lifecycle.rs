//! The allowed transitions of Runs and NodeRuns (contract §5).
//!
//! ```text
//! NodeRun: queued ─▶ assigned ─▶ running ─▶ succeeded | failed | canceled
//!             └──────────────────▶  ▲
//!          queued | assigned ───────────▶ succeeded | failed | canceled
//!
//! Run:     queued ─▶ running ─▶ succeeded | failed | canceled
//!          queued ─▶ failed | canceled
//! ```
//!
//! A composite may be completed by its executor before it is `running`; so
//! every live NodeRun state may become any terminal one. Terminal states
//! never change.

use crate::types::{NodeRunState, RunState};

/// Each live NodeRun state and what may follow it.
pub const NODE_RUN_TRANSITIONS: [(NodeRunState, &[NodeRunState]); 3] = {
    use NodeRunState::{Assigned, Canceled, Failed, Queued, Running, Succeeded};
    [
        (Queued, &[Assigned, Running, Succeeded, Failed, Canceled]),
        (Assigned, &[Running, Succeeded, Failed, Canceled]),
        (Running, &[Succeeded, Failed, Canceled]),
    ]
};

/// Each live Run state and what may follow it.
pub const RUN_TRANSITIONS: [(RunState, &[RunState]); 2] = {
    use RunState::{Canceled, Failed, Queued, Running, Succeeded};
    [(Queued, &[Running, Failed, Canceled]), (Running, &[Succeeded, Failed, Canceled])]
};

/// Whether a NodeRun in state `from` may be stored in state `to`; staying is
/// always allowed.
pub fn node_run_may(from: NodeRunState, to: NodeRunState) -> bool {
    from == to || NODE_RUN_TRANSITIONS.iter().any(|(state, next)| *state == from && next.contains(&to))
}

/// Whether a Run in state `from` may be stored in state `to`.
pub fn run_may(from: RunState, to: RunState) -> bool {
    from == to || RUN_TRANSITIONS.iter().any(|(state, next)| *state == from && next.contains(&to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_never_change() {
        for from in [NodeRunState::Succeeded, NodeRunState::Failed, NodeRunState::Canceled] {
            assert!(from.is_terminal());
            for (to, _) in NODE_RUN_TRANSITIONS {
                assert!(!node_run_may(from, to), "{from} -> {to}");
            }
            assert!(
                NODE_RUN_TRANSITIONS.iter().all(|(live, next)| !live.is_terminal() && next.contains(&from))
            );
        }
        for from in [RunState::Succeeded, RunState::Failed, RunState::Canceled] {
            assert!(from.is_terminal());
            for (to, _) in RUN_TRANSITIONS {
                assert!(!run_may(from, to), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn states_never_go_backwards() {
        use NodeRunState::{Assigned, Queued, Running};
        for (from, to) in [(Assigned, Queued), (Running, Queued), (Running, Assigned)] {
            assert!(!node_run_may(from, to), "{from} -> {to}");
        }
        assert!(!run_may(RunState::Running, RunState::Queued));
        assert!(!run_may(RunState::Queued, RunState::Succeeded), "a run that never ran did not succeed");
    }
}
