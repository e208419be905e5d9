//! Constraint envelopes: merging them and testing against them (contract §7).
//!
//! Merging only ever narrows: limits take the minimum, allow-lists intersect,
//! deny-lists unite, approval is required if any envelope requires it, and the lowest
//! side-effect ceiling wins (D-04). Of an envelope's `extensions` only
//! `jarvis.max_retries` survives, as the minimum.

use std::{collections::BTreeSet, time::Duration};

use super::{
    command::NodeTypeFacts,
    extensions::{self, CONSTRAINTS},
    rejection::Rejection,
};
use crate::{
    record::{NodeRecord, RunRecord},
    types::{
        BudgetConstraints, CandidateConstraints, ConstraintEnvelope, Error, Extensions, GateConstraints,
        NodeKind, NodeTypeRef, SideEffectClass, StructuralConstraints,
    },
};

/// The constraints stored with a record.
pub fn stored(extensions: Option<&Extensions>) -> Result<Option<ConstraintEnvelope>, Rejection> {
    match extensions::own(extensions, CONSTRAINTS) {
        None => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|_| Rejection::ConstraintInvalid),
    }
}

/// The constraints that hold where all of `envelopes` hold; `None` if they are
/// empty.
pub fn merge<'e>(
    envelopes: impl IntoIterator<Item = Option<&'e ConstraintEnvelope>>,
) -> Option<ConstraintEnvelope> {
    let given: Vec<&ConstraintEnvelope> = envelopes.into_iter().flatten().collect();
    let merged = ConstraintEnvelope {
        structural: part(&given, |e| e.structural.as_ref(), structural),
        candidates: part(&given, |e| e.candidates.as_ref(), candidates),
        budgets: part(&given, |e| e.budgets.as_ref(), budgets),
        gates: part(&given, |e| e.gates.as_ref(), gates),
        extensions: limited_retries(given.iter().filter_map(|envelope| max_retries(envelope)).min()),
    };
    says_something(&merged).then_some(merged)
}

/// [`merge`] of an envelope with that of a type. Where there is no other, the
/// lists of the one, which may be long, are put in order rather than copied.
pub(super) fn narrowed(
    envelope: Option<ConstraintEnvelope>,
    of_type: Option<&ConstraintEnvelope>,
) -> Option<ConstraintEnvelope> {
    if of_type.is_some() {
        return merge([envelope.as_ref(), of_type]);
    }
    let mut only = envelope?;
    let candidates = only
        .candidates
        .as_mut()
        .map(|part| [&mut part.allowed_node_type_ids, &mut part.denied_node_type_ids]);
    for list in candidates.into_iter().flatten().flatten() {
        list.sort_unstable();
        list.dedup();
    }
    only.extensions = limited_retries(max_retries(&only));
    says_something(&only).then_some(only)
}

/// The constraints that limit the tree only.
pub(super) fn of_structure(structural: StructuralConstraints) -> ConstraintEnvelope {
    ConstraintEnvelope { structural: Some(structural), ..ConstraintEnvelope::default() }
}

fn says_something(envelope: &ConstraintEnvelope) -> bool {
    let ConstraintEnvelope { structural, candidates, budgets, gates, extensions } = envelope;
    structural.is_some()
        || candidates.is_some()
        || budgets.is_some()
        || gates.is_some()
        || extensions.is_some()
}

const MAX_RETRIES: &str = "jarvis.max_retries";

/// The maximum number of retries of a failed result; what is no number limits
/// nothing.
pub(super) fn max_retries(envelope: &ConstraintEnvelope) -> Option<u64> {
    envelope.extensions.as_ref()?.raw(MAX_RETRIES)?.parse().ok()
}

fn limited_retries(limit: Option<u64>) -> Option<Extensions> {
    limit.map(|limit| Extensions::new().with(MAX_RETRIES, &limit))
}

/// The constraints that hold for a node at dispatch (contract §7.2): those of
/// its run, its own, and those of its type, which may not have been known when
/// the node was made. The node's own include its ancestors'; the run's are
/// merged again because another coordinator may have written the record.
/// Narrowing twice changes nothing.
pub fn effective_constraints(
    run: &RunRecord,
    node: &NodeRecord,
    facts: &NodeTypeFacts,
) -> Result<Option<ConstraintEnvelope>, Error> {
    let invalid = |_| Error::new("constraint_invalid", "Constraints payload is not valid");
    let text = |extensions| extensions::own(extensions, CONSTRAINTS);
    let (of_run, of_node) = (run.run.extensions.as_ref(), node.node.extensions.as_ref());
    let own = stored(of_node).map_err(invalid)?;
    if text(of_run) == text(of_node) {
        // As most roots have them. The lists may be long: they are read once.
        return Ok(narrowed(own, facts.constraints.as_ref()));
    }
    let of_run = stored(of_run).map_err(invalid)?;
    Ok(merge([of_run.as_ref(), own.as_ref(), facts.constraints.as_ref()]))
}

