//! Constraints as a setting: JSON, or a file with JSON.
//!
//! As strict as a request: unknown members are errors, and so is everything that
//! would have no effect. (The types of the standard ignore unknown members, as
//! answers of other services may have them.)

use std::{fs::File, io::Read};

use serde::Deserialize;
use serde_json::Value;

use crate::types::ConstraintEnvelope;

/// The maximum size of the file.
const FILE_BYTES: u64 = 1 << 20;

/// Parses constraints; the error names the place.
pub fn constraints(text: &str) -> Result<ConstraintEnvelope, String> {
    match text.strip_prefix('@') {
        None => parsed(text),
        Some(path) => {
            let content = content(path).map_err(|error| format!("cannot read the file {path}: {error}"))?;
            parsed(&content).map_err(|error| format!("file {path}: {error}"))
        }
    }
}

fn content(path: &str) -> Result<String, String> {
    let mut content = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(FILE_BYTES + 1).read_to_string(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > FILE_BYTES {
        Err(format!("it has more than {FILE_BYTES} bytes"))
    } else {
        Ok(content)
    }
}

fn parsed(text: &str) -> Result<ConstraintEnvelope, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let envelope: ConstraintEnvelope = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        format!("{place}: {}", error.into_inner())
    })?;
    json.end().map_err(|error| error.to_string())?;
    let without_extensions = ConstraintEnvelope { extensions: None, ..envelope };
    let understood = serde_json::to_value(&without_extensions).map_err(|error| error.to_string())?;
    let given: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match unknown(&given, &understood) {
        Some(place) => Err(format!("{place}: not a limit")),
        None => Ok(without_extensions),
    }
}

/// The place of a member that was not understood. `null` is absence (D-18).
fn unknown(given: &Value, understood: &Value) -> Option<String> {
    let Value::Object(given) = given else { return None };
    given.iter().filter(|(_, value)| !value.is_null()).find_map(|(name, value)| match understood.get(name) {
        None => Some(name.clone()),
        Some(understood) => unknown(value, understood).map(|place| format!("{name}.{place}")),
    })
}

/// What an atomic node is expected to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DefaultUsage {
    pub external_calls: u64,
    pub cost: f64,
}

/// Parses an expected use; the error names the place.
pub fn usage(text: &str) -> Result<DefaultUsage, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let usage: DefaultUsage = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    json.end().map_err(|error| error.to_string())?;
    if usage.cost >= 0.0 { Ok(usage) } else { Err("cost: must not be negative".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn constraints_are_read_from_text_and_from_a_file() {
        let text = r#" {"budgets": {"max_cost": 0.5, "max_steps": null}, "gates": {}} "#;
        let expected = json!({"budgets": {"max_cost": 0.5}, "gates": {}});
        assert_eq!(json!(constraints(text).expect("constraints")), expected);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("max.json");
        std::fs::write(&path, text).expect("written");
        let from_file = constraints(&format!("@{}", path.display())).expect("constraints");
        assert_eq!(json!(from_file), expected);
        std::fs::write(&path, " ".repeat(1 << 20) + "{}").expect("written");
        let error = constraints(&format!("@{}", path.display())).expect_err("too large");
        assert!(error.ends_with("it has more than 1048576 bytes"), "{error}");
        assert!(constraints(&format!("@{}", directory.path().display())).is_err());
    }

    #[test]
    fn usage_is_read_strictly() {
        let usage_of = |text: &str| usage(text).map(|usage| (usage.external_calls, usage.cost));
        assert_eq!(usage_of(r#"{"external_calls": 2, "cost": 0.5}"#), Ok((2, 0.5)));
        assert_eq!(usage_of("{}"), Ok((0, 0.0)));
        for (text, beginning) in [
            (r#"{"external_calls": -1}"#, "external_calls: invalid value"),
            (r#"{"cost": -1}"#, "cost: must not be negative"),
            (r#"{"calls": 1}"#, "calls: unknown field"),
            ("1", ""),
        ] {
            let error = usage(text).expect_err(text);
            assert!(error.starts_with(beginning), "{text}: {error}");
        }
    }

    #[test]
    fn constraints_that_are_invalid_name_the_place() {
        for (text, beginning) in [
            (r#"{"structural": {"max_depth": -1}}"#, "structural.max_depth: invalid value"),
            (r#"{"structural": {"max_depth": 1.5}}"#, "structural.max_depth: invalid type"),
            (r#"{"budgets": {"max_cost": -0.1}}"#, "budgets.max_cost: must not be negative"),
            (r#"{"gates": {"side_effect_class": "some"}}"#, "gates.side_effect_class: "),
            (
                r#"{"candidates": {"allowed_node_type_ids": ["a", 1]}}"#,
                "candidates.allowed_node_type_ids[1]: ",
            ),
            (r#"{"structural": {"max_dept": 1}}"#, "structural.max_dept: not a limit"),
            (r#"{"max_depth": 1}"#, "max_depth: not a limit"),
            (r#"{"extensions": {"a.b": 1}}"#, "extensions: not a limit"),
            (r#"{"gates": {"require_approval": true, "require_approval": false}}"#, "gates"),
            (r#"{"gates": 1}"#, "gates: invalid type"),
            ("{} {}", "trailing characters"),
            ("[]", ""),
            ("", ""),
            ("@/no/such/file", "cannot read the file /no/such/file: "),
        ] {
            let error = constraints(text).expect_err(text);
            assert!(error.starts_with(beginning), "{text}: {error}");
        }
    }
}
