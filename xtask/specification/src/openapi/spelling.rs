//! JSON Schema as OpenAPI 3.1 writes it, in the spelling of 3.0.
//!
//! | 3.1 | 3.0 |
//! |---|---|
//! | `type: [T, "null"]`, `anyOf: [T, {type: "null"}]` | `T` with `nullable: true` |
//! | `const: x` | `enum: [x]` |
//! | `exclusiveMinimum: 1` | `minimum: 1`, `exclusiveMinimum: true` |
//! | members next to `$ref` | `allOf: [{$ref}]` and the members |
//! | `true`, `false` as a schema | `{}`, `{not: {}}` |
//! | `contentMediaType`, `contentEncoding` of bytes | `format: binary`, `format: byte` |
//!
//! What 3.0 has no word for (`prefixItems`, `patternProperties`) stays.

use serde_json::{Map, Value, json};

/// Rewrites all schemas of a document.
pub(super) fn document(json: &mut Value) {
    match json {
        Value::Object(members) => {
            for (key, member) in members {
                match key.as_str() {
                    "schema" => schema(member),
                    "schemas" => each(member),
                    // Data: nothing in it is a schema.
                    "example" | "examples" | "default" => {}
                    _ => document(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(document),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Rewrites a schema and what is in it.
pub(super) fn schema(json: &mut Value) {
    match json {
        Value::Bool(true) => *json = json!({}),
        Value::Bool(false) => *json = json!({"not": {}}),
        Value::Object(members) => {
            for (key, member) in members.iter_mut() {
                match key.as_str() {
                    "items" | "not" => schema(member),
                    "additionalProperties" if member.is_object() => schema(member),
                    "properties" | "patternProperties" | "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                        each(member);
                    }
                    _ => {}
                }
            }
            beside_reference(members);
            types(members);
            null_among(members, "anyOf");
            null_among(members, "oneOf");
            if let Some(value) = members.remove("const") {
                members.insert("enum".into(), json!([value]));
            }
            exclusive(members, "exclusiveMinimum", "minimum");
            exclusive(members, "exclusiveMaximum", "maximum");
            bytes(members);
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    }
}

/// `x-pattern-properties`, with which a document of 3.0 says what 3.0 has no
/// word for, as JSON Schema has it.
pub(super) fn patterns(json: &mut Value) {
    match json {
        Value::Object(members) => {
            if let Some(patterns) = members.remove("x-pattern-properties") {
                members.insert("patternProperties".into(), patterns);
            }
            members.values_mut().for_each(patterns);
        }
        Value::Array(items) => items.iter_mut().for_each(patterns),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Takes the `format` of numbers away: of what Rust emits it is the storage, and
/// not the contract.
pub(super) fn no_number_formats(json: &mut Value) {
    match json {
        Value::Object(members) => {
            if members.get("type").is_some_and(|kind| kind == "integer" || kind == "number") {
                members.remove("format");
            }
            members.values_mut().for_each(no_number_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(no_number_formats),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn each(schemas: &mut Value) {
    match schemas {
        Value::Object(named) => named.values_mut().for_each(schema),
        Value::Array(listed) => listed.iter_mut().for_each(schema),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn beside_reference(members: &mut Map<String, Value>) {
    if members.len() < 2 {
        return;
    }
    if let Some(target) = members.remove("$ref") {
        also(members, json!({ "$ref": target }));
    }
}

/// One more schema that must hold.
fn also(members: &mut Map<String, Value>, schema: Value) {
    let all = members.entry("allOf").or_insert_with(|| json!([]));
    if let Value::Array(all) = all {
        all.push(schema);
    }
}

fn types(members: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = members.get_mut("type") else { return };
    let count = types.len();
    types.retain(|name| name != "null");
    let (nullable, types) = (types.len() < count, std::mem::take(types));
    match types.as_slice() {
        [] => _ = members.remove("type"),
        [only] => _ = members.insert("type".into(), only.clone()),
        several => {
            let several: Vec<Value> = several.iter().map(|name| json!({ "type": name })).collect();
            members.remove("type");
            also(members, json!({ "anyOf": several }));
        }
    }
    if nullable {
        members.insert("nullable".into(), json!(true));
    }
}

/// `anyOf` with null among its schemas.
fn null_among(members: &mut Map<String, Value>, key: &str) {
    let Some(Value::Array(schemas)) = members.get_mut(key) else { return };
    let count = schemas.len();
    schemas.retain(|schema| schema["type"] != "null");
    if schemas.len() == count {
        return;
    }
    if schemas.len() == 1 {
        let only = schemas.remove(0);
        members.remove(key);
        also(members, only);
    }
    members.insert("nullable".into(), json!(true));
}

/// The bound that a number in `key` sets, instead of the one in `bound`. (Both
/// at once would be redundant; the tighter one is not looked for.)
fn exclusive(members: &mut Map<String, Value>, key: &str, bound: &str) {
    if let Some(limit) = members.get(key).filter(|limit| limit.is_number()).cloned() {
        members.insert(bound.into(), limit);
        members.insert(key.into(), json!(true));
    }
}

fn bytes(members: &mut Map<String, Value>) {
    let format = match (members.get("contentEncoding"), members.get("contentMediaType")) {
        (Some(encoding), _) if encoding == "base64" => "byte",
        (None, Some(media)) if media == "application/octet-stream" => "binary",
        (_, _) => return,
    };
    members.remove("contentEncoding");
    members.remove("contentMediaType");
    members.insert("format".into(), json!(format));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_of_3_1_has_one_of_3_0() {
        for (new, old) in [
            (json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true})),
            (json!({"type": ["null"]}), json!({"nullable": true})),
            (
                json!({"type": ["string", "integer"]}),
                json!({"allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}]}),
            ),
            (
                json!({"anyOf": [{"$ref": "#/a"}, {"type": "null"}]}),
                json!({"allOf": [{"$ref": "#/a"}], "nullable": true}),
            ),
            (
                json!({"oneOf": [{"type": "string"}, {"$ref": "#/a"}, {"type": "null"}]}),
                json!({"oneOf": [{"type": "string"}, {"$ref": "#/a"}], "nullable": true}),
            ),
            (json!({"anyOf": [{"type": "string"}]}), json!({"anyOf": [{"type": "string"}]})),
            (json!({"const": "a", "type": "string"}), json!({"enum": ["a"], "type": "string"})),
            (json!({"exclusiveMinimum": 1}), json!({"minimum": 1, "exclusiveMinimum": true})),
            (
                json!({"minimum": 1, "exclusiveMaximum": false}),
                json!({"minimum": 1, "exclusiveMaximum": false}),
            ),
            (json!({"$ref": "#/a"}), json!({"$ref": "#/a"})),
            (json!({"$ref": "#/a", "title": "A"}), json!({"allOf": [{"$ref": "#/a"}], "title": "A"})),
            (
                json!({"type": "string", "contentMediaType": "application/octet-stream"}),
                json!({"type": "string", "format": "binary"}),
            ),
            (
                json!({"type": "string", "contentMediaType": "image/png", "contentEncoding": "base64"}),
                json!({"type": "string", "format": "byte"}),
            ),
            (
                json!({"properties": {"const": {"const": 1}, "type": true}, "additionalProperties": false}),
                json!({"properties": {"const": {"enum": [1]}, "type": {}}, "additionalProperties": false}),
            ),
            (
                json!({"prefixItems": [{"const": 1}, false]}),
                json!({"prefixItems": [{"enum": [1]}, {"not": {}}]}),
            ),
        ] {
            let mut rewritten = json!({"content": {"a/b": {"schema": new, "example": {"schema": true}}}});
            document(&mut rewritten);
            assert_eq!(rewritten, json!({"content": {"a/b": {"schema": old, "example": {"schema": true}}}}));
        }
    }
}
