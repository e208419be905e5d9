//! Facts about a node's type that arrive after the node was created, because the
//! type was unknown then or the Node Registry was unavailable.
//!
//! They are stored with their effect: from then on the type's constraints narrow
//! those of the node, of its children and of each later attempt, even if the
//! registry gives another answer by then (contract §7, D-14).

use super::{
    command::{NodeTypeFacts, Rules},
    constraints::effective_constraints,
    extensions::{CONSTRAINTS, Writer},
    ledger,
};
use crate::record::{NodeRecord, RunRecord};

/// Stores on the node what its type says.
pub(super) fn learn(run: &RunRecord, node: &mut NodeRecord, facts: &NodeTypeFacts, rules: &Rules) {
    node.node.kind = node.node.kind.or(facts.kind);
    node.side_effect = node.side_effect.or(facts.side_effect);
    node.idempotent |= facts.idempotent;
    if node.result_retries.rule.is_none() {
        node.result_retries.rule.clone_from(&facts.retry);
    }
    node.budget.estimate = node.budget.estimate.or(facts.estimated_usage);
    if facts.constraints.is_none() {
        return;
    }
    // Constraints that cannot be read are rejected at dispatch and in a create.
    let Ok(narrowed) = effective_constraints(run, node, facts) else { return };
    let before = effective_constraints(run, node, &NodeTypeFacts::default()).unwrap_or_default();
    node.type_constraints.clone_from(&facts.constraints);
    let extensions = Writer::update(rules, node.node.extensions.take());
    node.node.extensions = extensions.own(CONSTRAINTS, narrowed.as_ref()).done();
    ledger::learned(node, &ledger::limits(narrowed.as_ref()), &ledger::limits(before.as_ref()), rules);
}
