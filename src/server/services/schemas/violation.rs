//! What is wrong with a value, place by place.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The maximum number of violations that are listed.
const KEPT: usize = 20;
/// The maximum length of a path or a message in characters.
const TEXT: usize = 300;

/// The first violations of a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Violations {
    pub violations: Vec<Violation>,
    /// Whether there are more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The path of the place, as a JSON Pointer.
    pub path: String,
    /// What the schema demands there, without the value.
    pub message: String,
    #[serde(skip)]
    pub steps: Vec<Step>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Member(String),
    Index(usize),
}

impl Violations {
    pub(super) fn of<'e>(errors: impl Iterator<Item = jsonschema::ValidationError<'e>>) -> Self {
        let mut errors = errors.map(|error| Violation {
            path: shortened(error.instance_path().as_str()),
            message: shortened(&error.masked().to_string()),
            steps: error.instance_path().iter().map(Step::from).collect(),
        });
        let violations: Vec<Violation> = errors.by_ref().take(KEPT).collect();
        Self { violations, more: errors.next().is_some() }
    }

    /// As details of an error.
    pub fn details(&self) -> Value {
        json!(self)
    }
}

impl From<jsonschema::paths::LocationSegment<'_>> for Step {
    fn from(segment: jsonschema::paths::LocationSegment<'_>) -> Self {
        match segment {
            jsonschema::paths::LocationSegment::Property(name) => Self::Member(shortened(&name)),
            jsonschema::paths::LocationSegment::Index(index) => Self::Index(index),
        }
    }
}

/// The beginning of a text.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(TEXT).collect()
}
