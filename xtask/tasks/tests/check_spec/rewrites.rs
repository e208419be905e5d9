//! Other spellings of the same document.

use serde_json::{Map, Value, json};

use crate::edit::set;

/// Another spelling of the same document.
pub(crate) type Rewrite = (&'static str, fn(&mut Value));

pub(crate) const REWRITES: &[Rewrite] = &[
    ("nothing changed", |_| {}),
    ("references replaced by what they refer to", inline),
    ("references wrapped in allOf", wrap),
    ("components renamed", rename_components),
    ("lists without order reversed", reverse),
    ("prose added", |d| describe(d, "Written by another author.")),
    ("prose removed", undescribe),
    ("bounds as floats", floats),
    ("optional members may be null", nullable),
    ("what holds anyway said", implied),
    ("parameters of the path item", parameters_of_the_path),
    ("security said by each operation", security_each),
    ("headers and media types in other case", other_case),
];

/// Calls `change` for each object, the inner ones first.
fn each_object(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_object(item, change)),
        Value::Object(members) => {
            members.values_mut().for_each(|member| each_object(member, change));
            change(members);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Calls `change` for each schema (what has a type).
fn each_schema(document: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    each_object(document, &mut |object| {
        if object.get("type").is_some_and(Value::is_string) && !object.contains_key("scheme") {
            change(object);
        }
    });
}

pub(crate) fn inline(document: &mut Value) {
    let whole = document.clone();
    fn replace(value: &mut Value, whole: &Value) {
        while let Some(target) = value.get("$ref").and_then(Value::as_str) {
            *value = whole.pointer(&target[1..]).expect("it exists").clone();
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, whole)),
            Value::Object(members) => members.values_mut().for_each(|member| replace(member, whole)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    replace(&mut document["paths"], &whole);
    let components = document["components"].as_object_mut().expect("there are components");
    components.retain(|kind, _| kind == "securitySchemes");
}

pub(crate) fn wrap(document: &mut Value) {
    each_object(document, &mut |object| {
        let is_schema = object.get("$ref").and_then(Value::as_str).is_some_and(|at| at.contains("/schemas/"));
        if is_schema {
            let reference = Value::Object(std::mem::take(object));
            object.insert("allOf".into(), json!([{"allOf": [reference]}]));
            object.insert("description".into(), json!("What it is here."));
        }
    });
}

fn rename_components(document: &mut Value) {
    const NAME: &str = "#/components/schemas/";
    each_object(document, &mut |object| {
        if let Some(Value::String(target)) = object.get_mut("$ref") {
            *target = target.replace(NAME, &format!("{NAME}Arp"));
        }
    });
    let components = document["components"].as_object_mut().expect("there are components");
    if let Some(Value::Object(schemas)) = components.get_mut("schemas") {
        *schemas = std::mem::take(schemas)
            .into_iter()
            .map(|(name, schema)| (format!("Arp{name}"), schema))
            .collect();
    }
}

fn reverse(document: &mut Value) {
    each_object(document, &mut |object| {
        for key in ["required", "enum", "tags", "parameters"] {
            if let Some(Value::Array(items)) = object.get_mut(key) {
                items.reverse();
            }
        }
    });
}

fn describe(document: &mut Value, text: &str) {
    each_schema(document, &mut |schema| {
        schema.insert("title".into(), json!(text));
        schema.insert("description".into(), json!(text));
        schema.insert("example".into(), json!({"$ref": "#/nowhere"}));
        schema.insert("x-origin".into(), json!(text));
    });
    each_object(&mut document["paths"], &mut |object| {
        if object.contains_key("operationId") {
            object.insert("summary".into(), json!(text));
        }
    });
    set(document, "/info/title", json!(text));
    document["servers"] = json!([{"url": "https://example.com"}]);
    document["tags"] = json!([]);
}

fn undescribe(document: &mut Value) {
    each_object(document, &mut |object| {
        // A member may be called so.
        if object.get("description").is_some_and(Value::is_string) {
            object.remove("description");
        }
    });
}

fn floats(document: &mut Value) {
    each_schema(document, &mut |schema| {
        for bound in ["minimum", "maximum"] {
            if let Some(value) = schema.get_mut(bound) {
                *value = json!(value.as_f64());
            }
        }
    });
}

/// What schemars does.
pub(crate) fn number_formats(document: &mut Value) {
    each_schema(document, &mut |schema| {
        let format = match schema["type"].as_str() {
            Some("integer") => "uint64",
            Some("number") => "double",
            Some(_) | None => return,
        };
        schema.insert("format".into(), json!(format));
    });
}

fn nullable(document: &mut Value) {
    each_schema(document, &mut |schema| {
        let required = schema.get("required").cloned().unwrap_or_default();
        let required: Vec<String> = serde_json::from_value(required).unwrap_or_default();
        let Some(Value::Object(members)) = schema.get_mut("properties") else { return };
        for (_, member) in members.iter_mut().filter(|(name, _)| !required.contains(name)) {
            if member.get("$ref").is_some() {
                *member = json!({"allOf": [member.take()]});
            }
            member["nullable"] = json!(true);
            if let Some(Value::Array(values)) = member.get_mut("enum") {
                values.push(Value::Null);
            }
        }
    });
}

fn implied(document: &mut Value) {
    each_schema(document, &mut |schema| {
        match schema["type"].as_str() {
            Some("object") => _ = schema.entry("additionalProperties").or_insert(json!({})),
            Some("array") => {
                schema.entry("minItems").or_insert(json!(0));
                schema.entry("uniqueItems").or_insert(json!(false));
            }
            Some(_) | None => {}
        }
        schema.entry("nullable").or_insert(json!(false));
    });
    // The other way to say `additionalProperties: true`.
    each_schema(document, &mut |schema| {
        schema.retain(|key, value| key != "additionalProperties" || value != true);
    });
    each_object(document, &mut |object| {
        if object.get("in").is_some_and(|place| place == "path") {
            object.insert("style".into(), json!("simple"));
            object.insert("explode".into(), json!(false));
        }
    });
}

fn parameters_of_the_path(document: &mut Value) {
    for item in document["paths"].as_object_mut().expect("there are paths").values_mut() {
        let operations: Vec<String> = item.as_object().expect("an object").keys().cloned().collect();
        if let [only] = operations.as_slice()
            && let Some(parameters) = item[only].as_object_mut().expect("an object").remove("parameters")
        {
            item["parameters"] = parameters;
        }
    }
}

fn security_each(document: &mut Value) {
    let Some(security) = document.as_object_mut().expect("an object").remove("security") else { return };
    each_object(&mut document["paths"], &mut |object| {
        if object.contains_key("operationId") {
            object.entry("security").or_insert(security.clone());
        }
    });
}

fn other_case(document: &mut Value) {
    each_object(document, &mut |object| {
        for (name, other) in
            [("WWW-Authenticate", "www-authenticate"), ("application/json", "Application/JSON")]
        {
            if let Some(value) = object.remove(name) {
                object.insert(other.into(), value);
            }
        }
    });
}
