//! Starting a run (contract §6.3): the Run, its root NodeRun, their events and
//! the policy decision are one change. A run that exists has all of it.

use std::time::Duration;

use serde_json::json;

use super::{
    approval,
    audit::Audited,
    bounds::BoundedStart,
    command::{Cx, Decision, InputsNote, NodeTypeFacts, PolicyDecided, Rules},
    constraints,
    draft::{Draft, End},
    extensions::{CONSTRAINTS, INPUT_VIOLATIONS, RERUN_OF, Writer},
    ledger,
    new_node::queued_record,
    rejection::Rejection,
};
use crate::{
    record::{
        Account, Identity, NodeBudget, NodePath, NodeRecord, Origin, Repetition, RerunOf, RunRecord,
        RunTrace, SealedToken, Twin,
    },
    types::{
        Error, Extensions, JsonObject, NodeRun, NodeRunId, NodeTypeRef, Run, RunContext, RunEventType, RunId,
        RunStartRequest, RunState, StructuralConstraints, json::canonical,
    },
};

/// The command, with all that was found out beforehand.
#[derive(Clone, Debug)]
pub struct StartRun {
    pub prepared: PreparedStart,
    /// The request's own id, or a fresh one.
    pub run_id: RunId,
    pub root_id: NodeRunId,
    /// Digest of the request, which identifies a repetition.
    pub digest: String,
    pub facts: NodeTypeFacts,
    /// The decision at the checkpoint `run.start`.
    pub decided: PolicyDecided,
    /// The caller's token, if calls for the run are made on its behalf.
    pub subject_token: Option<SealedToken>,
    /// The run that it repeats, and that one's root.
    pub rerun: Option<(RerunOf, NodeRunId)>,
    /// The distributed trace that it belongs to.
    pub trace: Option<Box<RunTrace>>,
}

/// A start request in the form in which it is stored. Its constraints, which may
/// be as large as the request, are text here, and so is everything else in it
/// that may be large: the records share that text.
#[derive(Clone, Debug)]
pub struct PreparedStart {
    node_type_ref: NodeTypeRef,
    input: JsonObject,
    run_context: Option<RunContext>,
    wall_time: Duration,
    run_extensions: Option<Extensions>,
    root_extensions: Option<Extensions>,
    owner: Identity,
    ceilings: Option<StructuralConstraints>,
    account: Option<Account>,
    budget_of_root: NodeBudget,
    /// Why the root can never be executed.
    forbidden: Option<Error>,
    inputs_unjudged: bool,
}

impl PreparedStart {
    pub fn of(start: BoundedStart, owner: Identity, facts: &NodeTypeFacts, rules: &Rules) -> Self {
        let BoundedStart { request, ceilings } = start;
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
        let limits = ledger::limits(constraints.as_ref());
        let of_root = constraints::narrowed(constraints, facts.constraints.as_ref());
        let side_effect = facts.side_effect.unwrap_or(rules.gates.unknown_side_effect);
        let forbidden = constraints::forbidden(of_root.as_ref(), &node_type_ref, facts.kind, side_effect);
        let account = Account::opened(limits);
        let budget_of_root = ledger::opened(&ledger::limits(of_root.as_ref()), &limits, None, facts);
        let of_root = of_root.as_ref().and_then(canonical::text_of);
        let base = Writer::from_caller(rules, extensions).metadata(metadata.as_ref()).owner(&owner);
        let of_its_own = budget_of_root.account.as_ref();
        let differs = of_root != of_run || account.as_ref() != of_its_own;
        let root_extensions =
            differs.then(|| base.clone().own_text(CONSTRAINTS, of_root).budget(of_its_own).done());
        let run_extensions = base.own_text(CONSTRAINTS, of_run).budget(account.as_ref()).done();
        // In most runs the two are the same, and then they share their text.
        let root_extensions = root_extensions.unwrap_or_else(|| run_extensions.clone());
        Self {
            node_type_ref,
            input,
            run_context,
            wall_time,
            run_extensions,
            root_extensions,
            owner,
            ceilings,
            account,
            budget_of_root,
            forbidden,
            inputs_unjudged: false,
        }
    }

