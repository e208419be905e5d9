//! What executors say about the use of budgets (contract §12): `jarvis.usage` in
//! a result, and what is read from our own mirror.
//!
//! A report is another program's word: members that are not what they should be
//! count as not reported, which costs the allowance.

use serde_json::{Value, json};

use crate::{
    engine::extensions::{BUDGET, USAGE},
    record::{Amounts, Estimate, millionths, money},
    types::{Extensions, JsonObject},
};

/// What an executor reports about the work on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub external_calls: Option<u64>,
    pub cost_millionths: Option<u64>,
    pub tokens_in: Option<u64>,
    pub tokens_out: Option<u64>,
}

impl Usage {
    /// The report in the extensions of a result; `None` if there is none.
    pub fn reported(extensions: Option<&Extensions>) -> Option<Self> {
        let report: Value = serde_json::from_str(extensions?.raw(USAGE)?).ok()?;
        let count = |name: &str| report.get(name).and_then(Value::as_u64);
        let usage = Self {
            external_calls: count("external_calls"),
            cost_millionths: cost(report.get("cost")),
            tokens_in: count("tokens_in"),
            tokens_out: count("tokens_out"),
        };
        (usage != Self::default()).then_some(usage)
    }

    /// The expected use that a type declares under `jarvis.estimated_usage`.
    pub fn estimated(text: &str) -> Option<Estimate> {
        let report: Value = serde_json::from_str(text).ok()?;
        let estimate = Estimate {
            external_calls: report.get("external_calls").and_then(Value::as_u64),
            cost_millionths: cost(report.get("cost")),
        };
        (estimate != Estimate::default()).then_some(estimate)
    }

    /// What was used: as reported, or else the allowance.
    pub(super) fn or(&self, reserved: &Amounts) -> Amounts {
        Amounts {
            steps: 0,
            external_calls: self.external_calls.unwrap_or(reserved.external_calls),
            cost_millionths: self.cost_millionths.unwrap_or(reserved.cost_millionths),
        }
    }

    /// The report as the NodeRun has it. `overrun` flags what is beyond the
    /// allowance.
    pub(super) fn shown(&self, allowance: Option<&Amounts>) -> JsonObject {
        let Self { external_calls, cost_millionths, tokens_in, tokens_out } = *self;
        let mut members = vec![
            ("external_calls", external_calls.map(|calls| json!(calls))),
            ("cost", cost_millionths.map(|cost| json!(money(cost)))),
            ("tokens_in", tokens_in.map(|tokens| json!(tokens))),
            ("tokens_out", tokens_out.map(|tokens| json!(tokens))),
        ];
        let is_over = allowance.is_some_and(|allowance| !self.or(allowance).minus(allowance).is_nothing());
        members.push(("overrun", is_over.then_some(Value::Bool(true))));
        let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }
}

fn cost(value: Option<&Value>) -> Option<u64> {
    value.and_then(Value::as_f64).filter(|cost| *cost >= 0.0).map(millionths)
}

/// What an account had spent or reserved, according to its mirror.
pub(super) fn of_mirror(extensions: Option<&Extensions>) -> Amounts {
    let mirror = extensions.and_then(|extensions| extensions.get(BUDGET)).unwrap_or_default();
    let of = |part: &str| {
        let part = &mirror[part];
        Amounts {
            steps: part["steps"].as_u64().unwrap_or_default(),
            external_calls: part["external_calls"].as_u64().unwrap_or_default(),
            cost_millionths: cost(part.get("cost")).unwrap_or_default(),
        }
    };
    of("used").plus(&of("reserved"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(report: Value) -> Option<Usage> {
        Usage::reported(Some(&JsonObject::from([(USAGE, report)])))
    }

    #[test]
    fn usage_takes_what_is_valid_of_a_report() {
        assert_eq!(Usage::reported(None), None);
        for nothing in [json!(null), json!([]), json!("3"), json!({"external_calls": -1, "cost": "1"})] {
            assert_eq!(reported(nothing.clone()), None, "{nothing}");
        }
        let usage = reported(json!({"external_calls": 3, "cost": 0.25, "tokens_in": 1.5, "more": 1}));
        let usage = usage.expect("a report");
        let expected = Usage { external_calls: Some(3), cost_millionths: Some(250_000), ..Usage::default() };
        assert_eq!(usage, expected);
        let allowance = Amounts { external_calls: 2, cost_millionths: 250_000, steps: 0 };
        let shown = usage.shown(Some(&allowance));
        assert_eq!(Value::from(shown), json!({"external_calls": 3, "cost": 0.25, "overrun": true}));
        assert_eq!(usage.shown(None).get("overrun"), None);
    }
}
