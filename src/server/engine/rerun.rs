//! Repeating a run: what of the original stands for a new node, and whether its
//! outputs do ([ADR 36](../../../docs/adr/0036-a-rerun-is-a-new-run.md)).
//!
//! ```text
//!   a child is created in a run that repeats another
//!     └─ its parent repeats a node of that one?  ──no──▶ executed
//!          └─ the twin: by its idempotency key, else the first child of that node with the
//!             same type and inputs that is the twin of no other
//!               ├─ succeeded ──▶ reused: made and ended in the same commit
//!               └─ otherwise ──▶ executed; what is below it may have twins
//! ```
//!
//! **Invariants.** Outputs are reused of a node only that succeeded, that no evaluator
//! has judged otherwise, of the same type, with the same inputs and the same
//! constraints (but budgets, of which nothing is used), under the same ancestors, in
//! the run that this one repeats, which has the same owner. A reused node has no
//! attempt.

use super::{
    constraints,
    draft::{Draft, End},
    extensions::{IDEMPOTENCY_KEY, OUTPUT_VIOLATIONS, REUSED_FROM, Writer, own},
};
use crate::{
    record::{NodeRecord, Repetition, RunRecord, SIBLINGS_MAX, Taken, Twin},
    types::{
        ConstraintEnvelope, EvaluationResult, EvaluationStatus, JsonObject, NodeKind, NodeRun, NodeRunId,
        NodeRunState, NodeTypeRef, RunEventType, json::same_json,
    },
};

/// A child of a node that is repeated, without its content.
#[derive(Clone, Debug, PartialEq)]
pub struct Sibling {
    pub id: NodeRunId,
    pub node_type: NodeTypeRef,
    /// Digest of its inputs.
    pub inputs: String,
    /// Its outputs can stand for those of its twin.
    pub is_reusable: bool,
    /// It is worth being a twin: its outputs can be reused, or those of what is below.
    pub is_twin: bool,
}

impl Sibling {
    pub fn of(node: &NodeRecord, inputs: String) -> Self {
        let is_reusable = is_reusable(node);
        Self {
            id: node.id().clone(),
            node_type: node.node.node_type_ref.clone(),
            inputs,
            is_reusable,
            is_twin: is_reusable || node.node.kind == Some(NodeKind::Composite),
        }
    }

    /// Whether a child without an idempotency key is looked for among these.
    pub fn is_keyless(node: &NodeRecord) -> bool {
        own(node.node.extensions.as_ref(), IDEMPOTENCY_KEY).is_none()
    }
}

/// A node that may be the twin of a new one.
#[derive(Clone, Debug)]
pub struct FoundTwin {
    pub node: NodeRecord,
    /// Its number among its siblings, if it was found among them.
    pub number: Option<usize>,
}

/// Looks for the twin of a child of this type with these inputs: of those that are
/// the twin of no other, the first with outputs, else the first at all.
pub fn twin_among(
    siblings: &[Sibling],
    taken: &Taken,
    node_type: &NodeTypeRef,
    inputs: &str,
) -> Option<usize> {
    let free = || {
        let same = |(number, sibling): &(usize, &Sibling)| {
            sibling.is_twin
                && !taken.contains(*number)
                && sibling.inputs == inputs
                && sibling.node_type == *node_type
        };
        siblings.iter().enumerate().take(SIBLINGS_MAX).filter(same)
    };
    free().find(|(_, sibling)| sibling.is_reusable).or_else(|| free().next()).map(|(number, _)| number)
}

/// Whether the outputs of a node can stand for those of its twin.
fn is_reusable(node: &NodeRecord) -> bool {
    let judged = node.node.evaluation_result.as_ref().map(|evaluation| evaluation.status);
    let is_good = match judged {
        None | Some(EvaluationStatus::Success) => true,
        Some(EvaluationStatus::Fail | EvaluationStatus::Unknown) => false,
    };
    node.node.state == NodeRunState::Succeeded && is_good
}

