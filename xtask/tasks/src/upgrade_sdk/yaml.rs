//! Values as lines of YAML, in the style of `openapi/`: blocks indented by two,
//! lists of words in brackets, long text folded.

use serde_json::{Map, Value};

/// Lines are not longer, if words permit.
pub(super) const WIDTH: usize = 100;
const STEP: usize = 2;
/// The last member of an object of the standard: new members go before it.
pub(super) const LAST: &str = "extensions";

/// A member in lines.
pub(super) fn member(key: &str, value: &Value, indent: usize) -> Vec<String> {
    let margin = " ".repeat(indent);
    let key =
        if key.parse::<u32>().is_ok() { format!("{key:?}") } else { scalar(&Value::String(key.into())) };
    let is_large = |value: &Value| value.is_object() || value.is_array();
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members = in_order(members).flat_map(|(key, value)| member(key, value, indent + STEP));
            std::iter::once(format!("{margin}{key}:")).chain(members).collect()
        }
        Value::Array(items) if items.iter().any(is_large) => {
            let items = items.iter().flat_map(|item| element(item, indent + STEP));
            std::iter::once(format!("{margin}{key}:")).chain(items).collect()
        }
        Value::Array(items) => {
            let words: Vec<String> = items.iter().map(word).collect();
            let line = format!("{margin}{key}: [{}]", words.join(", "));
            if line.len() <= WIDTH {
                return vec![line];
            }
            let items = words.iter().map(|word| format!("{margin}  - {word}"));
            std::iter::once(format!("{margin}{key}:")).chain(items).collect()
        }
        Value::String(text) if text.len() + key.len() + indent + 2 > WIDTH && is_one_line(text) => {
            let mut lines = vec![format!("{margin}{key}: >-")];
            lines.extend(folded(text, indent + STEP));
            lines
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            vec![format!("{margin}{key}: {}", scalar(value))]
        }
    }
}

/// An element of a list in lines.
pub(super) fn element(item: &Value, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = match item.as_object() {
        Some(members) if !members.is_empty() => {
            in_order(members).flat_map(|(key, value)| member(key, value, indent + STEP)).collect()
        }
        Some(_) | None => vec![format!("{}{}", " ".repeat(indent + STEP), word(item))],
    };
    lines[0].replace_range(indent..indent + STEP, "- ");
    lines
}

/// The members in the usual order, because the parser does not keep it.
fn in_order(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    const FIRST: [&str; 22] = [
        "name",
        "in",
        "summary",
        "description",
        "operationId",
        "tags",
        "security",
        "parameters",
        "type",
        "format",
        "nullable",
        "enum",
        "minimum",
        "maximum",
        "minItems",
        "additionalProperties",
        "required",
        "properties",
        "items",
        "requestBody",
        "responses",
        "headers",
    ];
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(key, _)| (rank(key), *key == LAST));
    sorted.into_iter()
}

fn is_one_line(text: &str) -> bool {
    !text.contains(['\n', '\t']) && !text.contains("  ") && text.trim() == text
}

fn folded(text: &str, indent: usize) -> Vec<String> {
    let margin = " ".repeat(indent);
    let mut lines = vec![margin.clone()];
    for word in text.split(' ') {
        let line = lines.len() - 1;
        if lines[line].len() + word.len() + 1 > WIDTH && lines[line].len() > indent {
            lines.push(format!("{margin}{word}"));
        } else {
            if lines[line].len() > indent {
                lines[line].push(' ');
            }
            lines[line].push_str(word);
        }
    }
    lines
}

/// A scalar, or something empty, in a line.
fn word(value: &Value) -> String {
    spelled(value, |text| format!("[{text}]"), |read| &read[0])
}

/// A scalar behind a key and a colon, where more is allowed without quotes.
fn scalar(value: &Value) -> String {
    spelled(value, |text| format!("k: {text}"), |read| &read["k"])
}

/// Writes a text without quotes where it is read as the same text.
fn spelled(value: &Value, place: fn(&str) -> String, take: fn(&Value) -> &Value) -> String {
    /// Words that some parsers read as booleans.
    const FLAGS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let Value::String(text) = value else { return value.to_string() };
    let is_plain = text.starts_with(|c: char| c.is_alphabetic() || c == '/' || c == '$')
        && !FLAGS.contains(&text.to_lowercase().as_str())
        && is_one_line(text)
        && serde_yaml_ng::from_str::<Value>(&place(text)).is_ok_and(|read| take(&read) == value);
    // A JSON string is a YAML string as well.
    if is_plain { text.clone() } else { value.to_string() }
}