/// A part is present if any envelope has it, even an empty one.
fn part<'e, P>(
    given: &[&'e ConstraintEnvelope],
    pick: fn(&'e ConstraintEnvelope) -> Option<&'e P>,
    merge: fn(&[&'e P]) -> P,
) -> Option<P> {
    let parts: Vec<&P> = given.iter().filter_map(|envelope| pick(envelope)).collect();
    (!parts.is_empty()).then(|| merge(&parts))
}

fn structural(parts: &[&StructuralConstraints]) -> StructuralConstraints {
    let least =
        |of: fn(&StructuralConstraints) -> Option<u64>| parts.iter().filter_map(|part| of(part)).min();
    StructuralConstraints {
        max_depth: least(|part| part.max_depth),
        max_children_per_composite: least(|part| part.max_children_per_composite),
        max_total_nodes_per_run: least(|part| part.max_total_nodes_per_run),
        max_decomposition_rounds_per_node: least(|part| part.max_decomposition_rounds_per_node),
    }
}

fn budgets(parts: &[&BudgetConstraints]) -> BudgetConstraints {
    let least = |of: fn(&BudgetConstraints) -> Option<u64>| parts.iter().filter_map(|part| of(part)).min();
    BudgetConstraints {
        max_wall_time_ms: least(|part| part.max_wall_time_ms),
        max_steps: least(|part| part.max_steps),
        max_external_calls: least(|part| part.max_external_calls),
        max_cost: parts.iter().filter_map(|part| part.max_cost).min_by(|a, b| a.get().total_cmp(&b.get())),
    }
}

fn candidates<'e>(parts: &[&'e CandidateConstraints]) -> CandidateConstraints {
    // Of references: the lists may be long, and only one is made of them.
    let set = |ids: &'e Vec<String>| ids.iter().collect::<BTreeSet<_>>();
    let list = |ids: BTreeSet<&String>| ids.into_iter().cloned().collect();
    let allowed = parts.iter().filter_map(|part| part.allowed_node_type_ids.as_ref()).map(set);
    let denied = parts.iter().filter_map(|part| part.denied_node_type_ids.as_ref()).flatten();
    let denies = parts.iter().any(|part| part.denied_node_type_ids.is_some());
    CandidateConstraints {
        max_candidates_per_subtask: parts.iter().filter_map(|part| part.max_candidates_per_subtask).min(),
        allowed_node_type_ids: allowed.reduce(|a, b| a.intersection(&b).copied().collect()).map(list),
        denied_node_type_ids: denies.then(|| list(denied.collect())),
    }
}

fn gates(parts: &[&GateConstraints]) -> GateConstraints {
    GateConstraints {
        require_approval: parts.iter().filter_map(|part| part.require_approval).reduce(|a, b| a || b),
        side_effect_class: parts
            .iter()
            .filter_map(|part| part.side_effect_class)
            .min_by_key(|class| rank(*class)),
    }
}

fn rank(class: SideEffectClass) -> u8 {
    match class {
        SideEffectClass::Read => 0,
        SideEffectClass::Write => 1,
        SideEffectClass::Irreversible => 2,
    }
}

/// The wall time that a run or node may take: its budget, at most `default`
/// (G09).
pub(super) fn wall_time(envelope: Option<&ConstraintEnvelope>, default: Duration) -> Duration {
    let budget = envelope.and_then(|envelope| envelope.budgets.as_ref()?.max_wall_time_ms);
    budget.map_or(default, |ms| default.min(Duration::from_millis(ms)))
}

/// Says why a type can never be executed under these constraints (contract
/// §9.2 step 3, G11): nothing that happens later makes it possible. `None` if it may be.
pub(super) fn forbidden(
    effective: Option<&ConstraintEnvelope>,
    node_type: &NodeTypeRef,
    kind: Option<NodeKind>,
    side_effect: SideEffectClass,
) -> Option<Error> {
    let effective = effective?;
    if let Some(candidates) = &effective.candidates {
        let named = |ids: &Vec<String>| ids.contains(&node_type.node_type_id);
        if candidates.allowed_node_type_ids.as_ref().is_some_and(|allowed| !named(allowed)) {
            return Some(Error::new("node_type_not_allowed", "NodeType is not in the allowed candidate set"));
        }
        if candidates.denied_node_type_ids.as_ref().is_some_and(named) {
            return Some(Error::new("node_type_denied", "NodeType is denied by candidate constraints"));
        }
    }
    let gates = effective.gates.as_ref()?;
    // A composite has no effect of its own; each of its children is tested.
    let (Some(ceiling), Some(NodeKind::Atomic)) = (gates.side_effect_class, kind) else { return None };
    (rank(side_effect) > rank(ceiling)).then(|| {
        Error::new(
            "side_effect_not_allowed",
            format!("NodeType may have {side_effect} effects; at most {ceiling} is allowed"),
        )
    })
}

/// Whether a node must not be executed under these constraints without an approval.
pub(super) fn requires_approval(effective: Option<&ConstraintEnvelope>) -> bool {
    effective.and_then(|effective| effective.gates.as_ref()?.require_approval) == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(envelope: &Value) -> ConstraintEnvelope {
        serde_json::from_value(envelope.clone()).expect("an envelope")
    }

    fn merged(envelopes: &[Value]) -> Value {
        let envelopes: Vec<_> = envelopes.iter().map(parsed).collect();
        serde_json::to_value(merge(envelopes.iter().map(Some))).expect("serializes")
    }

    #[test]
    fn merging_follows_the_table_of_the_contract() {
        for (given, expected) in [
            (vec![], Value::Null),
            (vec![json!({})], Value::Null),
            (vec![json!({"extensions": {"a.b": 1}})], Value::Null),
            (vec![json!({"extensions": {"jarvis.max_retries": -1}})], Value::Null),
            (
                vec![
                    json!({"extensions": {"jarvis.max_retries": 3, "a.b": 1}}),
                    json!({"gates": {}, "extensions": {"jarvis.max_retries": 1}}),
                ],
                json!({"gates": {}, "extensions": {"jarvis.max_retries": 1}}),
            ),
            (vec![json!({"structural": {}})], json!({"structural": {}})),
            (
                vec![
                    json!({"structural": {"max_depth": 3}}),
                    json!({"structural": {"max_depth": 2}, "gates": {}}),
                ],
                json!({"structural": {"max_depth": 2}, "gates": {}}),
            ),
            (
                vec![json!({"candidates": {"allowed_node_type_ids": ["b", "a", "a"]}})],
                json!({"candidates": {"allowed_node_type_ids": ["a", "b"]}}),
            ),
            (
                vec![
                    json!({"candidates": {"denied_node_type_ids": ["b", "a", "b"]}, "extensions": {"a.b": 1}}),
                ],
                json!({"candidates": {"denied_node_type_ids": ["a", "b"]}}),
            ),
            (
                vec![
                    json!({"candidates": {"allowed_node_type_ids": []}}),
                    json!({"candidates": {"allowed_node_type_ids": ["a"]}}),
                ],
                json!({"candidates": {"allowed_node_type_ids": []}}),
            ),
            (
                vec![
                    json!({"candidates": {"denied_node_type_ids": ["z", "a"]}}),
                    json!({"candidates": {"denied_node_type_ids": ["b", "a"]}}),
                ],
                json!({"candidates": {"denied_node_type_ids": ["a", "b", "z"]}}),
            ),
            (
                vec![
                    json!({"gates": {"require_approval": false}}),
                    json!({"gates": {"require_approval": true}}),
                ],
                json!({"gates": {"require_approval": true}}),
            ),
            (
                vec![
                    json!({"gates": {"side_effect_class": "irreversible"}}),
                    json!({"gates": {"side_effect_class": "read"}}),
                    json!({"gates": {"side_effect_class": "write"}}),
                ],
                json!({"gates": {"side_effect_class": "read"}}),
            ),
            (
                vec![
                    json!({"budgets": {"max_cost": 1}}),
                    json!({"budgets": {"max_cost": 0.5, "max_steps": 4}}),
                ],
                json!({"budgets": {"max_cost": 0.5, "max_steps": 4}}),
            ),
        ] {
            assert_eq!(merged(&given), expected, "{given:?}");
            let of_type = given.get(1).map(parsed);
            let narrowed = narrowed(given.first().map(parsed), of_type.as_ref());
            assert_eq!(serde_json::to_value(narrowed).expect("serializes"), expected, "{given:?}");
        }
    }

    #[test]
    fn allow_list_is_tested_first_and_deny_beats_allow() {
        let node_type: NodeTypeRef =
            serde_json::from_value(json!({"node_type_id": "t", "version": "1"})).expect("a reference");
        let code = |envelope: Value, kind, effect| {
            let envelope: ConstraintEnvelope = serde_json::from_value(envelope).expect("an envelope");
            forbidden(Some(&envelope), &node_type, Some(kind), effect).map(|error| error.code)
        };
        let atomic = |envelope| code(envelope, NodeKind::Atomic, SideEffectClass::Write);
        for (envelope, expected) in [
            (json!({}), None),
            (json!({"candidates": {"allowed_node_type_ids": ["t"]}}), None),
            (json!({"candidates": {"allowed_node_type_ids": []}}), Some("node_type_not_allowed")),
            (
                json!({"candidates": {"allowed_node_type_ids": ["u"], "denied_node_type_ids": ["t"]}}),
                Some("node_type_not_allowed"),
            ),
            (
                json!({"candidates": {"allowed_node_type_ids": ["t"], "denied_node_type_ids": ["t"]}}),
                Some("node_type_denied"),
            ),
            (json!({"gates": {"side_effect_class": "write"}}), None),
            (json!({"gates": {"side_effect_class": "read"}}), Some("side_effect_not_allowed")),
            (json!({"gates": {"require_approval": true}}), None),
        ] {
            assert_eq!(atomic(envelope.clone()).as_deref(), expected, "{envelope}");
        }
        let read_only = json!({"gates": {"side_effect_class": "read"}});
        assert_eq!(
            code(read_only.clone(), NodeKind::Atomic, SideEffectClass::Irreversible).as_deref(),
            Some("side_effect_not_allowed"),
            "unknown effects count as irreversible"
        );
        assert_eq!(code(read_only, NodeKind::Composite, SideEffectClass::Irreversible), None);
    }
}
