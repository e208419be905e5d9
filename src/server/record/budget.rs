//! The accounts of budgets: what a run, or a node with everything below it, may
//! spend and has spent (contract §7.4). The rules are the engine's.
//!
//! ```text
//!   Run          account: limit · reserved · used · unreserved
//!    └ node      account, if its budgets are narrower than its parent's
//!       └ node   payer: the nearest node above it with an account
//!                reserved: its own allowance, until its use is known
//! ```
//!
//! **Architecture invariant.** Amounts are integers, so sums are exact; they
//! saturate. Money is counted in millionths.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::types::{BudgetConstraints, JsonObject, NodeRunId};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// NodeRuns handed to an executor, each once.
    Steps,
    ExternalCalls,
    Cost,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Steps, Self::ExternalCalls, Self::Cost];

    /// The name of the limit in a constraint envelope.
    pub fn limit_name(self) -> &'static str {
        match self {
            Self::Steps => "max_steps",
            Self::ExternalCalls => "max_external_calls",
            Self::Cost => "max_cost",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::ExternalCalls => "external_calls",
            Self::Cost => "cost",
        }
    }

    /// An amount as callers see it.
    pub fn shown(self, amount: u64) -> Value {
        match self {
            Self::Steps | Self::ExternalCalls => amount.into(),
            Self::Cost => money(amount).into(),
        }
    }
}

/// Millionths of an amount of money; what is above zero is at least one.
pub fn millionths(money: f64) -> u64 {
    let exact = money * 1e6;
    // `as` saturates, and makes 0 of what is no number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let rounded = exact.round() as u64;
    if rounded == 0 && money > 0.0 { 1 } else { rounded }
}

/// The inverse of [`millionths`].
#[expect(clippy::cast_precision_loss, reason = "for people: nothing is computed from it")]
pub fn money(millionths: u64) -> f64 {
    millionths as f64 / 1e6
}

/// An amount of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    #[serde(skip_serializing_if = "is_zero")]
    pub steps: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub external_calls: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cost_millionths: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

impl Amounts {
    pub fn get(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Steps => self.steps,
            Kind::ExternalCalls => self.external_calls,
            Kind::Cost => self.cost_millionths,
        }
    }

    pub fn get_mut(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Steps => &mut self.steps,
            Kind::ExternalCalls => &mut self.external_calls,
            Kind::Cost => &mut self.cost_millionths,
        }
    }

    /// The sum, kind by kind.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for kind in Kind::ALL {
            let sum = self.get(kind).saturating_add(other.get(kind));
            *self.get_mut(kind) = sum;
        }
        self
    }

    /// The difference, kind by kind; never below zero.
    #[must_use]
    pub fn minus(mut self, other: &Self) -> Self {
        for kind in Kind::ALL {
            let difference = self.get(kind).saturating_sub(other.get(kind));
            *self.get_mut(kind) = difference;
        }
        self
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn shown(&self) -> Value {
        let shown = Kind::ALL.map(|kind| (kind.name().to_owned(), kind.shown(self.get(kind))));
        Value::Object(Map::from_iter(shown))
    }
}

/// A limit of some kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_millionths: Option<u64>,
}

impl Limits {
    /// The limits of budgets on what is counted here. (Time is not.)
    pub fn of(budgets: &BudgetConstraints) -> Self {
        let BudgetConstraints { max_wall_time_ms: _, max_steps, max_external_calls, max_cost } = budgets;
        Self {
            steps: *max_steps,
            external_calls: *max_external_calls,
            cost_millionths: max_cost.map(|cost| millionths(cost.get())),
        }
    }

    pub fn get(&self, kind: Kind) -> Option<u64> {
        match kind {
            Kind::Steps => self.steps,
            Kind::ExternalCalls => self.external_calls,
            Kind::Cost => self.cost_millionths,
        }
    }

    /// Those that are stricter than `above`.
    #[must_use]
    pub fn stricter_than(&self, above: &Self) -> Self {
        let stricter =
            |own: Option<u64>, above: Option<u64>| own.filter(|own| above.is_none_or(|above| *own < above));
        Self {
            steps: stricter(self.steps, above.steps),
            external_calls: stricter(self.external_calls, above.external_calls),
            cost_millionths: stricter(self.cost_millionths, above.cost_millionths),
        }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What may be spent below some place, and what has been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub limit: Limits,
    /// Allowances of nodes whose use is not known yet.
    #[serde(default, skip_serializing_if = "Amounts::is_nothing")]
    pub reserved: Amounts,
    #[serde(default, skip_serializing_if = "Amounts::is_nothing")]
    pub used: Amounts,
    /// The part of `used` that no reservation covered: beyond an allowance, or by
    /// what has none.
    #[serde(default, skip_serializing_if = "Amounts::is_nothing")]
    pub unreserved: Amounts,
}

impl Account {
    /// An account with nothing spent; `None` if nothing is limited.
    pub fn opened(limit: Limits) -> Option<Self> {
        (!limit.is_nothing()).then(|| Self { limit, ..Self::default() })
    }

    /// What is left of a kind; `None`: it has no limit.
    pub fn left(&self, kind: Kind) -> Option<u64> {
        let spent = self.reserved.plus(&self.used).get(kind);
        self.limit.get(kind).map(|limit| limit.saturating_sub(spent))
    }

    /// The account as callers see it.
    pub fn shown(&self) -> JsonObject {
        let limits = Kind::ALL.into_iter().filter_map(|kind| {
            let limit = self.limit.get(kind)?;
            Some((kind.name().to_owned(), kind.shown(limit)))
        });
        let mut members = vec![
            ("limit", Value::Object(limits.collect())),
            ("reserved", self.reserved.shown()),
            ("used", self.used.shown()),
        ];
        if !self.unreserved.is_nothing() {
            members.push(("unreserved", self.unreserved.shown()));
        }
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
    }
}

/// What a node has to do with budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeBudget {
    /// Of the node and everything below it, if its own budgets are stricter than
    /// its parent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// The nearest node above it that has an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payer: Option<NodeRunId>,
    /// Its allowance, from the first hand-over until its use is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Amounts>,
    /// Its last execution is settled and another one follows, which reserves
    /// again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// What its type is expected to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
}

impl NodeBudget {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The expected use of an execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Estimate {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_millionths: Option<u64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn money_is_counted_in_millionths() {
        for (money, counted) in [
            (0.0, 0),
            (0.1, 100_000),
            (0.30000000000000004, 300_000),
            (1e-9, 1),
            (1.5, 1_500_000),
            (1e300, u64::MAX),
            (f64::NAN, 0),
        ] {
            assert_eq!(millionths(money), counted, "{money}");
        }
    }

    #[test]
    fn account_saturates_and_is_shown_by_kind() {
        let mut account =
            Account { limit: Limits { steps: Some(3), ..Limits::default() }, ..Account::default() };
        account.used = Amounts { steps: u64::MAX, external_calls: 2, cost_millionths: 250_000 };
        account.reserved = Amounts { steps: 1, ..Amounts::default() };
        assert_eq!((account.left(Kind::Steps), account.left(Kind::Cost)), (Some(0), None));
        let used = json!({"steps": u64::MAX, "external_calls": 2, "cost": 0.25});
        let shown = json!({"limit": {"steps": 3}, "used": used,
            "reserved": {"steps": 1, "external_calls": 0, "cost": 0.0}});
        assert_eq!(Value::from(account.shown()), shown);
        let stored = serde_json::to_string(&account).expect("JSON");
        assert_eq!(serde_json::from_str::<Account>(&stored).expect("an account"), account);
    }
}
