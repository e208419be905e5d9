//! JSON with its secrets masked.

use serde_json::{Map, Value, json};

use super::{DETAILS_BYTES, MASK, Redactor};
use crate::types::JsonObject;

/// The same object if there is nothing to mask; one that tells its size if it is
/// too large.
pub(super) fn redacted(redactor: &Redactor, object: &JsonObject) -> JsonObject {
    if object.is_empty() {
        return object.clone();
    }
    if object.bytes() > DETAILS_BYTES {
        let note = format!("details of {} bytes were left out", object.bytes());
        return JsonObject::of(&json!({ "error": note }));
    }
    // As a tree: what is in a string may be escaped in the text.
    let Ok(mut tree) = serde_json::from_str::<Map<String, Value>>(object.as_str()) else {
        return JsonObject::new();
    };
    if members(redactor, &mut tree) { JsonObject::of(&tree) } else { object.clone() }
}

/// Masks what is in an object; returns whether there was something.
fn members(redactor: &Redactor, object: &mut Map<String, Value>) -> bool {
    let mut changed = false;
    for (name, value) in object {
        changed |= if redactor.is_secret(name) { mask(value) } else { inside(redactor, value) };
    }
    changed
}

/// Masks what is in a value without a secret name.
fn inside(redactor: &Redactor, value: &mut Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => match redactor.text(text) {
            std::borrow::Cow::Borrowed(_) => false,
            std::borrow::Cow::Owned(masked) => {
                *text = masked;
                true
            }
        },
        Value::Array(items) => items.iter_mut().fold(false, |changed, item| inside(redactor, item) | changed),
        Value::Object(object) => members(redactor, object),
    }
}

/// Masks a value with a secret name, whatever it is: a list or an object of
/// credentials, too. That there is none is no secret.
fn mask(value: &mut Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) if text.is_empty() || text == MASK => false,
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            *value = MASK.into();
            true
        }
    }
}
