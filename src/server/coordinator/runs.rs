//! Starting, reading and cancelling runs (contract §6.3 to §6.5).

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use slog::warn;

use super::{
    Coordinator,
    admission::{Start, digest},
    error::{CoordinatorError, FieldError},
};
use crate::{
    auth::Principal,
    engine::{self, BoundedStart, Cause, Decision, PreparedStart, StartRun},
    record::{Identity, Operation, RerunOf, RunTrace},
    time::within,
    traces::{RequestScope, current},
    types::{Extensions, NodeRunId, Run, RunId, RunStartRequest},
};

/// A run that is to be started.
pub(super) struct NewRun {
    pub(super) request: RunStartRequest,
    pub(super) owner: Identity,
    pub(super) run_id: RunId,
    /// Digest of what was asked for.
    pub(super) digest: String,
    /// The run that it repeats, and that one's root.
    pub(super) rerun: Option<(RerunOf, NodeRunId)>,
}

/// The same with what it gets when it is started.
struct FreshRun<'c> {
    new: NewRun,
    cause: Cause<'c>,
    root_id: NodeRunId,
    trace: Option<Box<RunTrace>>,
}

impl Coordinator {
    /// Starts a run: its Run, root NodeRun, events and policy decision are
    /// durable when this returns, and so is the wake-up that dispatches the root.
    pub async fn run_start(
        &self,
        caller: &Principal,
        request: RunStartRequest,
    ) -> Result<Run, CoordinatorError> {
        let owner = self.start_authorize(caller, &request).await?;
        let chosen = request.run_id.clone().filter(|id| !id.as_str().is_empty());
        check_start(&request, chosen.as_ref())?;
        self.warn_of_own_keys([request.extensions.as_ref()].into_iter());
        let digest = digest(&request);
        if let Some(id) = &chosen
            && let Some(existing) = Box::pin(self.run_find_or_adopt(caller, id)).await?
        {
            // A repetition does not ask registry and policy again.
            return Box::pin(self.start_repeated(caller, existing, &digest)).await;
        }
        let run_id = chosen.unwrap_or_else(|| self.ids.run_id());
        let cause = Cause::asked(caller.actor(), Operation::StartRun);
        self.start_new(caller, cause, NewRun { request, owner, run_id, digest, rerun: None }).await
    }

