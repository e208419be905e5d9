//! Generators of JSON that is valid but for a few mistakes, for the property
//! tests of everything that parses foreign JSON. Those tests are in the modules
//! called `proptests`: `PROPTEST_CASES=20000 cargo test --lib proptests`.
//!
//! ```text
//!   valid JSON ──▶ nearly: values replaced, members removed, added, repeated ──▶ text
//!                                                      broken: bytes replaced ──▶ bytes
//! ```

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Value, json};

/// Any JSON value of limited depth.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![".{0,8}", Just("urn:a:b".to_owned()), Just("2026-11-22T00:00:00Z".to_owned())];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3..3i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(".{0,6}", inner, 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The text of one of `good` with up to three mistakes.
pub(crate) fn nearly(good: Vec<Value>) -> impl Strategy<Value = String> {
    (select(good), vec((any::<Index>(), change()), 0..4)).prop_map(|(mut value, changes)| {
        let mut snippets = Vec::new();
        for (place, change) in changes {
            let places = places(&value);
            let Some(value) = value.pointer_mut(&places[place.index(places.len())]) else { continue };
            apply(value, change, &mut snippets);
        }
        let mut text = value.to_string();
        for (at, snippet) in snippets.iter().enumerate() {
            text = text.replace(&json!(mark(at)).to_string(), snippet);
        }
        // The remaining marks are in names that occur twice.
        text.replace(MARK, "")
    })
}

/// One of `good` with some bytes changed or truncated.
pub(crate) fn broken(good: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let edit = prop_oneof![
        4 => any::<u8>().prop_map(Edit::Set),
        2 => any::<u8>().prop_map(Edit::Insert),
        2 => Just(Edit::Remove),
        1 => Just(Edit::Cut),
    ];
    (good, vec((any::<Index>(), edit), 0..4)).prop_map(|(good, edits)| {
        let mut bytes = good.into_bytes();
        for (at, edit) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                Edit::Set(byte) => bytes[at] = byte,
                Edit::Insert(byte) => bytes.insert(at, byte),
                Edit::Remove => _ = bytes.remove(at),
                Edit::Cut => bytes.truncate(at),
            }
        }
        bytes
    })
}

#[derive(Clone, Debug)]
enum Edit {
    Set(u8),
    Insert(u8),
    Remove,
    Cut,
}

#[derive(Clone, Debug)]
enum Change {
    /// Replace the value.
    Other(Value),
    /// Replace the value by a text, which need not be JSON.
    Snippet(String),
    /// Remove a member or an item.
    Without(Index),
    /// Add a member or an item.
    With(String, Value),
    /// Repeat a member, with another value.
    Twice(Index, Value),
}

fn change() -> impl Strategy<Value = Change> {
    let odd = select(vec![
        "",
        "null",
        "NaN",
        "-Infinity",
        "1e999",
        "1e25",
        "-1e25",
        "-0",
        "-0.0",
        "01",
        "1.0",
        "1.5",
        "truth",
        "'a'",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\u0000\"",
        "\"\t\"",
        "\"",
        "{\"a\":1,\"a\":2}",
        "[1,]",
        "{}{}",
        "/**/1",
    ]);
    let deep = (1..200usize).prop_map(|levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    let wide =
        (1..200usize).prop_map(|levels| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)));
    prop_oneof![
        3 => any_json().prop_map(Change::Other),
        3 => odd.prop_map(|odd| Change::Snippet(odd.to_owned())),
        1 => prop_oneof![deep, wide].prop_map(Change::Snippet),
        3 => any::<Index>().prop_map(Change::Without),
        2 => (".{0,6}|[a-z]{150}", any_json()).prop_map(|(name, value)| Change::With(name, value)),
        2 => (any::<Index>(), any_json()).prop_map(|(member, value)| Change::Twice(member, value)),
    ]
}

/// Occurs in no generated name or text.
const MARK: &str = "\u{fffe}\u{fffe}";

fn mark(snippet: usize) -> String {
    format!("{MARK}{snippet}{MARK}")
}

