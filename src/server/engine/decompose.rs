//! Creating the children of a composite (contract §6.6, §8): the checks in the
//! contract's order, then one change with all new children.

use std::num::NonZeroU64;

use serde_json::json;

use super::{
    approval,
    audit::Audited,
    candidates::{self, CANDIDATE_SET, CandidateSet},
    command::{Cx, Decision, InputsNote, NodeTypeFacts},
    constraints,
    draft::Draft,
    extensions::{self, Writer, own},
    learn::learn,
    ledger,
    new_node::queued_record,
    rejection::{Disagreement, Limit, Rejection},
    rerun::{self, FoundTwin},
    silence,
};
use crate::{
    record::{NodeBudget, NodeRecord, RunRecord},
    types::{
        ConstraintEnvelope, Error, JsonObject, NodeKind, NodeRun, NodeRunCreateSpec, NodeRunId, NodeRunState,
        RunEventType, StructuralConstraints,
        json::{canonical, same_json},
    },
};

/// The command, with all that was found out beforehand.
#[derive(Clone, Debug)]
pub struct CreateChildren {
    pub parent: NodeRecord,
    /// Facts about the parent's type, if its record does not have its kind.
    pub parent_facts: NodeTypeFacts,
    /// One for each entry of the request, in order.
    pub children: Vec<ChildSpec>,
}

/// One child that the request asks for.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    pub spec: NodeRunCreateSpec,
    /// Derived from the idempotency key, or fresh.
    pub id: NodeRunId,
    /// The stored node with that id.
    pub existing: Option<NodeRecord>,
    pub facts: NodeTypeFacts,
    /// The candidate set that it brings.
    pub candidates: Option<CandidateSet>,
    pub inputs: InputsNote,
    /// What may stand for it in the run that its run repeats.
    pub twin: Option<FoundTwin>,
}

/// Checks whether children may be created under `parent` at all (checks 2, 4 to
/// 6): before any question about the children goes out, and again in
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

