//! The operator's bounds: what a run may do whatever its caller asks for
//! (contract §7.3).
//!
//! ```text
//!   request ──▶ filled: members that neither it nor the root's type sets
//!                  │ get their default                  (DEFAULT_CONSTRAINTS)
//!                  ▼
//!               narrowed by the maxima                  (MAX_CONSTRAINTS)
//!                  ├─▶ the run's constraints: everything in it inherits them
//!                  └─▶ limits that are still open: the ceilings, in the record
//! ```
//!
//! **Invariants.** The bounds of a run are decided once, when it enters the
//! journal, and stored with it: creation, dispatch and replay read the same
//! record, and other settings change no run that exists. Nothing in the run can
//! widen them, because merging only narrows. A request is identified by what the
//! caller sent, before its bounds.
//!
//! The ceilings do not go to executors: composite executors take the limits that
//! they are sent for their planning.

use super::{
    command::{Bounds, NodeTypeFacts, Rules},
    constraints::merge,
};
use crate::types::{
    BudgetConstraints, CandidateConstraints, ConstraintEnvelope, GateConstraints, RunStartRequest,
    StructuralConstraints,
};

/// A start request whose constraints are within the bounds.
#[derive(Clone, Debug)]
pub struct BoundedStart {
    pub(super) request: RunStartRequest,
    pub(super) ceilings: Option<StructuralConstraints>,
}

impl BoundedStart {
    pub fn of(mut request: RunStartRequest, facts: &NodeTypeFacts, rules: &Rules) -> Self {
        let of_type = facts.constraints.as_ref();
        request.constraints = rules.bounds.within(request.constraints, of_type);
        let ceilings = rules.bounds.ceilings(request.constraints.as_ref(), of_type);
        Self { request, ceilings }
    }

    pub fn request(&self) -> &RunStartRequest {
        &self.request
    }
}

impl Bounds {
    /// The constraints of a run: those given, with the defaults, within the
    /// maxima.
    pub(super) fn within(
        &self,
        given: Option<ConstraintEnvelope>,
        of_type: Option<&ConstraintEnvelope>,
    ) -> Option<ConstraintEnvelope> {
        let filled = match &self.defaults {
            None => given,
            Some(defaults) => {
                let is_given = given.is_some();
                let filled = filled(given.unwrap_or_default(), of_type, defaults);
                (is_given || filled != ConstraintEnvelope::default()).then_some(filled)
            }
        };
        if self.maxima.is_none() { filled } else { merge([filled.as_ref(), self.maxima.as_ref()]) }
    }

    /// The ceilings of what a run's constraints leave open.
    pub(super) fn ceilings(
        &self,
        of_run: Option<&ConstraintEnvelope>,
        of_type: Option<&ConstraintEnvelope>,
    ) -> Option<StructuralConstraints> {
        let given = merge([of_run, of_type]).and_then(|merged| merged.structural).unwrap_or_default();
        let StructuralConstraints {
            max_depth,
            max_children_per_composite,
            max_total_nodes_per_run,
            max_decomposition_rounds_per_node,
        } = self.ceilings;
        let open = StructuralConstraints {
            max_depth: max_depth.filter(|_| given.max_depth.is_none()),
            max_children_per_composite: max_children_per_composite
                .filter(|_| given.max_children_per_composite.is_none()),
            max_total_nodes_per_run: max_total_nodes_per_run
                .filter(|_| given.max_total_nodes_per_run.is_none()),
            max_decomposition_rounds_per_node: max_decomposition_rounds_per_node
                .filter(|_| given.max_decomposition_rounds_per_node.is_none()),
        };
        (open != StructuralConstraints::default()).then_some(open)
    }
}

/// Sets each member of a part that is not limited yet; a part that stays empty
/// is not made.
macro_rules! fill {
    ($part:ident of $own:expr, $of_type:expr, $defaults:expr, $type:ident { $($member:ident),* }) => {
        if let Some($type { $($member),* }) = $defaults.$part.clone() {
            let of_type = $of_type.and_then(|envelope| envelope.$part.as_ref());
            let mut part = $own.$part.clone().unwrap_or_default();
            $(
                if part.$member.is_none() && of_type.is_none_or(|of_type| of_type.$member.is_none()) {
                    part.$member = $member;
                }
            )*
            if $own.$part.is_some() || part != $type::default() {
                $own.$part = Some(part);
            }
        }
    };
}

fn filled(
    mut own: ConstraintEnvelope,
    of_type: Option<&ConstraintEnvelope>,
    defaults: &ConstraintEnvelope,
) -> ConstraintEnvelope {
    fill!(structural of own, of_type, defaults, StructuralConstraints {
        max_depth, max_children_per_composite, max_total_nodes_per_run, max_decomposition_rounds_per_node
    });
    fill!(candidates of own, of_type, defaults, CandidateConstraints {
        max_candidates_per_subtask, allowed_node_type_ids, denied_node_type_ids
    });
    fill!(budgets of own, of_type, defaults, BudgetConstraints {
        max_wall_time_ms, max_steps, max_external_calls, max_cost
    });
    fill!(gates of own, of_type, defaults, GateConstraints { require_approval, side_effect_class });
    own
}
