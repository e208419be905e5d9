//! Runs that an operator holds: they start no work until they are released.
//!
//! ```text
//!   hold ────▶ mark on the Run, Dispatch ──▶ SetAside    of each live node that waits for its dispatch
//!                               SetAside ──▶ SetAside    of what a pause has set aside: it must not end meanwhile
//!   release ─▶ no mark,         SetAside ──▶ Dispatch    now
//!   until ───▶ the same, by the coordinator
//! ```
//!
//! What is at an executor goes on there; its completions, children and failures are
//! taken, and a dispatch that follows from them is set aside with them. Deadlines of
//! nodes and of the run go on.
//!
//! **Invariants.** No node of a held run waits for [`Job::Dispatch`]: `Draft` and
//! `bookkeeping` set it aside, whatever rule has put it there. So a claim that was
//! made before the hold finds nothing to dispatch, and no claim is made later. Setting
//! aside costs no attempt, no retry and no budget.

use super::{
    audit::Audited,
    bookkeeping::awaits,
    command::{Cx, Decision},
    draft::Draft,
    extensions::{self, Writer},
    guard::HeadBefore,
    rejection::Rejection,
};
use crate::{
    record::{Hold, Job, NodeHead, NodeRecord, RunRecord, Wake},
    time::Timestamp,
    types::Run,
};

/// The command to hold a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRun {
    pub reason: String,
    /// When it is released by itself.
    pub until: Option<Timestamp>,
}

/// What became of the command.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldRun {
    pub run: Run,
    pub hold: Option<Hold>,
}

impl HeldRun {
    pub fn of(record: &RunRecord) -> Self {
        Self { run: record.run.clone(), hold: record.hold.clone() }
    }
}

/// Holds a run. If it is held, the hold is changed; the same hold again changes
/// nothing.
pub fn run_hold(
    run: RunRecord,
    live: Vec<NodeHead>,
    command: &HoldRun,
    cx: Cx<'_>,
) -> Result<Decision<HeldRun>, Rejection> {
    if run.is_terminal() {
        return Err(Rejection::RunTerminal(run.run.state));
    }
    let HoldRun { reason, until } = command.clone();
    let since = run.hold.as_ref().map_or(cx.now, |hold| hold.since);
    let hold = Hold { since, by: cx.cause.actor().clone(), reason, until };
    if run.hold.as_ref() == Some(&hold) {
        return Ok(Decision::unchanged(HeldRun::of(&run)));
    }
    let cx = cx.not_before(&run);
    let was_held = run.hold.is_some();
    let mut draft = Draft::new(run, cx);
    draft.audited = Audited::run(hold.reason.as_str());
    mark(&mut draft, Some(hold));
    for head in live.into_iter().filter(|head| may_be_dispatched(head, was_held)) {
        let wake = aside(head.wake.as_ref(), head.deadline, cx.now);
        reschedule(&mut draft, head, wake);
    }
    let answer = HeldRun::of(&draft.run);
    Ok(Decision::commit(draft.into_changes(), answer))
}

/// Releases a run. One that is not held stays as it is.
pub fn run_release(
    run: RunRecord,
    live: Vec<NodeHead>,
    reason: &str,
    cx: Cx<'_>,
) -> Result<Decision<HeldRun>, Rejection> {
    if run.is_terminal() {
        return Err(Rejection::RunTerminal(run.run.state));
    }
    if run.hold.is_none() {
        return Ok(Decision::unchanged(HeldRun::of(&run)));
    }
    Ok(release(run, live, reason, cx))
}

/// Releases a run whose hold ends by itself, if that time has come. Answers whether
/// it has.
pub fn hold_elapsed(run: RunRecord, live: Vec<NodeHead>, cx: Cx<'_>) -> Decision<bool> {
    let has_elapsed = run.hold.as_ref().and_then(|hold| hold.until).is_some_and(|until| until <= cx.now);
    if run.is_terminal() || !has_elapsed {
        return Decision::unchanged(false);
    }
    release(run, live, "the hold has ended", cx).answering(true)
}

fn release(run: RunRecord, live: Vec<NodeHead>, reason: &str, cx: Cx<'_>) -> Decision<HeldRun> {
    let cx = cx.not_before(&run);
    let mut draft = Draft::new(run, cx);
    draft.audited = Audited::run(reason);
    mark(&mut draft, None);
    for head in live.into_iter().filter(|head| head.job() == Some(Job::SetAside)) {
        // For any worker: there may be more of them than fit into its memory.
        let tries = head.wake.as_ref().map_or(0, |wake| wake.tries);
        reschedule(&mut draft, head, Wake { job: Job::Dispatch, at: cx.now, claimed_by: None, tries });
    }
    let answer = HeldRun::of(&draft.run);
    Decision::commit(draft.into_changes(), answer)
}

/// Whether a node waits for its dispatch, or may wait for it again by the time that the
/// decision is committed: the end of a pause resumes what is set aside of runs that are not
/// held, and that has to be a conflict.
fn may_be_dispatched(head: &NodeHead, was_held: bool) -> bool {
    match head.job() {
        Some(Job::Dispatch) => true,
        Some(Job::SetAside) => !was_held,
        Some(Job::Deadline | Job::CancelExecutor | Job::Approval) | None => false,
    }
}

/// Gives a live node of which only the head was read another wake-up.
fn reschedule(draft: &mut Draft<'_>, mut head: NodeHead, wake: Wake) {
    let before = HeadBefore::of(&head);
    head.wake = Some(wake);
    before.may_become(&head);
    draft.put_head(head);
}

/// Notes on the run that it is held, or that it is not any more.
pub(super) fn mark(draft: &mut Draft<'_>, hold: Option<Hold>) {
    if draft.run.hold.is_some() != hold.is_some() {
        draft.held = Some(hold.is_some());
    }
    draft.run.run.extensions = Writer::update(draft.cx.rules, draft.run.run.extensions.take())
        .exactly_or_not(extensions::HELD, hold.as_ref())
        .done();
    draft.run.hold = hold;
    draft.run_changed();
}

/// Sets the dispatch of a node of a held run aside.
pub(super) fn set_aside_if_held(run: &RunRecord, node: &mut NodeRecord, now: Timestamp) {
    if run.hold.is_some() && awaits(node, Job::Dispatch) {
        set_aside(node, now);
    }
}

/// Sets the dispatch of a node aside.
pub(super) fn set_aside(node: &mut NodeRecord, now: Timestamp) {
    node.wake = Some(aside(node.wake.as_ref(), node.deadline, now));
}

fn aside(wake: Option<&Wake>, deadline: Option<Timestamp>, now: Timestamp) -> Wake {
    let tries = wake.map_or(0, |wake| wake.tries);
    // A live node has a deadline.
    Wake { job: Job::SetAside, at: deadline.unwrap_or(now), claimed_by: None, tries }
}
