//! Helpers for the JSON that checks read and write.

use serde_json::Value;

use crate::{
    http::Answer,
    verdict::{Verdict, fail},
};

/// An object with one member.
pub fn only(name: &str, value: Value) -> Value {
    Value::Object([(name.to_owned(), value)].into_iter().collect())
}

/// An object with further members, which take precedence.
pub fn with(mut object: Value, more: Value) -> Value {
    if let (Some(members), Value::Object(more)) = (object.as_object_mut(), more) {
        members.extend(more);
    }
    object
}

/// The nodes of an answer to a create: at least one.
pub fn nodes_of(answer: &Answer) -> Verdict<Vec<Value>> {
    match answer.ok()?["node_runs"].as_array() {
        Some(nodes) if !nodes.is_empty() => Ok(nodes.clone()),
        Some(_) | None => answer.wrong("has no node_runs"),
    }
}

/// A member that must be a string.
pub fn text(object: &Value, name: &str) -> Verdict<String> {
    match object[name].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => fail(format!("{name} is no string in {object}")),
    }
}

pub fn id_of(node: &Value) -> Verdict<String> {
    text(node, "node_run_id")
}

pub fn ids_of(nodes: &[Value]) -> Verdict<Vec<String>> {
    nodes.iter().map(id_of).collect()
}

pub fn is_over(object: &Value) -> bool {
    ["succeeded", "failed", "canceled"].iter().any(|state| object["state"] == *state)
}

/// One of the coordinator's own extensions (§12), in either spelling (D-01).
pub fn own<'v>(object: &'v Value, key: &str) -> &'v Value {
    let extensions = &object["extensions"];
    if extensions[key].is_null() { &extensions[format!("jarvis.{key}").as_str()] } else { &extensions[key] }
}

/// The types of events, in order.
pub fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap_or_default()).collect()
}

pub fn count(events: &[Value], wanted: &str) -> usize {
    types(events).iter().filter(|name| **name == wanted).count()
}
