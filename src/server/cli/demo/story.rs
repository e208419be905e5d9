//! The script of the demo: a weekend is planned. Data and rules only; `executors`
//! and `composite` act on them.
//!
//! ```text
//!   weekend ─┬─ weather          concurrent with
//!            ├─ trains           fails the first time: retry
//!            ├─ hotel ─┬─ lakeside    exceeds the budget: remap
//!            │         └─ old_mill
//!            └─ summary
//! ```

use std::time::Duration;

use serde_json::{Value, json};

use crate::types::{Error, JsonObject, NodeTypeRef};

/// The node type of the run that the demo starts.
pub(super) const WEEKEND: &str = "composite.weekend";
/// A node type that takes long enough to be canceled by hand.
pub(super) const NAP: &str = "atomic.nap";

const VERSION: &str = "1.0.0";

pub(super) fn node_type(id: &str) -> NodeTypeRef {
    NodeTypeRef { node_type_id: id.into(), version: VERSION.into(), extensions: None }
}

/// The input of the run that the demo starts.
pub(super) fn input() -> JsonObject {
    JsonObject::of(&json!({"from": "Zurich", "to": "Lugano", "nights": 2, "budget": 300}))
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
}

pub(super) struct Candidate {
    pub(super) node_type: &'static str,
    pub(super) rationale: &'static str,
}

const fn only(node_type: &'static str) -> Candidate {
    Candidate { node_type, rationale: "the only candidate" }
}

const WEEKEND_PLAN: Plan = Plan {
    stages: &[
        &[
            Subtask { id: "S1", name: "weather", candidates: &[only("atomic.weather")] },
            Subtask { id: "S2", name: "trains", candidates: &[only("atomic.trains")] },
        ],
        &[Subtask { id: "S3", name: "hotel", candidates: &[only("composite.hotel")] }],
        &[Subtask { id: "S4", name: "summary", candidates: &[only("atomic.summary")] }],
    ],
};

const HOTEL_PLAN: Plan = Plan {
    stages: &[&[Subtask {
        id: "S1",
        name: "room",
        candidates: &[
            Candidate { node_type: "atomic.lakeside", rationale: "closest to the water" },
            Candidate { node_type: "atomic.old_mill", rationale: "ten minutes from the station" },
        ],
    }]],
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
        "atomic.weather" => act(900, json!({"summary": "sunny, 23 °C"})),
        "atomic.trains" if inputs["try"] == 1 => Act {
            duration: Duration::from_millis(600),
            outcome: Err(Error {
                retryable: Some(true),
                ..Error::new("timetable_timeout", "no answer from the timetable")
            }),
        },
        "atomic.trains" => act(700, json!({"summary": "09:09, 2 h 02 min, 62 CHF", "price": 62})),
        "atomic.lakeside" => act(700, json!({"summary": "2 nights, 420 CHF", "price": 420})),
        "atomic.old_mill" => act(700, json!({"summary": "2 nights, 210 CHF", "price": 210})),
        "atomic.summary" => {
            let price = |name: &str| inputs[name]["price"].as_u64().unwrap_or_default();
            let (to, total) = (text(&inputs["to"]), price("trains") + price("hotel"));
            act(500, json!({"summary": format!("to {to} by train, {total} CHF"), "price": total}))
        }
        NAP => {
            let seconds = inputs["seconds"].as_u64().unwrap_or(60).min(600);
            act(seconds * 1000, json!({"summary": format!("slept for {seconds} s")}))
        }
        _ => return None,
    })
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
        assert_eq!(atomics.len(), 5);
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
