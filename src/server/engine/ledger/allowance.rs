//! How much a node may use.
//!
//! | what is known about the node | allowance | if that much is not left |
//! |---|---|---|
//! | a budget of its own, stricter than its parent's | that, or what is left | refused when nothing is left |
//! | an estimate of its type | that | refused |
//! | nothing | the default | refused, and when nothing is left |
//!
//! A cost that nothing estimates cannot be reserved: if the default is 0, the
//! executor gets what is left, and what it reports counts as not reserved.

use super::{Accounts, Amounts, Kind, Limits};
use crate::{
    engine::command::Rules,
    record::{Estimate, money},
    types::{BudgetConstraints, ConstraintEnvelope, Error, NodeKind, NonNegative},
};

pub(super) struct Allowance {
    pub(super) reserved: Amounts,
    /// What the executor is sent.
    pub(super) granted: Limits,
}

/// The allowance of a node, unless something has too little left for it.
pub(super) fn of(
    accounts: &Accounts<'_>,
    kind: NodeKind,
    is_first: bool,
    rules: &Rules,
) -> Result<Allowance, Error> {
    let steps = accounts.tightest(Kind::Steps).map(|(_, _, left)| left);
    if is_first && steps == Some(0) {
        return Err(accounts.exceeded(Kind::Steps, 1));
    }
    let mut reserved = Amounts::default();
    match kind {
        // Its executor plans with what is left after its own step.
        NodeKind::Composite => {
            let granted = Limits { steps: steps.map(|left| left.saturating_sub(1)), ..Limits::default() };
            Ok(Allowance { reserved, granted })
        }
        NodeKind::Atomic => {
            let mut granted = Limits::default();
            let calls = wanted(accounts, Kind::ExternalCalls, rules)?;
            let cost = wanted(accounts, Kind::Cost, rules)?;
            if let Some(calls) = calls {
                (reserved.external_calls, granted.external_calls) = (calls.reserved, Some(calls.granted));
            }
            if let Some(cost) = cost {
                (reserved.cost_millionths, granted.cost_millionths) = (cost.reserved, Some(cost.granted));
            }
            Ok(Allowance { reserved, granted })
        }
    }
}

struct Share {
    reserved: u64,
    granted: u64,
}

/// `None` if the kind is not limited.
fn wanted(accounts: &Accounts<'_>, kind: Kind, rules: &Rules) -> Result<Option<Share>, Error> {
    let Some((_, _, left)) = accounts.tightest(kind) else { return Ok(None) };
    let budget = &accounts.node.budget;
    let own = budget.account.as_ref().and_then(|account| account.limit.get(kind));
    let estimate = budget.estimate.as_ref().and_then(|estimate| estimated(estimate, kind));
    let default = estimated(&rules.default_usage, kind).unwrap_or_default();
    let (wanted, fits) = match (own, estimate) {
        (Some(own), _) => (own.min(left), own == 0 || left > 0),
        (None, Some(estimate)) => (estimate, estimate <= left),
        // It may need some, so there must be some, unless none was ever allowed.
        (None, None) => (default, default <= left && (left > 0 || is_untouched(accounts, kind))),
    };
    if !fits {
        return Err(accounts.exceeded(kind, own.unwrap_or(wanted)));
    }
    let unknown = own.is_none() && estimate.is_none() && wanted == 0;
    Ok(Some(Share { reserved: wanted, granted: if unknown { left } else { wanted } }))
}

/// Nothing was spent of the account that has the least left.
fn is_untouched(accounts: &Accounts<'_>, kind: Kind) -> bool {
    let spent = |amounts: &Amounts| amounts.get(kind) > 0;
    accounts.tightest(kind).is_none_or(|(_, account, _)| !spent(&account.used) && !spent(&account.reserved))
}

fn estimated(estimate: &Estimate, kind: Kind) -> Option<u64> {
    match kind {
        Kind::Steps => Some(1),
        Kind::ExternalCalls => estimate.external_calls,
        Kind::Cost => estimate.cost_millionths,
    }
}

/// What a node that has reserved already is sent with another attempt.
pub(super) fn again(accounts: &Accounts<'_>, kind: NodeKind) -> Limits {
    let left = |kind| accounts.tightest(kind).map(|(_, _, left)| left);
    match (kind, &accounts.node.budget.reserved) {
        (NodeKind::Composite, _) => Limits { steps: left(Kind::Steps), ..Limits::default() },
        (NodeKind::Atomic, reserved) => {
            let reserved = reserved.unwrap_or_default();
            // Its own reservation is not left any more, but it is for this node.
            let own =
                |kind| left(kind).map(|left| if reserved.get(kind) > 0 { reserved.get(kind) } else { left });
            Limits { steps: None, external_calls: own(Kind::ExternalCalls), cost_millionths: own(Kind::Cost) }
        }
    }
}

/// The constraints that an executor is sent: with what it may use.
pub fn with_allowance(
    constraints: Option<ConstraintEnvelope>,
    granted: &Limits,
) -> Option<ConstraintEnvelope> {
    if granted.is_nothing() {
        return constraints;
    }
    let mut constraints = constraints.unwrap_or_default();
    let budgets: &mut BudgetConstraints = constraints.budgets.get_or_insert_default();
    budgets.max_steps = granted.steps.or(budgets.max_steps);
    budgets.max_external_calls = granted.external_calls.or(budgets.max_external_calls);
    let cost = granted.cost_millionths.and_then(|cost| NonNegative::try_from(money(cost)).ok());
    budgets.max_cost = cost.or(budgets.max_cost);
    Some(constraints)
}