/// Decides about a create request. The answer has the NodeRuns in request order:
/// the new ones, and the stored ones that repeated keys stand for.
pub fn children_create(
    run: RunRecord,
    command: CreateChildren,
    cx: Cx<'_>,
) -> Result<Decision<Vec<NodeRun>>, Rejection> {
    let CreateChildren { mut parent, parent_facts, children } = command;
    parent_check(&run, &parent, parent.node.kind.or(parent_facts.kind))?;
    let cx = cx.not_before(&run);
    let mut draft = Draft::of(run, &parent, cx);
    learn(&draft.run, &mut parent, &parent_facts, cx.rules);
    let of_run = constraints::stored(draft.run.run.extensions.as_ref())?;
    let of_parent = constraints::stored(parent.node.extensions.as_ref())?;

    let above = constraints::merge([of_run.as_ref(), of_parent.as_ref()]);
    let above_limits = ledger::limits(above.as_ref());
    let candidate_limit = above
        .as_ref()
        .and_then(|merged| merged.candidates.as_ref()?.max_candidates_per_subtask)
        .map(NonZeroU64::get);
    let mut new: Vec<NewChild> = Vec::new();
    let mut answer: Vec<NodeRun> = Vec::new();
    for child in children {
        let above = [of_run.as_ref(), of_parent.as_ref()];
        let merged = merged(above, child.facts.constraints.as_ref(), &child.spec);
        let twin = new.iter().map(|new| &new.node).find(|node| *node.id() == child.id);
        if let Some(known) = child.existing.as_ref().or(twin) {
            if let Some(about) = disagreement(known, &parent, &child.spec, above, merged.as_ref()) {
                return Err(Rejection::Idempotency(about));
            }
            answer.push(known.node.clone());
            continue;
        }
        let set = child.candidates.as_ref();
        candidates::check(&child.spec, set, candidate_limit, cx.rules.gates.candidate_sets_required)?;
        candidates::bind(&mut parent.bindings, &child.spec, set, candidate_limit)?;
        draft.run.nodes += 1;
        let own = ledger::limits(merged.as_ref());
        let budget = ledger::opened(&own, &above_limits, Some(&parent), &child.facts);
        let forbidden = constraints::forbidden(
            merged.as_ref(),
            &child.spec.node_type_ref,
            child.facts.kind,
            child.facts.side_effect.unwrap_or(cx.rules.gates.unknown_side_effect),
        );
        let mut child = child;
        let found = child.twin.take();
        let (mut node, spec, candidates) = record(child, &parent, merged.as_ref(), budget, &draft);
        let fate = match (forbidden, found) {
            (Some(error), _) => Fate::Refused(error),
            (None, None) => Fate::Executed,
            (None, Some(found)) => {
                let is_reused = rerun::recognize(&draft.run, &mut parent, &mut node, &found);
                if is_reused { Fate::Reused(Box::new(found.node)) } else { Fate::Executed }
            }
        };
        answer.push(node.node.clone());
        new.push(NewChild { node, spec, candidates, fate });
    }
    let added = new.len() as u64;
    let ceilings = draft.run.ceilings.clone().map(constraints::of_structure);
    let limits = constraints::merge([above.as_ref(), ceilings.as_ref()]);
    let limits = limits.and_then(|merged| merged.structural).unwrap_or_default();
    check_limits(&limits, &draft.run, &parent, added)?;
    if added == 0 {
        return Ok(Decision::unchanged(answer));
    }

    if parent.node.state == NodeRunState::Running {
        approval::overtake(&mut draft, &mut parent);
        // Its executor has started its plan, so a lost worker restarts nothing.
        silence::await_executor(&mut parent, cx.unclaimed());
    }
    parent.children += added;
    parent.rounds += 1;
    parent.node.extensions = Writer::update(cx.rules, parent.node.extensions.take())
        .own(extensions::DECOMPOSITION_ROUNDS, Some(&parent.rounds))
        .done();
    draft.audited = Audited::node(parent.id(), format!("new node runs: {added}"));
    draft.event(RunEventType::CompositeDecomposed, Some(&parent), [("node_run_count", added.into())]);
    for NewChild { node, spec, candidates, fate } in new {
        draft.event(RunEventType::NodeRunAssigned, Some(&node), [("parent_node_run_id", json!(parent.id()))]);
        let binding = spec.binding_decision.as_ref();
        if let Some(binding) = binding {
            draft.event(RunEventType::SubtaskMapped, Some(&node), JsonObject::of(binding));
        }
        if let Some(set) = candidates::quoted(&spec, candidates.as_ref()) {
            let subtask = candidates::subtask(&spec, candidates.as_ref());
            let data = [("candidate_set_id", set.into()), ("subtask_id", subtask.into())];
            draft.event(RunEventType::CandidateSetGenerated, Some(&node), data);
        }
        let ended = match fate {
            Fate::Executed => {
                draft.put(node);
                continue;
            }
            Fate::Refused(error) => draft.refuse(node, error),
            Fate::Reused(old) => rerun::reuse(&mut draft, node, *old),
        };
        let same = answer.iter_mut().filter(|answer| answer.node_run_id == ended.node_run_id);
        same.for_each(|answer| answer.clone_from(&ended));
    }
    draft.put(parent);
    Ok(Decision::commit(draft.into_changes(), answer))
}

/// A child that the request creates.
struct NewChild {
    node: NodeRecord,
    spec: NodeRunCreateSpec,
    candidates: Option<CandidateSet>,
    fate: Fate,
}

/// What becomes of a child in the commit that makes it.
enum Fate {
    /// It waits for its dispatch.
    Executed,
    /// It can never be executed, so it fails at once. Its parent sees a failed
    /// child, as it does if a child is refused at its dispatch: a refused request
    /// would end the parent, whose executor does not expect that.
    Refused(Error),
    /// It has the outputs of this node of the run that its run repeats.
    Reused(Box<NodeRecord>),
}

