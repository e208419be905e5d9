//! Stopping what is alive: a run by request, a run or a node whose time is up.
//!
//! Cancel is sticky (G03). In one change the run is over and so is every live
//! node in it, deepest first; nodes that are at an executor get a wake-up to
//! tell it. Nothing of the run can be dispatched after that commit, and what
//! executors still answer is recorded as late.
//!
//! All of it is decided on heads, and changes no more than those: what the nodes
//! carry may be as large as it likes, or damaged.

use super::{
    Decision, Lease, NodeView, Rules,
    draft::{Draft, End, is_at_executor},
    hold,
};
use crate::{
    record::{NodeHead, NodeRecord, RunRecord},
    time::Timestamp,
    types::{Error, NodeRunState, Run, RunState},
};

/// Cancels a run with all its live nodes (deepest first). One that is over
/// stays as it is.
pub fn run_cancel(run: RunRecord, live: Vec<NodeHead>, lease: &Lease, now: Timestamp) -> Decision<Run> {
    if run.is_terminal() {
        return Decision::unchanged(run.run);
    }
    let mut draft = Draft::new(run, now);
    draft.cancel_all(live, lease);
    draft.end_run(RunState::Canceled, None);
    let answer = draft.run.run.clone();
    Decision { changes: Some(draft.into_changes()), answer }
}

/// Ends a run whose time is up: its root fails, everything below is canceled.
/// `root` is its record, which is to say why; without it, since it cannot be
/// read, the run ends all the same.
pub fn run_expire(
    run: RunRecord,
    root: Option<NodeRecord>,
    mut live: Vec<NodeHead>,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Decision<()> {
    let expired = run.deadline.is_some_and(|deadline| deadline <= now);
    if run.is_terminal() || !expired {
        return Decision::unchanged(());
    }
    let at = live.iter().position(|head| head.node_run_id == run.run.root_node_run_id);
    let head = at.map(|at| live.remove(at));
    let mut draft = Draft::new(run, now);
    match (head, root) {
        (Some(_), Some(root)) => {
            draft.loaded(&root);
            let end = deadline_exceeded(&root, "Run exceeded its deadline");
            draft.end(rules, root, live, end, lease);
        }
        (Some(head), None) => {
            draft.cancel_all(live, lease);
            let (id, path) = (head.node_run_id.clone(), head.path.clone());
            draft.end_head(head, NodeRunState::Failed, lease);
            draft.end_run(RunState::Failed, Some((&id, &path)));
        }
        // A run ends with its root, so a live run has a live root. Should that
        // ever fail to hold, the run must still end.
        (None, _) => {
            draft.cancel_all(live, lease);
            draft.end_run(RunState::Failed, None);
        }
    }
    Decision { changes: Some(draft.into_changes()), answer: () }
}

/// Fails a node whose time is up, with everything below it.
pub fn node_expire(view: NodeView, rules: &Rules, lease: &Lease, now: Timestamp) -> Decision<()> {
    let NodeView { run, node, live_below } = view;
    let expired = node.deadline.is_some_and(|deadline| deadline <= now);
    if node.is_terminal() || !expired {
        return Decision::unchanged(());
    }
    let mut draft = Draft::new(run, now);
    draft.loaded(&node);
    let end = deadline_exceeded(&node, "NodeRun exceeded its deadline");
    draft.end(rules, node, live_below, end, lease);
    Decision { changes: Some(draft.into_changes()), answer: () }
}

fn deadline_exceeded(node: &NodeRecord, message: &str) -> End {
    let error = Error { details: hold::details(node), ..Error::new("deadline_exceeded", message) };
    End { state: NodeRunState::Failed, tell_executor: is_at_executor(node), ..End::failed(error) }
}
