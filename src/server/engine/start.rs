//! Starting a run (contract §6.3): the Run, its root NodeRun, their events and
//! the policy decision are one change. A run that exists has all of it.

use serde_json::json;

use super::{
    Decision, Lease, NodeTypeFacts, PolicyDecided, PolicyOutcome, Rejection, Rules, constraints,
    draft::{Draft, End, wake},
    extensions::{self, Writer},
};
use crate::{
    record::{Job, NodePath, NodeRecord, Origin, RunRecord},
    time::Timestamp,
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
    /// Of the request, to know a repetition.
    pub digest: String,
    /// Subject of the caller's token.
    pub owner: String,
    pub facts: NodeTypeFacts,
    /// The decision at the checkpoint `run.start`.
    pub decided: PolicyDecided,
}

/// Decides on a start. A repetition of the same request gets the run that the
/// first one made (D-07).
pub fn run_start(
    existing: Option<&RunRecord>,
    command: &StartRun,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Result<Decision<Run>, Rejection> {
    if let Some(existing) = existing {
        return if existing.origin.is_request(&command.digest) {
            Ok(Decision::unchanged(existing.run.clone()))
        } else {
            Err(Rejection::RunAlreadyExists)
        };
    }
    let StartRun { request, run_id, root_id, digest, owner, facts, decided } = command;
    let (run_id, root_id) = (run_id.clone(), root_id.clone());
    let merged = constraints::merge([request.constraints.as_ref(), facts.constraints.as_ref()]);
    let extensions = |constraints: Option<&ConstraintEnvelope>| {
        Writer::from_caller(rules, request.extensions.as_ref())
            .metadata(request.metadata.as_ref())
            .own(extensions::CONSTRAINTS, constraints)
            .done()
    };
    let deadline = now + constraints::wall_time(request.constraints.as_ref(), rules.run_timeout);
    let run = RunRecord {
        run: Run {
            run_id: run_id.clone(),
            state: RunState::Running,
            root_node_run_id: root_id.clone(),
            run_context: request.run_context.clone(),
            started_at: Some(now),
            ended_at: None,
            extensions: extensions(request.constraints.as_ref()),
        },
        version: 0,
        last_seq: 0,
        nodes: 1,
        origin: Origin::Request { digest: digest.clone() },
        owner: Some(owner.clone()),
        deadline: Some(deadline),
    };
    let root = NodeRun {
        created_at: Some(now),
        inputs: Some(request.input.clone()),
        // Shares the run's text if it is the same: it may be large.
        extensions: if merged == request.constraints {
            run.run.extensions.clone()
        } else {
            extensions(merged.as_ref())
        },
        ..NodeRun::queued(run_id, root_id, request.root_node_type_ref.clone(), facts.kind)
    };
    let root = NodeRecord {
        side_effect: facts.side_effect,
        idempotent: facts.idempotent,
        type_constraints: facts.constraints.clone(),
        deadline: Some(deadline),
        wake: Some(wake(Job::Dispatch, now, lease)),
        ..NodeRecord::new(root, NodePath::root())
    };

    let mut draft = Draft::new(run, now);
    draft.event(RunEventType::RunStarted, None, [("root_node_run_id", json!(root.id()))]);
    draft.event(RunEventType::NodeRunAssigned, Some(&root), [("root", true.into())]);
    draft.policy_decided(&root, decided);
    match decided.outcome {
        PolicyOutcome::Allow => draft.put(root),
        PolicyOutcome::Deny | PolicyOutcome::RequireApproval => {
            let error = denied(decided, "Run start denied by policy");
            draft.end(rules, root, Vec::new(), End::failed(error), lease);
        }
    }
    let answer = draft.run.run.clone();
    Ok(Decision { changes: Some(draft.into_changes()), answer })
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
