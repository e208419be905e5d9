//! What is found out about a node's type after the node was made: nobody knew
//! the type then, or the Node Registry was out.
//!
//! It is written down with what it comes to: the constraints of the type narrow
//! the node's own from then on, those of its children, and each later attempt,
//! whatever the registry says by that time (contract §7, D-14).

use super::{
    command::{NodeTypeFacts, Rules},
    constraints::effective_constraints,
    extensions::{CONSTRAINTS, Writer},
};
use crate::record::{NodeRecord, RunRecord};

/// Notes on the node what its type says.
pub(super) fn learn(run: &RunRecord, node: &mut NodeRecord, facts: &NodeTypeFacts, rules: &Rules) {
    node.node.kind = node.node.kind.or(facts.kind);
    node.side_effect = node.side_effect.or(facts.side_effect);
    node.idempotent |= facts.idempotent;
    if facts.constraints.is_none() {
        return;
    }
    // What cannot be read is refused, at dispatch as in a create.
    let Ok(narrowed) = effective_constraints(run, node, facts) else { return };
    node.type_constraints.clone_from(&facts.constraints);
    let extensions = Writer::update(rules, node.node.extensions.take());
    node.node.extensions = extensions.own(CONSTRAINTS, narrowed.as_ref()).done();
}
