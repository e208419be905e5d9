//! The script of the demo: a weekend is planned. Data and rules only; `executors`
//! and `composite` act on them.
//!
//! ```text
//!   weekend ─┬─ weather          concurrent with
//!            ├─ trains           fails the first time: retry
//!            ├─ hotel ─┬─ lakeside    exceeds the traveller's budget: remap
//!            │         └─ old_mill
//!            ├─ summary
//!            ├─ booking          waits for an approval, then spends what the run may spend
//!            └─ dinner           refused by the budget of the run; goes without
//! ```

use std::time::Duration;

use serde_json::{Value, json};

use crate::types::{Error, JsonObject, NodeTypeRef, NonNegative};

/// The node type of the run that the demo starts.
pub(super) const WEEKEND: &str = "composite.weekend";
/// A node type that takes long enough to be canceled by hand.
pub(super) const NAP: &str = "atomic.nap";

const VERSION: &str = "1.0.0";

pub(super) fn node_type(id: &str) -> NodeTypeRef {
    NodeTypeRef { node_type_id: id.into(), version: VERSION.into(), extensions: None }
}

/// What the run that the demo starts may spend, in CHF: all of it goes for the booking.
pub(super) const BUDGET: u32 = 300;
/// The price of a dinner, in CHF.
const DINNER: u32 = 90;

/// An amount, as budgets have it.
pub(super) fn chf(amount: u32) -> Option<NonNegative> {
    NonNegative::try_from(f64::from(amount)).ok()
}

/// The input of the run that the demo starts.
pub(super) fn input() -> JsonObject {
    JsonObject::of(&json!({"from": "Zurich", "to": "Lugano", "nights": 2, "budget": BUDGET}))
}

/// The plan of a composite: stages run one after the other, the subtasks of a
/// stage concurrently.
pub(super) struct Plan {
    pub(super) stages: &'static [&'static [Subtask]],
}

pub(super) struct Subtask {
    pub(super) id: &'static str,
    /// The name of its outputs in the inputs of later subtasks.
    pub(super) name: &'static str,
    /// The candidates in order of preference. Several form a candidate set.
    pub(super) candidates: &'static [Candidate],
    pub(super) care: Care,
}

/// How the composite treats a subtask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    Usual,
    /// It cannot be undone: it is not executed without an approval.
    Approval,
    /// The plan goes on without it. It may spend this much, in CHF.
    Optional {
        at_most: u32,
    },
}

pub(super) struct Candidate {
    pub(super) node_type: &'static str,
    pub(super) rationale: &'static str,
}

const fn only(node_type: &'static str) -> Candidate {
    Candidate { node_type, rationale: "the only candidate" }
}

const fn subtask(id: &'static str, name: &'static str, candidates: &'static [Candidate]) -> Subtask {
    Subtask { id, name, candidates, care: Care::Usual }
}

const WEEKEND_PLAN: Plan = Plan {
    stages: &[
        &[
            subtask("S1", "weather", &[only("atomic.weather")]),
            subtask("S2", "trains", &[only("atomic.trains")]),
        ],
        &[subtask("S3", "hotel", &[only("composite.hotel")])],
        &[subtask("S4", "summary", &[only("atomic.summary")])],
        &[Subtask { care: Care::Approval, ..subtask("S5", "booking", &[only("atomic.booking")]) }],
        &[Subtask {
            care: Care::Optional { at_most: DINNER },
            ..subtask("S6", "dinner", &[only("atomic.dinner")])
        }],
    ],
};

const HOTEL_PLAN: Plan = Plan {
    stages: &[&[subtask(
        "S1",
        "room",
        &[
            Candidate { node_type: "atomic.lakeside", rationale: "closest to the water" },
            Candidate { node_type: "atomic.old_mill", rationale: "ten minutes from the station" },
        ],
    )]],
};

/// The plan of a composite of this type.
pub(super) fn plan(node_type: &str) -> Option<&'static Plan> {
    match node_type {
        WEEKEND => Some(&WEEKEND_PLAN),
        "composite.hotel" => Some(&HOTEL_PLAN),
        _ => None,
    }
}

