//! The canonical form: one object of a document as a [`Shape`], which has its meaning
//! but not its spelling.
//!
//! Gone in a shape are: prose and `x-` members; references (the shape is that
//! of the target); `allOf` of one; keywords that say what holds anyway
//! (`additionalProperties: true`, `nullable: false`, `minItems: 0`, …). What has
//! no order has none: `required`, `enum`, `tags`, parameters.
//!
//! A keyword that is not known here is a fact, and facts are compared: it is
//! safer to report too much.

use std::collections::{BTreeMap, btree_map::Entry};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::document::{Document, Node, Operation, escaped};

/// The kind of an object of a document, which determines what its members mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Operation,
    Parameter,
    RequestBody,
    Response,
    Header,
    MediaType,
    Schema,
    SecurityScheme,
}

/// How a member takes part in a comparison.
enum Role {
    /// Prose, which is not compared.
    Prose,
    /// A value that counts as it is.
    Fact,
    /// A list without order.
    Set,
    /// An object of its own.
    Part(Kind),
    /// Named objects.
    Map(Kind),
    /// Objects that have a place instead of a name.
    List(Kind),
    /// Schemas without names: `oneOf` and its like.
    Schemas,
    Parameters,
}

/// The role of each known member of documents.
fn role(kind: Kind, key: &str, value: &Value) -> Role {
    use Kind::{Header, MediaType, Operation, Parameter, RequestBody, Response, Schema};
    match (kind, key) {
        (_, key) if is_prose(key) => Role::Prose,
        // The address of a service is not part of its contract.
        (Operation, "servers") => Role::Prose,
        (Operation, "parameters") => Role::Parameters,
        (Operation, "requestBody") => Role::Part(RequestBody),
        (Operation, "responses") => Role::Map(Response),
        (Operation, "tags" | "security") | (Schema, "required" | "enum") => Role::Set,
        (Response, "headers") => Role::Map(Header),
        (RequestBody | Response | Parameter | Header, "content") => Role::Map(MediaType),
        (Parameter | Header | MediaType, "schema") | (Schema, "items" | "not") => Role::Part(Schema),
        (Schema, "additionalProperties") if value.is_object() => Role::Part(Schema),
        (Schema, "properties" | "patternProperties") => Role::Map(Schema),
        (Schema, "prefixItems") => Role::List(Schema),
        (Schema, "allOf" | "oneOf" | "anyOf") => Role::Schemas,
        (_, _) => Role::Fact,
    }
}

/// Whether a member of this name is prose.
pub fn is_prose(key: &str) -> bool {
    let prose = ["title", "summary", "description", "example", "examples", "externalDocs"];
    prose.contains(&key) || key.starts_with("x-")
}

/// Whether the member states a default.
fn is_implied(kind: Kind, key: &str, value: &Value, object: &Value) -> bool {
    let style = match object["in"].as_str() {
        Some("query" | "cookie") => "form",
        // Paths and headers, and responses' headers, which do not say `in`.
        Some(_) | None => "simple",
    };
    match key {
        "additionalProperties" => {
            value == true || value.as_object().is_some_and(|schema| schema.keys().all(|key| is_prose(key)))
        }
        "minItems" | "minLength" | "minProperties" => value.as_f64() == Some(0.0),
        "style" if kind != Kind::Schema => value == style,
        "explode" if kind != Kind::Schema => *value == (object["style"].as_str().unwrap_or(style) == "form"),
        "required" | "nullable" | "readOnly" | "writeOnly" | "uniqueItems" | "exclusiveMinimum"
        | "exclusiveMaximum" | "deprecated" | "allowReserved" | "allowEmptyValue" => value == false,
        _ => false,
    }
}

/// The meaning of one object, one level deep.
#[derive(Debug, Default)]
pub(super) struct Shape<'d> {
    /// The pointer of the object, references followed.
    pub at: String,
    pub facts: BTreeMap<&'d str, Node<'d>>,
    pub sets: BTreeMap<&'d str, Vec<Node<'d>>>,
    /// By the way to them: `items`, `properties/run_id`, `responses/200`.
    pub parts: BTreeMap<String, Part<'d>>,
    pub schemas: BTreeMap<&'d str, Vec<Node<'d>>>,
}

/// An object within an object.
#[derive(Clone, Debug)]
pub(super) struct Part<'d> {
    pub kind: Kind,
    pub node: Node<'d>,
    /// Whether null makes no difference. A member of an object that may be
    /// missing may be null as well: Python peers send null for "absent", and we
    /// accept both.
    pub optional: bool,
}

/// The shape of the object at `node`.
pub(super) fn shape<'d>(document: &'d Document, kind: Kind, node: &Node<'d>) -> Result<Shape<'d>> {
    shape_beyond(document, kind, node, &mut Vec::new())
}

/// The shape of an operation, with what it inherits from path and document.
pub(super) fn operation<'d>(document: &'d Document, operation: &Operation<'d>) -> Result<Shape<'d>> {
    let mut shape = shape(document, Kind::Operation, &operation.node)?;
    if let Some(shared) = operation.item.child("parameters") {
        for (key, part) in parameters(document, &shared)? {
            shape.parts.entry(key).or_insert(part);
        }
    }
    if let (Entry::Vacant(own), Some(security)) =
        (shape.sets.entry("security"), document.root().child("security"))
    {
        own.insert(security.items());
    }
    Ok(shape)
}