    /// The same with what is known about the inputs of the root.
    #[must_use]
    pub fn noting(mut self, inputs: InputsNote) -> Self {
        self.inputs_unjudged = inputs.unjudged;
        if let Some(violations) = inputs.violations {
            let noted = self.root_extensions.unwrap_or_default().with(INPUT_VIOLATIONS, &violations);
            self.root_extensions = Some(noted);
        }
        self
    }
}

/// Answers a start whose run exists: a repetition of the same request gets the
/// run that the first one made (D-07).
pub fn run_repeated(existing: RunRecord, digest: &str) -> Result<Run, Rejection> {
    if existing.origin.is_request(digest) { Ok(existing.run) } else { Err(Rejection::RunAlreadyExists) }
}

/// Decides on the start of a run that does not exist yet (see [`run_repeated`]).
pub fn run_start(command: &StartRun, cx: Cx<'_>) -> Decision<Run> {
    let StartRun { prepared, run_id, root_id, digest, facts, decided, subject_token, rerun, trace } = command;
    let rerun_of = rerun.as_ref().map(|(of, _)| of.run_id.clone());
    let deadline = cx.now + prepared.wall_time;
    let run = RunRecord {
        run: Run {
            run_id: run_id.clone(),
            state: RunState::Running,
            root_node_run_id: root_id.clone(),
            run_context: prepared.run_context.clone(),
            started_at: Some(cx.now),
            ended_at: None,
            extensions: match &rerun_of {
                Some(of) => Some(prepared.run_extensions.clone().unwrap_or_default().with(RERUN_OF, of)),
                None => prepared.run_extensions.clone(),
            },
        },
        version: 0,
        last_seq: 0,
        nodes: 1,
        origin: Origin::Request { digest: digest.clone() },
        owner: Some(prepared.owner.clone()),
        subject_token: subject_token.clone(),
        deadline: Some(deadline),
        ceilings: prepared.ceilings.clone(),
        account: prepared.account,
        hold: None,
        rerun: rerun.as_ref().map(|(of, _)| of.clone()),
        attempts: 0,
        changed_at: None,
        trace: trace.clone(),
    };
    let root = NodeRun {
        created_at: Some(cx.now),
        inputs: Some(prepared.input.clone()),
        extensions: prepared.root_extensions.clone(),
        ..NodeRun::queued(run_id.clone(), root_id.clone(), prepared.node_type_ref.clone(), facts.kind)
    };
    let budget = prepared.budget_of_root.clone();
    let root = queued_record(root, NodePath::root(), facts.clone(), Some(deadline), budget, cx);
    let twin = match rerun {
        Some((of, original)) if of.reuses => Twin::Repeats(original.clone()),
        Some(_) | None => Twin::None,
    };
    let repetition = Repetition { twin, ..Repetition::default() };
    let root = NodeRecord { inputs_unjudged: prepared.inputs_unjudged, repetition, ..root };

    let mut draft = Draft::new(run, cx);
    draft.event(RunEventType::RunStarted, None, [("root_node_run_id", json!(root.id()))]);
    draft.event(RunEventType::NodeRunAssigned, Some(&root), [("root", true.into())]);
    // The gates of constraints are tested when the root is dispatched.
    let judged = approval::judge(&mut draft, &root, decided, None, "Run start denied by policy");
    let judged = judged.and_then(|demanded| match &prepared.forbidden {
        // An approval cannot make it possible.
        Some(error) => {
            draft.audited = Audited::failing(root.id(), error, None);
            Err(error.clone())
        }
        None => Ok(demanded),
    });
    match judged {
        Ok(None) => draft.put(root),
        Ok(Some(demanded)) => {
            draft.audited = Audited::node(root.id(), "waits for an approval");
            approval::wait(&mut draft, root, demanded);
        }
        Err(error) => draft.end(root, Vec::new(), End::failed(error)),
    }
    let answer = draft.run.run.clone();
    Decision::commit(draft.into_changes(), answer)
}
