//! The end of an attempt: a result, a failed call, or the loss of the worker
//! that was waiting for it (contract §9.3, §9.4).
//!
//! ```text
//!              ┌─ answered ─────────────────────▶ succeeded | failed | canceled
//!              ├─ answered: failed, may repeat ─▶ running, to be dispatched again (`retry`)
//!   running ───┤
//!              ├─ call failed, or worker lost ──▶ running, to be dispatched again (`retry`)
//!              │                            └───▶ failed
//!              └─ superseded attempt ───────────▶ attempt log only
//! ```

use super::{
    attempt::{Applied, Attempt, AttemptResult, Work},
    bookkeeping::{attempt_only, awaits, node_only, wake},
    command::{Cx, Decision, NodeView, Rules},
    draft::{Draft, End},
    extensions::{OUTPUT_VIOLATIONS, Writer},
    guard::NodeBefore,
    history, ledger, retry, silence,
};
use crate::{
    record::{AttemptOutcome, Job, NodeRecord},
    types::{Error, JsonObject, NodeKind, NodeRunState, RunEventType},
};

/// Applies the result of a node's attempt (contract §9.3, §9.4), or records it
/// in the attempt log if the attempt was superseded.
pub fn attempt_finish(
    view: NodeView,
    attempt: Attempt,
    result: AttemptResult,
    cx: Cx<'_>,
) -> Decision<Applied> {
    if view.node.is_terminal() || view.node.attempt != attempt.number {
        return late(view, attempt, result, cx);
    }
    let NodeView { run, mut node, live_below, payers } = view;
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    let end = match result {
        // Recorded before, by a commit whose response was lost.
        AttemptResult::Answered { .. } if node.result_retries.last == attempt.number => {
            return Decision::unchanged(Applied::Yes);
        }
        AttemptResult::Answered { state, outputs, output_artifacts, error, usage, violations } => {
            let evaluation = history::automatic(state);
            draft.event(RunEventType::NodeEvaluated, Some(&node), JsonObject::of(&evaluation));
            history::add_automatic(&mut node, evaluation, cx);
            ledger::record_usage(&mut node, usage.as_ref(), cx.rules);
            if let Some(at) = retry::after_result(&draft.run, &node, state, error.as_ref(), cx) {
                ledger::settle_for_another(&mut draft, &mut node, &payers, usage.as_ref());
                retry::schedule_after_result(&mut draft, node, attempt, error, at);
                return Decision::commit(draft.into_changes(), Applied::Yes);
            }
            ledger::settle(&mut draft, &mut node, &payers, usage.as_ref());
            note_violations(&mut node, violations.as_ref(), cx.rules);
            End { state, outputs, output_artifacts, error, notify_executor: false }
        }
        // Recorded before, by a commit whose response was lost, or the attempt
        // has been declared lost: its dispatch is due again already.
        AttemptResult::Failed(_) if !awaits(&node, Job::Deadline) => {
            return Decision::unchanged(Applied::Yes);
        }
        // The executor has started although the call failed, and will report.
        AttemptResult::Failed(failed) if retry::has_started(&node, &failed) => {
            return Decision::unchanged(Applied::Yes);
        }
        AttemptResult::Failed(failed) => match retry::retry_at(&node, &failed, cx) {
            Some(at) => {
                retry::schedule(&mut draft, node, attempt, &failed, at);
                return Decision::commit(draft.into_changes(), Applied::Yes);
            }
            None => {
                spend(&mut draft, &mut node, &payers, failed.work);
                retry::final_failure(&node, failed)
            }
        },
    };
    draft.end(node, live_below, end);
    Decision::commit(draft.into_changes(), Applied::Yes)
}

/// Notes how outputs violate the schema of their type.
pub(super) fn note_violations(node: &mut NodeRecord, violations: Option<&JsonObject>, rules: &Rules) {
    if violations.is_some() {
        let extensions = Writer::update(rules, node.node.extensions.take());
        node.node.extensions = extensions.noted(OUTPUT_VIOLATIONS, violations).done();
    }
}