/// `passed` are the objects whose shape this one is going to be merged into.
fn shape_beyond<'d>(
    document: &'d Document,
    kind: Kind,
    node: &Node<'d>,
    passed: &mut Vec<String>,
) -> Result<Shape<'d>> {
    let node = document.resolve(node)?;
    ensure!(!passed.contains(&node.at), "{}: {} is defined as itself", document.name(), node.at);
    let mut shape = Shape { at: node.at.clone(), ..Shape::default() };
    for (key, member) in node.entries() {
        if is_implied(kind, key, member.value, node.value) {
            continue;
        }
        match role(kind, key, member.value) {
            Role::Prose => {}
            Role::Fact => _ = shape.facts.insert(key, member),
            Role::Set => _ = shape.sets.insert(key, member.items()),
            Role::Schemas => _ = shape.schemas.insert(key, member.items()),
            Role::Parameters => shape.parts.extend(parameters(document, &member)?),
            Role::List(kind) => {
                for (index, node) in member.items().into_iter().enumerate() {
                    shape.parts.insert(format!("{key}/{index}"), Part { kind, node, optional: false });
                }
            }
            Role::Part(part) => {
                // A path, a query and a header have no spelling for null.
                let optional = matches!(kind, Kind::Parameter | Kind::Header);
                shape.parts.insert(key.into(), Part { kind: part, node: member, optional });
            }
            Role::Map(kind) => {
                for (name, node) in member.entries().into_iter().filter(|(name, _)| !is_extension(kind, name))
                {
                    shape.parts.insert(
                        format!("{key}/{}", identity(kind, name)),
                        Part { kind, node, optional: false },
                    );
                }
            }
        }
    }
    if kind == Kind::Schema {
        passed.push(node.at);
        shape = merge_only_part(document, shape, passed)?;
        settle(&mut shape);
    }
    Ok(shape)
}

/// `responses` may have extensions among the status codes; schemas may have
/// members that begin with `x-`.
fn is_extension(kind: Kind, name: &str) -> bool {
    kind == Kind::Response && name.starts_with("x-")
}

/// The name under which two documents mean the same thing.
fn identity(kind: Kind, name: &str) -> String {
    match kind {
        // HTTP does not look at the case of these.
        Kind::Header | Kind::MediaType => escaped(&name.to_lowercase()),
        Kind::Operation
        | Kind::Parameter
        | Kind::RequestBody
        | Kind::Response
        | Kind::Schema
        | Kind::SecurityScheme => escaped(name),
    }
}

fn parameters<'d>(document: &'d Document, list: &Node<'d>) -> Result<Vec<(String, Part<'d>)>> {
    let mut parts = Vec::new();
    for node in list.items() {
        let parameter = document.resolve(&node)?.value;
        let (name, place) =
            (parameter["name"].as_str().unwrap_or("?"), parameter["in"].as_str().unwrap_or("?"));
        let name = if place == "header" { name.to_lowercase() } else { name.to_owned() };
        parts.push((
            format!("parameters/{name} ({place})"),
            Part { kind: Kind::Parameter, node, optional: false },
        ));
    }
    Ok(parts)
}

/// `allOf` of one is how 3.0 puts a keyword next to a reference: both together
/// are one schema, unless they speak about the same thing.
fn merge_only_part<'d>(
    document: &'d Document,
    outer: Shape<'d>,
    passed: &mut Vec<String>,
) -> Result<Shape<'d>> {
    let Some([only]) = outer.schemas.get("allOf").map(Vec::as_slice) else { return Ok(outer) };
    let inner = shape_beyond(document, Kind::Schema, only, passed)?;
    let clash =
        inner.facts.iter().any(|(key, fact)| outer.facts.get(key).is_some_and(|own| own.value != fact.value))
            || inner.sets.keys().any(|key| outer.sets.contains_key(key))
            || inner.parts.keys().any(|key| outer.parts.contains_key(key))
            || inner.schemas.keys().any(|key| *key != "allOf" && outer.schemas.contains_key(key));
    if clash {
        return Ok(outer);
    }
    let mut merged = outer;
    merged.schemas.remove("allOf");
    merged.facts.extend(inner.facts);
    merged.sets.extend(inner.sets);
    merged.parts.extend(inner.parts);
    merged.schemas.extend(inner.schemas);
    Ok(merged)
}

/// Simplifies a schema after all its parts are merged.
fn settle(shape: &mut Shape) {
    let fact = |key: &str| shape.facts.get(key).map(|fact| fact.value);
    let nullable = fact("nullable").is_some();
    if let (true, Some(values)) = (nullable, shape.sets.get_mut("enum")) {
        // Some documents list null as well.
        values.retain(|value| !value.value.is_null());
    }
    let required = shape.sets.get("required").map(Vec::as_slice).unwrap_or_default();
    let required: Vec<String> = required.iter().filter_map(|name| name.value.as_str()).map(escaped).collect();
    for (key, part) in &mut shape.parts {
        let member = key.strip_prefix("properties/");
        part.optional = member.is_some_and(|name| !required.iter().any(|other| other == name));
    }
}
