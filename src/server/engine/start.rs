//! Starting a run (contract §6.3): the Run, its root NodeRun, their events and
//! the policy decision are one change. A run that exists has all of it.

use std::time::Duration;

use serde_json::json;

use super::{
    Decision, Lease, NodeTypeFacts, PolicyDecided, PolicyOutcome, Rejection, Rules, constraints,
    draft::{Draft, End, wake},
    extensions::{CONSTRAINTS, Writer},
};
use crate::{
    record::{Job, NodePath, NodeRecord, Origin, RunRecord},
    time::Timestamp,
    types::{
        Error, Extensions, JsonObject, NodeRun, NodeRunId, NodeTypeRef, Run, RunContext, RunEventType, RunId,
        RunStartRequest, RunState, json::canonical,
    },
};

/// The command, with all that was found out beforehand.
#[derive(Clone, Debug)]
pub struct StartRun {
    pub asked: Asked,
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

/// What a start request comes to, before anything is decided. Its constraints,
/// which may be as large as the request, are text by then, like all else in it
/// that may be large: the records share it.
#[derive(Clone, Debug)]
pub struct Asked {
    node_type_ref: NodeTypeRef,
    input: JsonObject,
    run_context: Option<RunContext>,
    wall_time: Duration,
    run_extensions: Option<Extensions>,
    root_extensions: Option<Extensions>,
}

impl Asked {
    pub fn of(request: RunStartRequest, facts: &NodeTypeFacts, rules: &Rules) -> Self {
        let RunStartRequest {
            run_id: _,
            root_node_type_ref: node_type_ref,
            input,
            constraints,
            run_context,
            metadata,
            extensions,
        } = request;
        let wall_time = constraints::wall_time(constraints.as_ref(), rules.run_timeout);
        let of_run = constraints.as_ref().and_then(canonical::text_of);
        let of_root = constraints::narrowed(constraints, facts.constraints.as_ref());
        let of_root = of_root.as_ref().and_then(canonical::text_of);
        let base = Writer::from_caller(rules, extensions).metadata(metadata.as_ref());
        let differs = of_root != of_run;
        let root_extensions = differs.then(|| base.clone().own_text(CONSTRAINTS, of_root).done());
        let run_extensions = base.own_text(CONSTRAINTS, of_run).done();
        // Mostly they are the same, and then they share their text.
        let root_extensions = root_extensions.unwrap_or_else(|| run_extensions.clone());
        Self { node_type_ref, input, run_context, wall_time, run_extensions, root_extensions }
    }

    /// Length of the text beside the input, which was a tree of values before.
    pub fn extension_bytes(&self) -> usize {
        self.run_extensions.as_ref().map_or(0, Extensions::bytes)
    }
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
    let StartRun { asked, run_id, root_id, digest, owner, facts, decided } = command;
    let (run_id, root_id) = (run_id.clone(), root_id.clone());
    let deadline = now + asked.wall_time;
    let run = RunRecord {
        run: Run {
            run_id: run_id.clone(),
            state: RunState::Running,
            root_node_run_id: root_id.clone(),
            run_context: asked.run_context.clone(),
            started_at: Some(now),
            ended_at: None,
            extensions: asked.run_extensions.clone(),
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
        inputs: Some(asked.input.clone()),
        extensions: asked.root_extensions.clone(),
        ..NodeRun::queued(run_id, root_id, asked.node_type_ref.clone(), facts.kind)
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
