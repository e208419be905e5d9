//! Creating the children of a composite (contract §6.6, §8): the checks in
//! the contract's order, then one change with all new children in it.

use serde_json::{Number, Value, json};

use super::{
    Decision, Disagreement, Lease, Limit, NodeTypeFacts, Rejection, Rules, constraints,
    draft::{Draft, wake},
    extensions::{self, Writer, own, to_value},
    silence,
};
use crate::{
    ids::NodeRunId,
    model::{
        BindingDecision, ConstraintEnvelope, NodeKind, NodeRun, NodeRunCreateSpec, NodeRunState,
        RunEventType, StructuralConstraints,
    },
    record::{Job, NodeRecord, RunRecord, Waits},
    time::Timestamp,
};

/// The command, with all that was found out beforehand.
#[derive(Clone, Debug)]
pub struct CreateChildren {
    pub parent: NodeRecord,
    /// The parent's kind, also if its record does not say.
    pub parent_kind: Option<NodeKind>,
    /// One for each entry of the request, in its order.
    pub children: Vec<ChildSpec>,
}

/// One child that is asked for.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    pub spec: NodeRunCreateSpec,
    /// Derived from the idempotency key, or fresh.
    pub id: NodeRunId,
    /// What is stored under that id.
    pub existing: Option<NodeRecord>,
    pub facts: NodeTypeFacts,
}

/// Whether children may be created under `parent` at all (checks 2, 4 to 6).
/// Asked before anything is found out about the children, and again with
/// [`children_create`].
pub fn parent_check(
    run: &RunRecord,
    parent: &NodeRecord,
    parent_kind: Option<NodeKind>,
) -> Result<(), Rejection> {
    constraints::stored(run.run.extensions.as_ref())?;
    if parent.node.run_id != run.run.run_id {
        return Err(Rejection::ParentMismatch);
    }
    match parent_kind {
        Some(NodeKind::Composite) => {}
        Some(NodeKind::Atomic) | None => return Err(Rejection::ParentNotComposite),
    }
    if run.is_terminal() {
        return Err(Rejection::RunTerminal(run.run.state));
    }
    if parent.is_terminal() {
        return Err(Rejection::ParentTerminal(parent.node.state));
    }
    constraints::stored(parent.node.extensions.as_ref())?;
    Ok(())
}

