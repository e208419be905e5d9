//! Starting a run (contract §6.3): the Run, its root NodeRun, their events and
//! the policy decision are one change. A run that exists has all of it.

use serde_json::json;

use super::{
    command::{Cx, Decision, NodeTypeFacts, PolicyDecided, PolicyOutcome},
    constraints,
    draft::{Draft, End},
    extensions::{self, Writer},
    new_node::{queued_node_run, queued_record},
    rejection::Rejection,
};
use crate::{
    record::{NodePath, RunRecord},
    types::{
        ConstraintEnvelope, Error, NodeRun, NodeRunId, Run, RunEventType, RunId, RunStartRequest, RunState,
    },
};

/// The command, with all that was found out beforehand.
#[derive(Clone, Debug)]
pub struct StartRun {
    pub request: RunStartRequest,
    /// The request's own id, or a fresh one.
    pub run_id: RunId,
    pub root_id: NodeRunId,
    /// Digest of the request, which identifies a repetition.
    pub digest: String,
    /// Subject of the caller's token.
    pub started_by: String,
    pub facts: NodeTypeFacts,
    /// The request's constraints narrowed by those of the root's type.
    pub constraints: Option<ConstraintEnvelope>,
    /// The decision at the checkpoint `run.start`.
    pub decided: PolicyDecided,
}

/// Answers a start whose run exists: a repetition of the same request gets the
/// run that the first one made (D-07).
pub fn run_repeated(existing: RunRecord, digest: &str) -> Result<Run, Rejection> {
    if existing.request_digest == digest { Ok(existing.run) } else { Err(Rejection::RunAlreadyExists) }
}

/// Decides on a start. `existing` is the run of this id, if there is one.
pub fn run_start(
    existing: Option<RunRecord>,
    command: &StartRun,
    cx: Cx<'_>,
) -> Result<Decision<Run>, Rejection> {
    if let Some(existing) = existing {
        return run_repeated(existing, &command.digest).map(Decision::unchanged);
    }
    let StartRun { request, run_id, root_id, digest, started_by, facts, constraints: merged, decided } =
        command;
    let extensions = |constraints: Option<&ConstraintEnvelope>| {
        Writer::from_caller(cx.rules, request.extensions.as_ref())
            .metadata(request.metadata.as_ref())
            .own(extensions::CONSTRAINTS, constraints)
            .done()
    };
    let deadline = cx.now + constraints::wall_time(request.constraints.as_ref(), cx.rules.run_timeout);
    let run = RunRecord {
        run: Run {
            run_id: run_id.clone(),
            state: RunState::Running,
            root_node_run_id: root_id.clone(),
            run_context: request.run_context.clone(),
            started_at: Some(cx.now),
            ended_at: None,
            extensions: extensions(request.constraints.as_ref()),
        },
        version: 0,
        last_seq: 0,
        nodes: 1,
        request_digest: digest.clone(),
        owner: Some(started_by.clone()),
        deadline: Some(deadline),
    };
    let root = NodeRun {
        created_at: Some(cx.now),
        inputs: Some(request.input.clone()),
        extensions: if *merged == request.constraints {
            // The same text, and shared: it may be large.
            run.run.extensions.clone()
        } else {
            extensions(merged.as_ref())
        },
        ..queued_node_run(root_id.clone(), run_id.clone(), request.root_node_type_ref.clone(), facts.kind)
    };
    let root = queued_record(root, NodePath::root(), facts.clone(), Some(deadline), cx);

    let mut draft = Draft::new(run, cx);
    draft.event(RunEventType::RunStarted, None, [("root_node_run_id", json!(root.id()))]);
    draft.event(RunEventType::NodeRunAssigned, Some(&root), [("root", true.into())]);
    draft.policy_decided(&root, decided);
    match decided.outcome {
        PolicyOutcome::Allow => draft.put(root),
        PolicyOutcome::Deny | PolicyOutcome::RequireApproval => {
            let error = denied(decided, "Run start denied by policy");
            draft.end(root, Vec::new(), End::failed(error));
        }
    }
    let answer = draft.run.run.clone();
    Ok(Decision::commit(draft.into_changes(), answer))
}

/// The error of a node that policy did not let through.
pub(super) fn denied(decided: &PolicyDecided, message: &str) -> Error {
    let mut error = Error::new("policy_denied", message);
    match decided.outcome {
        PolicyOutcome::RequireApproval => {
            error.details = Some(decided.evidence.with("code", &"approval_required"));
        }
        PolicyOutcome::Allow | PolicyOutcome::Deny => {}
    }
    error
}
