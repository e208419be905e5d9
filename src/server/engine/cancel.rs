//! Ending what is live: a run by request, a run or a node by its deadline; and
//! notifying the executors.
//!
//! A cancel is final (G03). One change ends the run and every live node in it,
//! deepest first; nodes at an executor get a wake-up to notify it. No node of the
//! run can be dispatched after that commit, and late answers of executors go into
//! the attempt log.
//!
//! These decisions read and change heads only, so that the size of nodes, or
//! damage to them, does not matter.

use serde::{Deserialize, Serialize};

use super::{
    attempt::Attempt,
    audit::Audited,
    bookkeeping::head_only,
    command::{Cx, Decision, NodeView},
    draft::{Draft, Place},
    extensions::{CANCELED, Writer},
    failing::Failing,
    guard::HeadBefore,
    overdue::{self, WaitsFor},
};
use crate::{
    record::{Actor, AttemptOutcome, Job, NodeHead, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::{Error, NodeRunState, Run, RunState},
};

/// Who has canceled a run, and why, as the Run shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canceled {
    pub by: Actor,
    pub reason: String,
    pub at: Timestamp,
}

/// Cancels a run with all its live nodes (deepest first). A run that has ended
/// stays as it is. A reason is noted on the Run.
pub fn run_cancel(run: RunRecord, live: Vec<NodeHead>, reason: Option<&str>, cx: Cx<'_>) -> Decision<Run> {
    if run.is_terminal() {
        return Decision::unchanged(run.run);
    }
    let cx = cx.not_before(&run);
    let mut draft = Draft::new(run, cx);
    draft.audited = Audited::run(match reason {
        Some(reason) => format!("live node runs: {}: {reason}", live.len()),
        None => format!("live node runs: {}", live.len()),
    });
    if let Some(reason) = reason {
        let canceled = Canceled { by: cx.cause.actor().clone(), reason: reason.to_owned(), at: cx.now };
        let extensions = Writer::update(cx.rules, draft.run.run.extensions.take());
        draft.run.run.extensions = extensions.exactly(CANCELED, &canceled).done();
    }
    draft.cancel_all(live);
    draft.end_run(RunState::Canceled, None, None);
    let answer = draft.run.run.clone();
    Decision::commit(draft.into_changes(), answer)
}

/// Ends a run whose deadline has passed: its root fails, and everything below is
/// canceled. `root` is the record that gets the error; if it cannot be read, the
/// run ends without it.
pub fn run_expire(
    run: RunRecord,
    root: Option<NodeRecord>,
    mut live: Vec<NodeHead>,
    cx: Cx<'_>,
) -> Decision<()> {
    let expired = run.deadline.is_some_and(|deadline| deadline <= cx.now);
    if run.is_terminal() || !expired {
        return Decision::unchanged(());
    }
    let at = live.iter().position(|head| head.node_run_id == run.run.root_node_run_id);
    let head = at.map(|at| live.remove(at));
    let cx = cx.not_before(&run);
    let mut draft = Draft::new(run, cx);
    match (head, root) {
        (Some(_), Some(root)) => {
            draft.note_loaded(&root);
            let end = overdue::run_end(&root, cx.now);
            draft.end(root, live, end);
        }
        (Some(head), None) => {
            draft.cancel_all(live);
            draft.end_head(head.clone(), NodeRunState::Failed);
            let failing = Failing::of(&unread(), &head.node_run_id);
            draft.end_run(RunState::Failed, Some(Place::of_head(&head)), Some(&failing));
        }
        // A run ends with its root, so a live run has a live root. If that is ever
        // violated, the run must still end.
        (None, _) => {
            draft.cancel_all(live);
            let failing = Failing::of(&unread(), &draft.run.run.root_node_run_id);
            draft.end_run(RunState::Failed, None, Some(&failing));
        }
    }
    Decision::commit(draft.into_changes(), ())
}

/// The error of a run that ends without the record of its root.
fn unread() -> Error {
    Error::new("deadline_exceeded", "Run exceeded its deadline")
}

/// Fails a node whose deadline has passed, and cancels everything below it.
/// `waits_for`: what its dispatch waits for, if it is not at its executor.
pub fn node_expire(view: NodeView, waits_for: WaitsFor, cx: Cx<'_>) -> Decision<()> {
    let NodeView { run, node, live_below, payers: _ } = view;
    let expired = node.deadline.is_some_and(|deadline| deadline <= cx.now);
    if node.is_terminal() || !expired {
        return Decision::unchanged(());
    }
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    let end = overdue::node_end(&node, waits_for, cx.now);
    draft.end(node, live_below, end);
    Decision::commit(draft.into_changes(), ())
}

/// The result of notifying an executor that one of its nodes has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelNotification {
    /// The executor has acknowledged it.
    Acknowledged,
    /// The executor is to be notified again at this time.
    RetryAt(Timestamp),
    /// The executor is not notified again: a late answer is fenced off. With the
    /// reason.
    Abandoned(String),
}

/// Records what came of notifying the executor of a node that has ended.
pub fn cancel_notified(mut node: NodeHead, result: CancelNotification, cx: Cx<'_>) -> Decision<()> {
    let Some(Wake { job: Job::CancelExecutor, tries, .. }) = node.wake else {
        return Decision::unchanged(());
    };
    let before = HeadBefore::of(&node);
    let mut attempts = Vec::new();
    node.wake = match result {
        CancelNotification::Acknowledged => None,
        CancelNotification::RetryAt(at) => {
            Some(Wake { job: Job::CancelExecutor, at, claimed_by: None, tries: tries.saturating_add(1) })
        }
        CancelNotification::Abandoned(why) => {
            let attempt = Attempt::of_head(&node, cx.now);
            let record = attempt.record(&node.node_run_id, &node.run_id, AttemptOutcome::Fenced, cx.now);
            attempts.push(record.because(&why));
            None
        }
    };
    Decision::commit(head_only(&before, node, attempts, cx), ())
}