/// The behaviour of an atomic node: its duration and its outcome.
pub(super) struct Act {
    pub(super) duration: Duration,
    pub(super) outcome: Result<JsonObject, Error>,
}

/// The behaviour of an atomic node of this type with these inputs.
pub(super) fn act(node_type: &str, inputs: &JsonObject) -> Option<Act> {
    let act = |millis, outputs: Value| Act {
        duration: Duration::from_millis(millis),
        outcome: Ok(JsonObject::of(&outputs)),
    };
    let text = |member: &Value| member.as_str().unwrap_or("somewhere").to_owned();
    let inputs = &Value::from(inputs.clone());
    Some(match node_type {
        "atomic.weather" => act(700, json!({"summary": "sunny, 23 °C"})),
        "atomic.trains" if inputs["try"] == 1 => Act {
            duration: Duration::from_millis(300),
            outcome: Err(Error {
                retryable: Some(true),
                ..Error::new("timetable_timeout", "no answer from the timetable")
            }),
        },
        "atomic.trains" => act(400, json!({"summary": "09:09, 2 h 02 min, 90 CHF", "price": 90})),
        "atomic.lakeside" => act(400, json!({"summary": "2 nights, 420 CHF", "price": 420})),
        "atomic.old_mill" => act(400, json!({"summary": "2 nights, 210 CHF", "price": 210})),
        "atomic.summary" => {
            let price = |name: &str| inputs[name]["price"].as_u64().unwrap_or_default();
            let (to, total) = (text(&inputs["to"]), price("trains") + price("hotel"));
            act(300, json!({"summary": format!("to {to} by train, {total} CHF"), "price": total}))
        }
        "atomic.booking" => {
            let total = inputs["summary"]["price"].as_u64().unwrap_or_default();
            act(300, json!({"summary": format!("booked for {total} CHF"), "price": total}))
        }
        "atomic.dinner" => act(300, json!({"summary": format!("a table, {DINNER} CHF"), "price": DINNER})),
        NAP => {
            let seconds = inputs["seconds"].as_u64().unwrap_or(60).min(600);
            act(seconds * 1000, json!({"summary": format!("slept for {seconds} s")}))
        }
        _ => return None,
    })
}

/// What the executor of an atomic node of this type has spent with this result, in CHF. Of
/// the others, prices are only found out.
pub(super) fn spent(node_type: &str, outputs: &JsonObject) -> u64 {
    match node_type {
        "atomic.booking" | "atomic.dinner" => outputs.value("price").as_u64().unwrap_or_default(),
        _ => 0,
    }
}

/// Why a result is rejected.
pub(super) struct Complaint {
    pub(super) reason_code: &'static str,
    pub(super) message: String,
}

/// Rejects results that exceed the budget.
pub(super) fn complaint(inputs: &JsonObject, outputs: Option<&JsonObject>) -> Option<Complaint> {
    let budget = inputs.get("budget")?.as_u64()?;
    let price = outputs?.get("price")?.as_u64()?;
    (price > budget)
        .then(|| Complaint { reason_code: "over_budget", message: format!("{price} of {budget} CHF") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subtask_has_an_executor() {
        let mut todo = vec![WEEKEND];
        let mut atomics = Vec::new();
        while let Some(composite) = todo.pop() {
            for subtask in plan(composite).expect(composite).stages.iter().copied().flatten() {
                for candidate in subtask.candidates {
                    if candidate.node_type.starts_with("composite.") {
                        todo.push(candidate.node_type);
                    } else {
                        atomics.push(candidate.node_type);
                    }
                }
            }
        }
        assert_eq!(atomics.len(), 7);
        for atomic in atomics {
            assert!(act(atomic, &input()).is_some(), "{atomic}");
        }
    }

    #[test]
    fn only_the_first_hotel_is_over_budget() {
        let complaint = |node_type| {
            let outputs = act(node_type, &input()).unwrap().outcome.unwrap();
            complaint(&input(), Some(&outputs)).map(|complaint| complaint.reason_code)
        };
        assert_eq!(complaint("atomic.lakeside"), Some("over_budget"));
        assert_eq!(complaint("atomic.old_mill"), None);
    }
}