/// The constraints of a child as the request asks for it.
fn merged(
    above: [Option<&ConstraintEnvelope>; 2],
    of_type: Option<&ConstraintEnvelope>,
    spec: &NodeRunCreateSpec,
) -> Option<ConstraintEnvelope> {
    constraints::merge(above.into_iter().chain([of_type, spec.constraints.as_ref()]))
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

/// The record of a child, which is the newest node of the run.
fn record(
    child: ChildSpec,
    parent: &NodeRecord,
    merged: Option<&ConstraintEnvelope>,
    budget: NodeBudget,
    draft: &Draft<'_>,
) -> (NodeRecord, NodeRunCreateSpec, Option<CandidateSet>) {
    let ChildSpec { spec, id, existing: _, facts, candidates, inputs, twin: _ } = child;
    let key = spec.idempotency_key.as_ref().filter(|key| !key.is_empty());
    let extensions = Writer::from_caller(draft.cx.rules, spec.extensions.clone())
        .metadata(spec.metadata.as_ref())
        .requested_executor(spec.requested_executor_instance_id.as_deref())
        .own(extensions::BINDING_DECISION, spec.binding_decision.as_ref())
        .own(extensions::CANDIDATE_SET_ID, candidates::quoted(&spec, candidates.as_ref()).as_ref())
        .own(extensions::IDEMPOTENCY_KEY, key)
        .own(extensions::CONSTRAINTS, merged)
        .budget(budget.account.as_ref())
        .noted(extensions::INPUT_VIOLATIONS, inputs.violations.as_ref())
        .done();
    let node = NodeRun {
        parent_node_run_id: Some(parent.id().clone()),
        created_at: Some(draft.cx.now),
        inputs: Some(spec.inputs.clone()),
        extensions,
        ..NodeRun::queued(parent.node.run_id.clone(), id, spec.node_type_ref.clone(), facts.kind)
    };
    let path = parent.path.child(draft.run.nodes);
    let node = queued_record(node, path, facts, draft.run.deadline, budget, draft.cx);
    let node = NodeRecord { inputs_unjudged: inputs.unjudged, parent_attempt: parent.attempt.max(1), ..node };
    (node, spec, candidates)
}

/// What a repeated key asks for that differs from the child that it made. Members
/// that the repetition leaves out are not compared.
fn disagreement(
    known: &NodeRecord,
    parent: &NodeRecord,
    spec: &NodeRunCreateSpec,
    above: [Option<&ConstraintEnvelope>; 2],
    wanted: Option<&ConstraintEnvelope>,
) -> Option<Disagreement> {
    let stored = known.node.extensions.as_ref();
    let differs = |key: &str, given: Option<String>| {
        given.is_some_and(|given| !own(stored, key).is_some_and(|stored| same_json(stored, &given)))
    };
    let brought = spec.extensions.as_ref().and_then(|given| given.raw(CANDIDATE_SET)).map(str::to_owned);
    let same_inputs = match &known.node.inputs {
        Some(inputs) => inputs.same_as(&spec.inputs),
        None => spec.inputs.is_empty(),
    };
    if known.node.run_id != parent.node.run_id || known.node.parent_node_run_id.as_ref() != Some(parent.id())
    {
        Some(Disagreement::Parent)
    } else if known.node.node_type_ref != spec.node_type_ref {
        Some(Disagreement::NodeType)
    } else if !same_inputs {
        Some(Disagreement::Inputs)
    } else if differs(
        extensions::BINDING_DECISION,
        spec.binding_decision.as_ref().and_then(canonical::text_of),
    ) {
        Some(Disagreement::BindingDecision)
    } else if differs(
        extensions::CANDIDATE_SET_ID,
        spec.candidate_set_id.as_ref().and_then(canonical::text_of),
    ) {
        Some(Disagreement::CandidateSet)
    } else if differs(CANDIDATE_SET, brought) {
        Some(Disagreement::CandidateSetContent)
    } else if constraints_differ(known, spec, above, wanted) {
        Some(Disagreement::Constraints)
    } else {
        None
    }
}

/// Whether a repetition asks for other constraints than the child has. The facts
/// about its type may be known now and not then, or vice versa, so the repetition
/// may agree with either. A child that another coordinator made was not narrowed
/// by the constraints above it.
fn constraints_differ(
    known: &NodeRecord,
    spec: &NodeRunCreateSpec,
    above: [Option<&ConstraintEnvelope>; 2],
    wanted: Option<&ConstraintEnvelope>,
) -> bool {
    let Ok(own) = constraints::stored(known.node.extensions.as_ref()) else { return true };
    let held = constraints::merge(above.into_iter().chain([own.as_ref()]));
    let as_then = merged(above, known.type_constraints.as_ref(), spec);
    let agrees = |wanted: Option<&ConstraintEnvelope>| wanted.is_none() || wanted == held.as_ref();
    !agrees(wanted) && !agrees(as_then.as_ref())
}