/// Decides on a create request. The answer has the NodeRuns in request order:
/// new ones, and as stored those that the keys stood for already.
pub fn children_create(
    run: RunRecord,
    command: CreateChildren,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> Result<Decision<Vec<NodeRun>>, Rejection> {
    let CreateChildren { mut parent, parent_kind, children } = command;
    parent_check(&run, &parent, parent_kind)?;
    let of_run = constraints::stored(run.run.extensions.as_ref())?;
    let of_parent = constraints::stored(parent.node.extensions.as_ref())?;

    let mut draft = Draft::new(run, now);
    let mut new: Vec<(NodeRecord, NodeRunCreateSpec)> = Vec::new();
    let mut answer: Vec<NodeRun> = Vec::new();
    for child in children {
        let merged = constraints::merge([
            of_run.as_ref(),
            of_parent.as_ref(),
            child.facts.constraints.as_ref(),
            child.spec.constraints.as_ref(),
        ]);
        let twin = new.iter().map(|(node, _)| node).find(|node| *node.id() == child.id);
        if let Some(known) = child.existing.as_ref().or(twin) {
            if let Some(about) = disagreement(known, &parent, &child.spec, merged.as_ref()) {
                return Err(Rejection::Idempotency(about));
            }
            answer.push(known.node.clone());
            continue;
        }
        check_binding(&child.spec)?;
        draft.run.nodes += 1;
        let node =
            record(child, &parent, merged.as_ref(), draft.run.nodes, draft.run.deadline, rules, lease, now);
        answer.push(node.0.node.clone());
        new.push(node);
    }
    let added = new.len() as u64;
    let limits =
        constraints::merge([of_run.as_ref(), of_parent.as_ref()]).and_then(|merged| merged.structural);
    check_limits(&limits.unwrap_or_default(), &draft.run, &parent, added)?;
    if added == 0 {
        return Ok(Decision::unchanged(answer));
    }

    if parent.node.state == NodeRunState::Running {
        // Its executor has begun its plan: it is only waited for, whoever dies.
        silence::wait(&mut parent, rules, &None, now);
    }
    parent.children += added;
    parent.rounds += 1;
    parent.node.extensions = Writer::update(rules, parent.node.extensions.take())
        .own(extensions::DECOMPOSITION_ROUNDS, Some(&parent.rounds))
        .done();
    draft.event(RunEventType::CompositeDecomposed, Some(&parent), json!({"node_run_count": added}));
    for (node, spec) in new {
        draft.event(RunEventType::NodeRunAssigned, Some(&node), json!({"parent_node_run_id": parent.id()}));
        let binding = spec.binding_decision.as_ref();
        if let Some(binding) = binding {
            draft.event(RunEventType::SubtaskMapped, Some(&node), to_value(binding));
        }
        if let Some(set) = candidate_set(&spec) {
            let subtask = binding.map(|binding| binding.subtask_id.as_str());
            let data = json!({"candidate_set_id": set, "subtask_id": subtask});
            draft.event(RunEventType::CandidateSetGenerated, Some(&node), data);
        }
        draft.put(node);
    }
    draft.put(parent);
    Ok(Decision { changes: Some(draft.into_changes()), answer })
}

/// Checks 8 to 11. The depth is checked even if nothing is new.
fn check_limits(
    limits: &StructuralConstraints,
    run: &RunRecord,
    parent: &NodeRecord,
    added: u64,
) -> Result<(), Rejection> {
    let exceeds = |value: u64, limit: Option<u64>| limit.is_some_and(|limit| value > limit);
    let broken = if exceeds(parent.path.depth() + 1, limits.max_depth) {
        Limit::MaxDepth
    } else if exceeds(parent.children + added, limits.max_children_per_composite) {
        Limit::MaxChildrenPerComposite
    } else if exceeds(run.nodes, limits.max_total_nodes_per_run) {
        Limit::MaxTotalNodesPerRun
    } else if added > 0 && exceeds(parent.rounds + 1, limits.max_decomposition_rounds_per_node) {
        Limit::MaxDecompositionRoundsPerNode
    } else {
        return Ok(());
    };
    Err(Rejection::Limit(broken))
}

/// The binding decision must be about this child (G20).
fn check_binding(spec: &NodeRunCreateSpec) -> Result<(), Rejection> {
    let Some(binding) = &spec.binding_decision else { return Ok(()) };
    let (chosen, own) = (&binding.chosen_node_type_ref, &spec.node_type_ref);
    if (&chosen.node_type_id, &chosen.version) != (&own.node_type_id, &own.version) {
        return Err(Rejection::BindingMismatch("node_type_ref"));
    }
    match (&binding.candidate_set_id, &spec.candidate_set_id) {
        (Some(bound), Some(given)) if bound != given => Err(Rejection::BindingMismatch("candidate_set_id")),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// The spec's candidate set, else its binding decision's.
fn candidate_set(spec: &NodeRunCreateSpec) -> Option<&str> {
    let bound = spec.binding_decision.as_ref().and_then(|binding| binding.candidate_set_id.as_deref());
    spec.candidate_set_id.as_deref().or(bound)
}

#[expect(clippy::too_many_arguments, reason = "each is a different fact of the new record")]
fn record(
    child: ChildSpec,
    parent: &NodeRecord,
    merged: Option<&ConstraintEnvelope>,
    ordinal: u64,
    deadline: Option<Timestamp>,
    rules: &Rules,
    lease: &Lease,
    now: Timestamp,
) -> (NodeRecord, NodeRunCreateSpec) {
    let ChildSpec { spec, id, existing: _, facts } = child;
    let key = spec.idempotency_key.as_ref().filter(|key| !key.is_empty());
    let extensions = Writer::from_caller(rules, spec.extensions.as_ref())
        .metadata(spec.metadata.as_ref())
        .requested_executor(spec.requested_executor_instance_id.as_deref())
        .own(extensions::BINDING_DECISION, spec.binding_decision.as_ref())
        .own(extensions::CANDIDATE_SET_ID, candidate_set(&spec).as_ref())
        .own(extensions::IDEMPOTENCY_KEY, key)
        .own(extensions::CONSTRAINTS, merged)
        .done();
    let node = NodeRecord {
        node: NodeRun {
            node_run_id: id,
            run_id: parent.node.run_id.clone(),
            parent_node_run_id: Some(parent.id().clone()),
            node_type_ref: spec.node_type_ref.clone(),
            kind: facts.kind,
            state: NodeRunState::Queued,
            created_at: Some(now),
            started_at: None,
            ended_at: None,
            inputs: Some(spec.inputs.clone()),
            outputs: None,
            output_artifacts: None,
            executor_binding: None,
            evaluation_result: None,
            recovery_actions: None,
            extensions,
        },
        version: 0,
        path: parent.path.child(ordinal),
        children: 0,
        rounds: 0,
        attempt: 0,
        retries: 0,
        astray: false,
        side_effect: facts.side_effect,
        idempotent: facts.idempotent,
        deadline,
        waits: Waits::default(),
        wake: Some(wake(Job::Dispatch, now, lease)),
    };
    (node, spec)
}

/// What a repeated key disagrees about with the child that it made. What the
/// repetition leaves out is not compared.
fn disagreement(
    known: &NodeRecord,
    parent: &NodeRecord,
    spec: &NodeRunCreateSpec,
    merged: Option<&ConstraintEnvelope>,
) -> Option<Disagreement> {
    let stored = known.node.extensions.as_ref();
    let empty = serde_json::Map::new();
    let differs = |key: &str, given: Option<Value>| {
        given.is_some_and(|given| !own(stored, key).is_some_and(|stored| json_equal(stored, &given)))
    };
    if known.node.run_id != parent.node.run_id || known.node.parent_node_run_id.as_ref() != Some(parent.id())
    {
        Some(Disagreement::Parent)
    } else if known.node.node_type_ref != spec.node_type_ref {
        Some(Disagreement::NodeType)
    } else if !maps_equal(known.node.inputs.as_ref().unwrap_or(&empty), &spec.inputs) {
        Some(Disagreement::Inputs)
    } else if differs(
        extensions::BINDING_DECISION,
        spec.binding_decision.as_ref().map(to_value::<BindingDecision>),
    ) {
        Some(Disagreement::BindingDecision)
    } else if differs(extensions::CANDIDATE_SET_ID, spec.candidate_set_id.as_deref().map(Value::from)) {
        Some(Disagreement::CandidateSet)
    } else if differs(extensions::CONSTRAINTS, merged.map(to_value)) {
        Some(Disagreement::Constraints)
    } else {
        None
    }
}

/// Equal as JSON: numbers by value (`1` is `1.0`), and `true` is no number.
fn json_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (integer(a), integer(b)) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a.as_f64() == b.as_f64(),
            (Some(_), None) | (None, Some(_)) => false,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| json_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => maps_equal(a, b),
        (a, b) => a == b,
    }
}

/// The integer that a number is, however it is written. Compared as such: two
/// large integers may be the same as floating point numbers.
fn integer(number: &Number) -> Option<i128> {
    let whole = |float: &f64| float.fract() == 0.0 && float.abs() < 2f64.powi(126);
    number.as_i128().or_else(|| number.as_f64().filter(whole).map(|float| float as i128))
}

fn maps_equal(a: &serde_json::Map<String, Value>, b: &serde_json::Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| json_equal(a, b)))
}