    /// Starts a run that does not exist yet.
    pub(super) async fn start_new<'c>(
        &'c self,
        caller: &'c Principal,
        cause: Cause<'c>,
        new: NewRun,
    ) -> Result<Run, CoordinatorError> {
        let asked_at = self.committer.clock.now();
        let committer = &*self.committer;
        committer.room_for_new_work()?;
        let root_id = self.ids.node_run_id();
        let named = new.request.run_context.as_ref();
        let trace = committer.traces.of_start(RequestScope::named(), named, asked_at);
        let current = committer.traces.of_run(&new.run_id, trace.as_deref());
        let start = FreshRun { new, cause, root_id, trace };
        let run = current::scope(current, self.run_start_fresh(caller, start)).await?;
        RequestScope::started_run();
        Ok(run)
    }

    /// Starts a run that did not exist a moment ago.
    async fn run_start_fresh(
        &self,
        caller: &Principal,
        start: FreshRun<'_>,
    ) -> Result<Run, CoordinatorError> {
        let FreshRun { new, cause, root_id, trace } = start;
        let NewRun { request, owner, run_id, digest, rerun } = new;
        let committer = &*self.committer;
        let place = ["body".into(), "root_node_type_ref".into()];
        let facts = self.admission.facts_at(&request.root_node_type_ref, &place).await?;
        let inputs = self.admission.inputs_judge(&request.root_node_type_ref, &request.input).await;
        inputs.check(&["body".into(), "input".into()], &place)?;
        let bounded = BoundedStart::of(request, &facts, &committer.rules);
        let start = Start { request: bounded.request(), run_id: &run_id, root_id: &root_id, facts: &facts };
        let decided = self.admission.decide_start(caller, &owner, start).await?;
        let prepared = PreparedStart::of(bounded, owner, &facts, &committer.rules).noting(inputs.note);
        let subject_token = self.admission.sealed(&run_id, caller);
        let (run, request) = (run_id.clone(), digest);
        let command = &StartRun {
            prepared,
            run_id: run,
            root_id,
            digest: request,
            facts,
            decided,
            subject_token,
            rerun,
            trace,
        };
        // The run did not exist a moment ago, or its id is fresh: only after a
        // conflict it has to be read (again).
        let is_absent = &AtomicBool::new(true);
        let run = committer
            .request_beginning(cause, &run_id, |cx| async move {
                let existing = if is_absent.swap(false, Ordering::Relaxed) {
                    None
                } else {
                    Box::pin(committer.run_find(&command.run_id)).await?
                };
                if let Some(existing) = existing {
                    let repeated = Box::pin(self.start_repeated(caller, existing, &command.digest)).await;
                    return repeated.map(|run| Decision::unchanged((run, Vec::new())));
                }
                let claim = committer.queue.claim(&command.run_id, [command.facts.kind]);
                let started = engine::run_start(command, cx.with_claim(claim));
                Ok(self.attempts.begin_new(started, cx).await)
            })
            .await?;
        Ok(run)
    }

    pub async fn run_get(&self, caller: &Principal, run: &RunId) -> Result<Run, CoordinatorError> {
        Ok(self.run_authorize(caller, Operation::GetRun, run).await?.run)
    }

    /// Returns when a run has ended, at the latest after `wait`. For a caller that
    /// may read the run.
    pub(crate) async fn run_ended(&self, run: &RunId, wait: Duration) -> Result<(), CoordinatorError> {
        let committer = &*self.committer;
        let ended = within(&*committer.clock, wait, committer.events.ended(run)).await;
        ended.unwrap_or(Ok(())).map_err(|failure| committer.read_failed(failure))
    }

    /// A run that its caller has read before, as it is now. One that was deleted
    /// meanwhile stays as it was read.
    pub(crate) async fn run_waited_for(&self, before: Run) -> Result<Run, CoordinatorError> {
        let now = self.committer.run_find(&before.run_id).await?;
        Ok(now.map_or(before, |record| record.run))
    }

    /// Cancels a run with all its live nodes. A run that has ended is answered as
    /// it is.
    pub async fn run_cancel(&self, caller: &Principal, run: &RunId) -> Result<Run, CoordinatorError> {
        self.run_authorize(caller, Operation::CancelRun, run).await?;
        self.run_cancel_for(Cause::asked(caller.actor(), Operation::CancelRun), run, None).await
    }

    /// The same for a cause that is authorized, with a reason if it has one.
    pub(super) async fn run_cancel_for(
        &self,
        cause: Cause<'_>,
        run: &RunId,
        reason: Option<&str>,
    ) -> Result<Run, CoordinatorError> {
        let committer = &*self.committer;
        let canceled = committer
            .request(cause, run, |cx| async move {
                let record = committer.run_fetch(run).await?;
                let live = if record.is_terminal() {
                    Vec::new()
                } else {
                    committer.journal.nodes_live(run, None).await?
                };
                Ok(engine::run_cancel(record, live, reason, cx))
            })
            .await?;
        // If this changed nothing, a commit whose response was lost did.
        committer.queue.run_ended(run);
        Ok(canceled)
    }

    /// Logs that a caller's values under our own keys are dropped (D-15): one line
    /// per request.
    pub(super) fn warn_of_own_keys<'e>(&self, given: impl Iterator<Item = Option<&'e Extensions>>) {
        let keys = given.flatten().flat_map(|extensions| extensions.keys());
        let mut own = keys.filter(|key| engine::is_own_key(key));
        if let Some(first) = own.next() {
            warn!(self.committer.log, "dropped extensions with reserved keys";
                "key" => first, "more" => own.count());
        }
    }
}

/// Checks what the schema cannot express about a start request.
fn check_start(request: &RunStartRequest, chosen: Option<&RunId>) -> Result<(), CoordinatorError> {
    let field = |kind, path: &[&str], message: &str| FieldError {
        kind,
        location: ["body"].iter().chain(path).map(|&member| member.into()).collect(),
        message: message.into(),
    };
    let mut errors = Vec::new();
    if chosen.is_some_and(|id| !id.is_acceptable()) {
        let message = "a run_id has 1 to 200 characters of A-Z, a-z, 0-9 and ._:~@-, and is not '.' or '..'";
        errors.push(field("string_pattern_mismatch", &["run_id"], message));
    }
    for key in ["constraints", "jarvis.constraints"] {
        let hidden = request.extensions.as_ref().is_some_and(|extensions| extensions.contains_key(key));
        if hidden && request.constraints.is_some() {
            let message = "constraints are given twice: as a member and as an extension";
            errors.push(field("extra_forbidden", &["extensions", key], message));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(CoordinatorError::Invalid(errors)) }
}