fn apply(value: &mut Value, change: Change, snippets: &mut Vec<String>) {
    match (change, value) {
        (Change::Other(other), value) => *value = other,
        (Change::Snippet(snippet), value) => {
            *value = mark(snippets.len()).into();
            snippets.push(snippet);
        }
        (Change::Without(which), Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(which.index(members.len())).cloned().unwrap();
            members.remove(&name);
        }
        (Change::Without(which), Value::Array(items)) if !items.is_empty() => {
            items.remove(which.index(items.len()));
        }
        (Change::With(name, value), Value::Object(members)) => _ = members.insert(name, value),
        (Change::With(_, value), Value::Array(items)) => items.push(value),
        (Change::Twice(which, value), Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(which.index(members.len())).cloned().unwrap();
            // Sorted by name, it comes after the first.
            members.insert(format!("{MARK}{name}"), value);
        }
        (Change::Without(_) | Change::With(..) | Change::Twice(..), _) => {}
    }
}

/// JSON pointers to everything in `value`, itself first.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, place: String, places: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    walk(value, format!("{place}/{name}"), places);
                }
            }
            Value::Array(items) => {
                for (at, value) in items.iter().enumerate() {
                    walk(value, format!("{place}/{at}"), places);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        places.push(place);
    }
    let mut places = Vec::new();
    walk(value, String::new(), &mut places);
    places.reverse();
    places
}

/// A request of each kind by the name of its schema, with every member that it
/// may have.
pub(crate) fn requests() -> [(&'static str, Value); 4] {
    let extensions = json!({"a.b": {"c": [null, 1.5]}});
    let type_ref = json!({"node_type_id": "atomic.a", "version": "1.0.0", "extensions": extensions});
    let resource = json!({"type": "artifact", "id": "a", "uri": "urn:a:b", "extensions": extensions});
    let constraints = json!({
        "structural": {"max_depth": 3, "max_children_per_composite": 0, "max_total_nodes_per_run": 9,
            "max_decomposition_rounds_per_node": 1},
        "candidates": {"max_candidates_per_subtask": 1, "allowed_node_type_ids": ["a"],
            "denied_node_type_ids": []},
        "budgets": {"max_wall_time_ms": 1000, "max_steps": 1, "max_external_calls": 2, "max_cost": 0.5},
        "gates": {"side_effect_class": "read", "require_approval": false},
        "extensions": extensions,
    });
    let metadata =
        json!({"labels": {"a": "b"}, "annotations": {"c": "d", "e": ""}, "extensions": extensions});
    let error = json!({"code": "c", "message": "m", "details": {"a": null}, "retryable": true,
        "cause": {"code": "c", "message": "m", "details": {}, "extensions": extensions}, "extensions": extensions});
    let start = json!({
        "run_id": "r", "root_node_type_ref": type_ref, "input": {"keep": null}, "constraints": constraints,
        "run_context": {"tenant_id": "t", "actor": resource, "identity": {"a": 1},
            "trace": {"trace_id": "t", "span_id": "s", "request_id": "r"}, "policy": {}, "budgets": {},
            "extensions": extensions},
        "metadata": metadata, "extensions": extensions,
    });
    let spec = json!({
        "node_type_ref": type_ref, "inputs": {"a": [1]}, "constraints": constraints, "candidate_set_id": "c",
        "binding_decision": {"subtask_id": "s", "candidate_set_id": "c", "chosen_node_type_ref": type_ref,
            "rationale": "r", "extensions": extensions},
        "requested_executor_instance_id": "e", "idempotency_key": "k", "metadata": metadata,
        "extensions": extensions,
    });
    let create = json!({"run_id": "r", "parent_node_run_id": "p", "extensions": extensions,
        "node_runs": [spec, {"node_type_ref": type_ref, "inputs": {}}]});
    let report = json!({
        "evaluation_result": {"status": "success", "reason_code": "r", "message": "m", "details": {},
            "confidence": 0.5, "extensions": extensions},
        "recovery_action": {"type": "retry", "target_node_run_id": "n", "target_node_type_ref": type_ref,
            "message": "m", "extensions": extensions},
        "extensions": extensions,
    });
    let complete = json!({"state": "failed", "outputs": {"keep": null}, "output_artifacts": [resource],
        "error": error, "extensions": extensions});
    [
        ("RunStartRequest", start),
        ("NodeRunsCreateRequest", create),
        ("NodeRunEvaluationReportRequest", report),
        ("NodeRunCompleteRequest", complete),
    ]
}
