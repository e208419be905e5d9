//! Labels: short texts by which a caller finds its runs again, `metadata.labels` of
//! the request.
//!
//! ```text
//!   RunStartRequest.metadata ──▶ Run.extensions["jarvis.metadata"] ──▶ Labels ──▶ the list of runs
//! ```
//!
//! **Invariant:** bounded: a request may have more and longer ones, which are kept as
//! they are, but by which no run is found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::Extensions;

/// The extension that has the metadata of the request.
pub const METADATA: &str = "jarvis.metadata";

/// The labels by which a run is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Of a run; of more labels, the first by name.
    pub const MAX: usize = 16;
    /// The maximum length of a name.
    pub const NAME_CHARS: usize = 63;
    /// The maximum length of a value.
    pub const VALUE_CHARS: usize = 255;

    /// Those of a run. What is no label is left out.
    pub fn of(extensions: Option<&Extensions>) -> Self {
        #[derive(Deserialize)]
        struct Metadata {
            labels: Option<BTreeMap<String, serde_json::Value>>,
        }
        let text = extensions.and_then(|extensions| extensions.raw(METADATA));
        let metadata: Option<Metadata> = text.and_then(|text| serde_json::from_str(text).ok());
        let labels = metadata.and_then(|metadata| metadata.labels).unwrap_or_default();
        let labels = labels.into_iter().filter_map(|(name, value)| match value {
            serde_json::Value::String(value) => Some((name, value)),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => None,
        });
        let indexed = labels.filter(|(name, value)| Self::is_name(name) && Self::is_value(value));
        Self(indexed.take(Self::MAX).collect())
    }

    pub fn is_name(name: &str) -> bool {
        !name.is_empty() && Self::is_short(name, Self::NAME_CHARS)
    }

    pub fn is_value(value: &str) -> bool {
        Self::is_short(value, Self::VALUE_CHARS)
    }

    /// A text with a NUL has no length that a database agrees with.
    fn is_short(text: &str, chars: usize) -> bool {
        text.chars().nth(chars).is_none() && !text.contains('\0')
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(metadata: Value) -> Value {
        let extensions: Extensions = [(METADATA, metadata)].into();
        serde_json::to_value(Labels::of(Some(&extensions))).expect("JSON")
    }

    #[test]
    fn labels_of_a_run_are_bounded() {
        assert_eq!(Labels::of(None), Labels::default());
        for metadata in [json!({}), json!([]), json!({"labels": null}), json!({"labels": "x"})] {
            assert_eq!(labels(metadata), json!({}));
        }
        let (name, value) = ("ü".repeat(63), "ü".repeat(255));
        let short = json!({"env": "prod", "empty": "", (name): value});
        assert_eq!(labels(json!({"labels": short, "annotations": {"a": "b"}})), short);
        let odd = json!({"": "x", "n": 1, "nul": "\0", ("k".repeat(64)): "x", "long": "x".repeat(256)});
        assert_eq!(labels(json!({"labels": odd})), json!({}));
        let many: BTreeMap<String, String> =
            (10..40).map(|number| (number.to_string(), String::new())).collect();
        let first: BTreeMap<_, _> = many.clone().into_iter().take(16).collect();
        assert_eq!(labels(json!({"labels": many})), json!(first));
    }
}