/// Notes what `found` is to a new node of a run. Returns whether its outputs are those
/// of the new node.
pub(super) fn recognize(
    run: &RunRecord,
    parent: &mut NodeRecord,
    node: &mut NodeRecord,
    found: &FoundTwin,
) -> bool {
    if !is_same(run, parent, node, found) {
        return false;
    }
    if let Some(number) = found.number {
        parent.repetition.taken.insert(number);
    }
    let id = found.node.id().clone();
    let same_kind = found.node.node.kind == node.node.kind && node.node.kind.is_some();
    let is_reused = is_reusable(&found.node) && same_kind && !found.node.unread.any();
    let twin = if is_reused { Twin::Reuses(id) } else { Twin::Repeats(id) };
    node.repetition = Repetition { twin, taken: Taken::default() };
    is_reused
}

fn is_same(run: &RunRecord, parent: &NodeRecord, node: &NodeRecord, found: &FoundTwin) -> bool {
    let FoundTwin { node: old, number } = found;
    let Some(rerun) = run.rerun.as_ref().filter(|rerun| rerun.reuses) else { return false };
    let Some(above) = parent.repetition.twin.repeated() else { return false };
    let key = |node: &NodeRecord| own(node.node.extensions.as_ref(), IDEMPOTENCY_KEY).map(str::to_owned);
    let same_key = match (key(old), key(node)) {
        (Some(old), Some(new)) => same_json(&old, &new),
        (None, None) => number.is_some_and(|number| !parent.repetition.taken.contains(number)),
        (Some(_), None) | (None, Some(_)) => false,
    };
    let same_inputs = match (&old.node.inputs, &node.node.inputs) {
        (Some(old), Some(new)) => old.same_as(new),
        (None, None) => true,
        (Some(one), None) | (None, Some(one)) => one.is_empty(),
    };
    old.node.run_id == rerun.run_id
        && old.node.parent_node_run_id.as_ref() == Some(above)
        && same_key
        && old.node.node_type_ref == node.node.node_type_ref
        && !old.unread.inputs
        && same_inputs
        && same_constraints(old, node)
}

/// Budgets do not matter: a node that is reused uses nothing, and executors send
/// what is left of them.
fn same_constraints(old: &NodeRecord, new: &NodeRecord) -> bool {
    let but_budgets = |node: &NodeRecord| -> Option<ConstraintEnvelope> {
        let stored = constraints::stored(node.node.extensions.as_ref()).ok()?;
        Some(ConstraintEnvelope { budgets: None, ..stored.unwrap_or_default() })
    };
    match (but_budgets(old), but_budgets(new)) {
        (Some(old), Some(new)) => old == new,
        // What cannot be read cannot be compared.
        (_, None) | (None, Some(_)) => false,
    }
}

/// Ends a new node with the outputs of its twin, and returns it as it is then. Its events
/// name the twin.
pub(super) fn reuse(draft: &mut Draft<'_>, mut node: NodeRecord, old: NodeRecord) -> NodeRun {
    let evaluation = old.node.evaluation_result.clone().unwrap_or_else(|| EvaluationResult {
        status: EvaluationStatus::Success,
        reason_code: Some("outputs_reused".into()),
        message: None,
        details: None,
        confidence: None,
        extensions: None,
    });
    let violations = old.node.extensions.as_ref().and_then(|own| own.get(OUTPUT_VIOLATIONS));
    let first = draft.events_made().len();
    draft.event(RunEventType::NodeEvaluated, Some(&node), JsonObject::of(&evaluation));
    node.node.evaluation_result = Some(evaluation);
    node.node.extensions = Writer::update(draft.cx.rules, node.node.extensions.take())
        .exactly(REUSED_FROM, old.id())
        .noted(OUTPUT_VIOLATIONS, violations.as_ref())
        .done();
    let (id, old) = (old.id().clone(), old.node);
    let end = End {
        state: NodeRunState::Succeeded,
        outputs: old.outputs,
        output_artifacts: old.output_artifacts,
        error: None,
        notify_executor: false,
    };
    let node = draft.end_one(node, end, draft.cx.claim);
    // All but that it was created.
    for record in draft.events_made().iter_mut().skip(first) {
        let extensions = record.event.extensions.get_or_insert_default();
        *extensions = extensions.with(REUSED_FROM, &id);
    }
    let answer = node.node.clone();
    draft.put(node);
    answer
}
