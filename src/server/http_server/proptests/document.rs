//! An independent oracle for bodies: validates values against the API document
//! itself, where the API uses the generated types and their schemas. Supports
//! what the document uses, and fails on anything else.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::time::Timestamp;

static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    let document: Value =
        serde_yaml_ng::from_str(include_str!("../../../../openapi/run-coordinator.yaml")).unwrap();
    document["components"]["schemas"].clone()
});

/// Whether the document allows `value` as a `name`.
pub(super) fn allows(name: &str, value: &Value) -> bool {
    is(&SCHEMAS[name], value)
}

fn is(schema: &Value, value: &Value) -> bool {
    let schema = schema.as_object().unwrap();
    if let Some(name) = schema.get("$ref") {
        return allows(name.as_str().unwrap().strip_prefix("#/components/schemas/").unwrap(), value);
    }
    for word in schema.keys() {
        let known = [
            "type",
            "description",
            "additionalProperties",
            "x-pattern-properties",
            "required",
            "properties",
            "items",
            "minItems",
            "minimum",
            "maximum",
            "enum",
            "format",
        ];
        assert!(known.contains(&word.as_str()), "{word} is not supported");
    }
    match schema["type"].as_str().unwrap() {
        "object" => value.as_object().is_some_and(|members| is_object(schema, members)),
        "array" => value.as_array().is_some_and(|items| {
            let least = schema.get("minItems").map_or(0, |least| least.as_u64().unwrap());
            items.len() as u64 >= least && items.iter().all(|item| is(&schema["items"], item))
        }),
        "string" => value.as_str().is_some_and(|text| is_text(schema, text)),
        "boolean" => value.is_boolean(),
        // Beyond 64 bits the parser has only floating point numbers, which
        // have no fractions there.
        "integer" => value.as_f64().is_some_and(|number| {
            number >= schema["minimum"].as_f64().unwrap() && (value.is_u64() || number >= 2f64.powi(64))
        }),
        "number" => value.as_f64().is_some_and(|number| {
            let bound = |word: &str, otherwise: f64| {
                schema.get(word).map_or(otherwise, |bound| bound.as_f64().unwrap())
            };
            number >= bound("minimum", f64::NEG_INFINITY) && number <= bound("maximum", f64::INFINITY)
        }),
        other => panic!("the type {other} is not supported"),
    }
}

fn is_object(schema: &Map<String, Value>, members: &Map<String, Value>) -> bool {
    let required: Vec<&str> = schema
        .get("required")
        .map(|names| names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect())
        .unwrap_or_default();
    let others = &schema["additionalProperties"];
    required.iter().all(|name| members.contains_key(*name))
        && members.iter().all(|(name, value)| match schema.get("properties").and_then(|all| all.get(name)) {
            // Null counts as absent (contract §3.2).
            Some(member) => is(member, value) || value.is_null() && !required.contains(&name.as_str()),
            None => others.as_bool().unwrap_or_else(|| is(others, value)),
        })
}

fn is_text(schema: &Map<String, Value>, text: &str) -> bool {
    let word =
        schema.get("enum").is_none_or(|words| words.as_array().unwrap().iter().any(|word| word == text));
    word && match schema.get("format").map(|format| format.as_str().unwrap()) {
        None => true,
        Some("uri") => url::Url::parse(text).is_ok(),
        Some("date-time") => text.parse::<Timestamp>().is_ok(),
        Some(other) => panic!("the format {other} is not supported"),
    }
}
