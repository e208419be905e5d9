//! OpenAPI documents: reading and navigating them.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::spelling;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Data, not description: a `$ref` in it is only text.
const DATA: [&str; 4] = ["default", "enum", "example", "examples"];

/// An OpenAPI document all of whose references lead somewhere. One of version
/// 3.1 is rewritten into 3.0's spelling on the way in, so that no other module
/// needs to know.
#[derive(Clone, Debug)]
pub struct Document {
    name: String,
    json: Value,
}

/// A place in a document: the value, and the JSON pointer to it.
#[derive(Clone, Debug)]
pub struct Node<'d> {
    pub at: String,
    pub value: &'d Value,
}

/// An operation and the path item that it is in.
pub struct Operation<'d> {
    /// `GET /v1/runs/{run_id}`, for people.
    pub name: String,
    /// The same without the names of the parameters, which are not part of the
    /// identity of a path.
    pub key: String,
    pub item: Node<'d>,
    pub node: Node<'d>,
}

impl Document {
    /// Reads a YAML or JSON file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads YAML or JSON text; `name` is what messages call it.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        // Not every JSON text is YAML, so it is not simply left to that parser.
        let json = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).with_context(|| format!("{name}: not JSON"))?
        } else {
            serde_yaml_ng::from_str(text).with_context(|| format!("{name}: not YAML"))?
        };
        Self::new(name, json)
    }

    pub fn new(name: &str, mut json: Value) -> Result<Self> {
        let version = json["openapi"].as_str().unwrap_or("none");
        match version {
            new if new.starts_with("3.1.") => spelling::document(&mut json),
            other => ensure!(
                other.starts_with("3.0."),
                "{name}: OpenAPI version is {version}, only 3.0 and 3.1 can be compared"
            ),
        }
        let document = Self { name: name.into(), json };
        document.check_references(&document.root())?;
        Ok(document)
    }

    /// The same, with `x-pattern-properties` taken for what they stand for.
    /// Rust's types have no patterns, so this is not for all comparisons.
    pub fn with_patterns(mut self) -> Result<Self> {
        spelling::patterns(&mut self.json);
        Self::new(&self.name, self.json)
    }

    /// The same, as the program means it: the format of a number is how Rust
    /// stores it, and does not matter to others.
    pub fn of_rust(mut self) -> Self {
        spelling::no_number_formats(&mut self.json);
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn json(&self) -> &Value {
        &self.json
    }

    pub fn root(&self) -> Node<'_> {
        Node { at: "#".into(), value: &self.json }
    }

    /// What the node says, after following references.
    pub fn resolve<'d>(&'d self, node: &Node<'d>) -> Result<Node<'d>> {
        let mut node = node.clone();
        let mut passed: Vec<String> = Vec::new();
        while let Some(target) = node.reference() {
            let from = &node.at;
            ensure!(!passed.contains(from), "{}: {from} refers to itself, by way of {target}", self.name);
            let Some(pointer) = target.strip_prefix('#') else {
                bail!("{}: {from} refers to {target}: put it into the document itself", self.name);
            };
            let Some(value) = self.json.pointer(pointer) else {
                bail!("{}: {from} refers to {target}, which does not exist", self.name);
            };
            passed.push(node.at);
            node = Node { at: target.into(), value };
        }
        Ok(node)
    }

    pub fn operations(&self) -> Result<Vec<Operation<'_>>> {
        let mut all = Vec::new();
        for (path, item) in self.root().under("paths") {
            let item = self.resolve(&item)?;
            for method in METHODS {
                let Some(node) = item.child(method) else { continue };
                let method = method.to_uppercase();
                all.push(Operation {
                    name: format!("{method} {path}"),
                    key: format!("{method} {}", without_names(path)),
                    item: item.clone(),
                    node,
                });
            }
        }
        Ok(all)
    }

    /// The named things of one kind: `schemas`, `securitySchemes`.
    pub fn components(&self, kind: &str) -> Vec<(&str, Node<'_>)> {
        self.root().child("components").map(|all| all.under(kind)).unwrap_or_default()
    }

    fn check_references<'d>(&'d self, node: &Node<'d>) -> Result<()> {
        self.resolve(node)?;
        for (key, child) in node.entries() {
            if !DATA.contains(&key) && !key.starts_with("x-") {
                self.check_references(&child)?;
            }
        }
        node.items().iter().try_for_each(|item| self.check_references(item))
    }
}

impl<'d> Node<'d> {
    pub fn child(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        Some(Node { at: format!("{}/{}", self.at, escaped(key)), value })
    }

    /// The members of an object; none of anything else.
    pub fn entries(&self) -> Vec<(&'d str, Self)> {
        let members = self.value.as_object().into_iter().flatten();
        members
            .map(|(key, value)| (key.as_str(), Node { at: format!("{}/{}", self.at, escaped(key)), value }))
            .collect()
    }

    /// The members of the object at `key`.
    pub fn under(&self, key: &str) -> Vec<(&'d str, Self)> {
        self.child(key).map(|child| child.entries()).unwrap_or_default()
    }

    /// The elements of an array; none of anything else.
    pub fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| Node { at: format!("{}/{index}", self.at), value }).collect()
    }

    /// Where the node refers to, if it is a reference.
    pub fn reference(&self) -> Option<&'d str> {
        self.value.get("$ref")?.as_str()
    }
}

/// A key as a segment of a JSON pointer (RFC 6901).
pub fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `/v1/runs/{run_id}:cancel` → `/v1/runs/{}:cancel`
fn without_names(path: &str) -> String {
    let mut pieces = path.split('{');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str("{}");
        out.push_str(piece.split_once('}').map_or("", |(_, rest)| rest));
    }
    out
}
