//! Rewrites a document of ours so that it agrees with a new official one. The
//! differences ([`compare`]) determine what to change and where; our descriptions,
//! names and splits stay, because nothing else is touched.
//!
//! Each step settles one difference and compares the documents again, because a
//! change may reveal or settle others. The rest is left for people.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::text::Text;
use specification::openapi::{Comparison, Difference, Document, compare, is_prose};

use crate::check_spec::{Accepted, Against};

/// The maximum number of steps: more would be an endless loop.
const MOST: usize = 1000;
/// Keywords whose values have no order: a difference is one value more or less.
const SETS: [&str; 4] = ["required", "enum", "tags", "security"];
const SCHEMAS: &str = "#/components/schemas/";

#[derive(Debug)]
pub struct Rewritten {
    pub yaml: String,
    /// The edits in order: a sign and a pointer.
    pub edits: Vec<String>,
    /// New members without a description.
    pub undescribed: Vec<String>,
    /// The remaining differences.
    pub left: Vec<Difference>,
}

/// `yaml` is our document of `service`, `theirs` the new official one.
pub fn rewrite(service: &str, yaml: &str, theirs: &Document, accepted: &Accepted) -> Result<Rewritten> {
    let mut text = Text::new(yaml)?;
    let (mut edits, mut undescribed) = (Vec::new(), Vec::new());
    let mut left: Vec<Difference> = Vec::new();
    for _ in 0..MOST {
        let ours = Document::new(service, text.json().clone())?.with_patterns()?;
        let comparison = compare(&ours, theirs)?;
        let open = |difference: &&Difference| {
            let same = |other: &Difference| {
                (&other.pointer, &other.ours, &other.theirs)
                    == (&difference.pointer, &difference.ours, &difference.theirs)
            };
            !accepted.accepts(Against::Official, service, difference) && !left.iter().any(same)
        };
        let Some(difference) = comparison.differences.iter().find(open).cloned() else {
            // A difference that could not be settled may have been settled by another
            // edit.
            left.retain(|difference| comparison.differences.contains(difference));
            edits.dedup();
            return Ok(Rewritten { yaml: text.yaml(), edits, undescribed, left });
        };
        let mut step =
            Step { text: text.clone(), theirs, comparison: &comparison, edits: Vec::new(), new: Vec::new() };
        match step.settle(&difference) {
            Ok(()) if step.text.json() != text.json() => {
                edits.append(&mut step.edits);
                undescribed.append(&mut step.new);
                text = step.text;
            }
            Ok(()) | Err(_) => left.push(difference),
        }
    }
    bail!("{service}: no end to its differences")
}

/// Settles one difference.
struct Step<'a> {
    text: Text,
    theirs: &'a Document,
    comparison: &'a Comparison,
    edits: Vec<String>,
    new: Vec<String>,
}