/// A result that comes too late changes nothing but the accounts: the node has
/// ended, and its allowance was still reserved.
fn late(view: NodeView, attempt: Attempt, result: AttemptResult, cx: Cx<'_>) -> Decision<Applied> {
    let NodeView { run, mut node, live_below: _, payers } = view;
    let is_awaited = node.attempt == attempt.number && node.budget.reserved.is_some() && !run.is_terminal();
    let (state, error, spent) = match result {
        AttemptResult::Answered { state, error, usage, .. } => (state, error, Ok(usage)),
        AttemptResult::Failed(failed) => (NodeRunState::Failed, Some(failed.error), Err(failed.work)),
    };
    let outcome = AttemptOutcome::Late { state, error };
    if !is_awaited {
        let record = attempt.record(node.id(), run.id(), outcome, cx.now);
        return Decision::commit(attempt_only(run.id(), record, cx), Applied::Late);
    }
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    draft.attempt(&node, attempt, outcome);
    match spent {
        Ok(usage) => ledger::settle(&mut draft, &mut node, &payers, usage.as_ref()),
        Err(work) => spend(&mut draft, &mut node, &payers, work),
    }
    draft.put(node);
    Decision::commit(draft.into_changes(), Applied::Late)
}

/// The allowance of a node whose attempts gave no result: it is spent, unless
/// its executor has certainly not begun.
fn spend(draft: &mut Draft<'_>, node: &mut NodeRecord, payers: &[NodeRecord], work: Work) {
    match work {
        Work::NotStarted if !node.superseded_attempt_may_run => ledger::release(draft, node, payers),
        Work::NotStarted | Work::Unanswered | Work::Uncertain | Work::Rejected => {
            ledger::settle(draft, node, payers, None);
        }
    }
}

/// Decides about an attempt whose worker is gone, so that the executor's
/// progress is unknown. An atomic node is dispatched again only if a second
/// execution does no harm.
///
/// A composite's executor may have given up because the coordinator did not
/// answer. As long as it has no children it is assigned again: an executor that
/// is at work on it ignores the repetition. A composite with children is only
/// waited for, because its executor would start its plan from the beginning.
///
/// Each lost attempt counts as a failed one, so that a node which kills the
/// process on each dispatch does not do so forever. After the last attempt an
/// atomic node fails; a composite is waited for.
pub fn attempt_lost(view: NodeView, cx: Cx<'_>) -> Decision<()> {
    if !awaits(&view.node, Job::Deadline) {
        return Decision::unchanged(());
    }
    let NodeView { run, mut node, live_below, payers } = view;
    let again = retry::may_repeat(&node) && node.retries < cx.rules.max_retries;
    let only_waits = node.children > 0 || (!again && node.node.kind == Some(NodeKind::Composite));
    if only_waits {
        let before = NodeBefore::of(&node);
        silence::await_executor(&mut node, cx.unclaimed());
        return Decision::commit(node_only(&run, &before, node, cx), ());
    }
    let attempt = Attempt::of(&node, cx.now);
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &node, cx);
    draft.attempt(&node, attempt, AttemptOutcome::Lost);
    if again {
        node.retries += 1;
        let lost = "The coordinator stopped while the node was at its executor";
        retry::record(&mut draft, &mut node, attempt, "attempt_lost", lost, cx.now);
        retry::supersede_running_attempt(&mut node);
        node.wake = Some(wake(Job::Dispatch, cx.now, cx.claim));
        draft.put(node);
    } else {
        let why = if retry::may_repeat(&node) {
            "and no retry is left"
        } else {
            "and it may not be executed twice"
        };
        let message = format!("The coordinator stopped while the node was at its executor, {why}");
        let mut error = Error::new("executor_outcome_unknown", message);
        error.details = Some([("attempt", attempt.number.into())].into());
        ledger::settle(&mut draft, &mut node, &payers, None);
        draft.end(node, live_below, End { notify_executor: true, ..End::failed(error) });
    }
    Decision::commit(draft.into_changes(), ())
}
