//! Changes of a record's bookkeeping: they make no event, so the run's own
//! record stays as it is.

use super::{
    audit::Audited,
    command::{Claim, Cx},
    guard::{HeadBefore, NodeBefore},
    run_hold,
};
use crate::{
    record::{AttemptRecord, ChangeSet, Job, NodeHead, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::RunId,
};

/// Makes a wake-up for a job that was not tried yet.
pub(super) fn wake(job: Job, at: Timestamp, claim: Claim<'_>) -> Wake {
    Wake { job, at, claimed_by: claim.cloned(), tries: 0 }
}

/// Whether the node's wake-up is for this job. If it is not, the job has been
/// done in the meantime.
pub(super) fn awaits(node: &NodeRecord, job: Job) -> bool {
    node.wake.as_ref().is_some_and(|wake| wake.job == job)
}

/// Moves a node's dispatch to `at`, at the latest to its deadline, for any
/// worker to claim. Returns that time; `None` if the node does not wait for its
/// dispatch (any more).
pub(super) fn put_back(node: &mut NodeRecord, at: Timestamp) -> Option<Timestamp> {
    let Some(Wake { job: Job::Dispatch, tries, .. }) = node.wake else { return None };
    let at = node.deadline.map_or(at, |deadline| deadline.min(at));
    node.wake = Some(Wake { job: Job::Dispatch, at, claimed_by: None, tries: tries.saturating_add(1) });
    Some(at)
}

/// Changes one node. Of a held run, it is not dispatched.
pub(super) fn node_only(run: &RunRecord, before: &NodeBefore, mut node: NodeRecord, cx: Cx<'_>) -> ChangeSet {
    run_hold::set_aside_if_held(run, &mut node, cx.now);
    before.may_become(&node);
    ChangeSet { nodes: vec![node], ..empty(run.id(), cx) }.owing_all()
}

/// Changes the head of one node, and adds to the attempt log.
pub(super) fn head_only(
    before: &HeadBefore,
    head: NodeHead,
    attempts: Vec<AttemptRecord>,
    cx: Cx<'_>,
) -> ChangeSet {
    before.may_become(&head);
    let empty = empty(&head.run_id, cx);
    ChangeSet { heads: vec![head], attempts, ..empty }.owing_all()
}

/// Changes the head of one node, as a caller has asked for.
pub(super) fn head_asked(before: &HeadBefore, head: NodeHead, audited: Audited, cx: Cx<'_>) -> ChangeSet {
    before.may_become(&head);
    let run = head.run_id.clone();
    let audit = audited.record(&run, &[], cx).into_iter().collect();
    ChangeSet { heads: vec![head], audit, ..ChangeSet::new(run, cx.now) }.owing_all()
}

/// Adds to the attempt log.
pub(super) fn attempt_only(run: &RunId, attempt: AttemptRecord, cx: Cx<'_>) -> ChangeSet {
    ChangeSet { attempts: vec![attempt], ..empty(run, cx) }
}

/// Nothing but the audit record, if the cause has one.
fn empty(run: &RunId, cx: Cx<'_>) -> ChangeSet {
    let audit = Audited::default().record(run, &[], cx);
    ChangeSet { audit: audit.into_iter().collect(), ..ChangeSet::new(run.clone(), cx.now) }
}