impl Step<'_> {
    fn settle(&mut self, difference: &Difference) -> Result<()> {
        let pointer = difference.pointer.strip_prefix('#').context("a pointer into the document")?;
        let pointer = pointer.replace("/patternProperties", "/x-pattern-properties");
        let (parent, key) = pointer.rsplit_once('/').context("the document itself")?;
        let theirs = difference.theirs.as_ref().map(|value| self.translated(value)).transpose()?;
        let list = |text: &Text, at: &str| text.json().pointer(at).and_then(Value::as_array).cloned();

        // A value of a set.
        let is_one_of_many = |value: &Option<Value>| value.as_ref().is_none_or(|value| !value.is_array());
        if SETS.contains(&key) && is_one_of_many(&difference.theirs) && !is_flag(difference) {
            let mut values = list(&self.text, &pointer).unwrap_or_default();
            values.retain(|value| Some(value) != difference.ours.as_ref());
            values.extend(theirs);
            return if values.is_empty() && key != "security" {
                self.remove(&pointer)
            } else {
                self.set(&pointer, Value::Array(values))
            };
        }
        // A parameter that we do not have: there is no place for it yet.
        if let (true, Some(value)) = (parent.ends_with("/parameters") && key.ends_with(')'), &theirs) {
            return match list(&self.text, parent) {
                Some(_) => self.append(parent, value),
                None => self.set(parent, json!([value])),
            };
        }
        // An element of a list.
        if let Some(mut items) = list(&self.text, parent) {
            let index: usize = key.parse().context("an index")?;
            match theirs {
                Some(value) if index < items.len() => items[index] = value,
                Some(value) => return self.append(parent, &value),
                None => _ = (index < items.len()).then(|| items.remove(index)),
            }
            return self.set(parent, Value::Array(items));
        }
        match theirs {
            Some(mut value) => {
                // Our words stay, where something is only said in another way.
                let ours = self.text.json().pointer(&pointer);
                if let Some(description) = ours.and_then(|ours| ours.get("description")).cloned()
                    && value.get("$ref").is_none()
                    && let Some(members) = value.as_object_mut()
                {
                    members.insert("description".into(), description);
                }
                if difference.ours.is_none() && value.is_object() {
                    self.note_undescribed(&pointer, &value);
                }
                self.set(&pointer, value)
            }
            None => self.remove(&pointer),
        }
    }

    fn set(&mut self, pointer: &str, value: Value) -> Result<()> {
        let sign = if self.text.json().pointer(pointer).is_some() { '~' } else { '+' };
        self.text = self.text.set(pointer, value)?;
        self.edits.push(format!("{sign} {pointer}"));
        Ok(())
    }

    fn append(&mut self, pointer: &str, item: &Value) -> Result<()> {
        self.text = self.text.append(pointer, item)?;
        self.edits.push(format!("~ {pointer}"));
        Ok(())
    }

    fn remove(&mut self, pointer: &str) -> Result<()> {
        self.text = self.text.remove(pointer)?;
        self.edits.push(format!("- {pointer}"));
        // A path without operations is none.
        let path = pointer.rsplit_once('/').map(|(path, _)| path).unwrap_or_default();
        let is_empty = self
            .text
            .json()
            .pointer(path)
            .and_then(Value::as_object)
            .is_some_and(|item| !item.values().any(|operation| operation.get("responses").is_some()));
        if path.starts_with("/paths/") && path.matches('/').count() == 2 && is_empty {
            self.text = self.text.remove(path)?;
        }
        Ok(())
    }

    /// Translates their value: with our names of schemas, without titles. Schemas that
    /// we do not have are added.
    fn translated(&mut self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::Object(members) => {
                let mut ours = serde_json::Map::new();
                for (key, value) in members {
                    match (key.as_str(), value) {
                        ("title", Value::String(_)) => {}
                        ("$ref", Value::String(target)) => {
                            ours.insert(key.clone(), json!(self.our_name(target)?));
                        }
                        ("patternProperties", _) => {
                            ours.insert("x-pattern-properties".into(), self.translated(value)?);
                        }
                        (_, _) => _ = ours.insert(key.clone(), self.translated(value)?),
                    }
                }
                Value::Object(ours)
            }
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.translated(item)).collect::<Result<_>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        })
    }

    fn our_name(&mut self, target: &str) -> Result<String> {
        if let Some(name) = self.comparison.counterparts.get(target) {
            return Ok(name.clone());
        }
        let pointer = target.strip_prefix('#').context("a reference inside")?;
        if self.text.json().pointer(pointer).is_none() {
            let value = self.theirs.json().pointer(pointer).context("their references lead somewhere")?;
            // The name comes first, because the schema may refer to itself.
            self.set(pointer, json!({}))?;
            let value = self.translated(value)?;
            self.note_undescribed(pointer, &value);
            self.text = self.text.set(pointer, value)?;
        }
        Ok(target.to_owned())
    }

    /// Notes the members of this without a description.
    fn note_undescribed(&mut self, pointer: &str, value: &Value) {
        let is_described = value.as_object().is_some_and(|members| {
            members.contains_key("$ref")
                || members.iter().any(|(key, value)| is_prose(key) && value.is_string())
        });
        if !is_described {
            self.new.push(pointer.to_owned());
        }
    }
}

/// `required` of a parameter or a body, not of a schema.
fn is_flag(difference: &Difference) -> bool {
    [&difference.ours, &difference.theirs].into_iter().flatten().any(Value::is_boolean)
        && difference.pointer.ends_with("/required")
        && !difference.pointer.starts_with(SCHEMAS)
}
