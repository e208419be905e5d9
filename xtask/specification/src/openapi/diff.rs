//! Two documents, walked side by side from each operation, and where their
//! shapes differ.
//!
//! - A pair of schemas that is being compared already is taken to be the same
//!   when it is met again: recursive schemas come to an end, and what is
//!   different about them is found by the comparison under way.
//! - A difference has the pointer of the place in our document (or the
//!   place where it would stand), references followed. So a schema that is
//!   used everywhere is reported once, with the operations that it is part of.
//! - A named schema that no operation refers to is compared if both documents
//!   have one of that name. If only one has it, it never appears on the
//!   wire, so it is no difference; [`Comparison::skipped`] names it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde_json::Value;

use super::{
    canon::{self, Kind, Part, Shape},
    document::{Document, Node, Operation},
};

/// A place where the two documents disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// JSON pointer into our document.
    pub pointer: String,
    /// The value there; `None` if there is nothing.
    pub ours: Option<Value>,
    pub theirs: Option<Value>,
    /// The places that it is part of: operations by name, or `component X`.
    pub places: Vec<String>,
}

/// The result of a comparison.
#[derive(Debug)]
pub struct Comparison {
    pub differences: Vec<Difference>,
    /// Operations of our document.
    pub operations: usize,
    /// Named schemas of our document that were compared.
    pub schemas: usize,
    /// Named schemas of it that were not.
    pub skipped: Vec<String>,
    /// Where their named schemas are, and where ours that were compared with
    /// them.
    pub counterparts: BTreeMap<String, String>,
}

/// Compares `theirs` with `ours`, a document of `openapi/`, by meaning.
pub fn compare(ours: &Document, theirs: &Document) -> Result<Comparison> {
    let mut walk = Walk::new(ours, theirs);
    let (wanted, mut given) = (by_key(ours)?, by_key(theirs)?);
    for (key, operation) in &wanted {
        walk.begin(&operation.name);
        match given.remove(key) {
            Some(other) => {
                let shapes = (canon::operation(ours, operation)?, canon::operation(theirs, &other)?);
                walk.shapes(&shapes.0, &shapes.1, false)?;
            }
            None => walk.report(&operation.node.at, Some(operation.node.value), None),
        }
    }
    for operation in given.into_values() {
        walk.begin(&operation.name);
        walk.report(&operation.node.at, None, Some(operation.node.value));
    }

    // A scheme that one document lacks shows where operations ask for it.
    let components = |kind| theirs.components(kind).into_iter().collect::<BTreeMap<_, _>>();
    let other = components("securitySchemes");
    for (name, scheme) in ours.components("securitySchemes") {
        if let Some(other) = other.get(name) {
            walk.begin(&format!("component {name}"));
            walk.nodes(Kind::SecurityScheme, &scheme, other, false)?;
        }
    }

    let (mut schemas, mut skipped) = (0, Vec::new());
    let other = components("schemas");
    for (name, schema) in ours.components("schemas") {
        match other.get(name) {
            _ if walk.reached.contains(&schema.at) => {}
            Some(other) => {
                walk.begin(&format!("component {name}"));
                walk.nodes(Kind::Schema, &schema, other, false)?;
            }
            None => {
                skipped.push(name.to_owned());
                continue;
            }
        }
        schemas += 1;
    }
    let counterparts = std::mem::take(&mut walk.counterparts);
    Ok(Comparison { differences: walk.finish(), operations: wanted.len(), schemas, skipped, counterparts })
}

fn by_key(document: &Document) -> Result<BTreeMap<String, Operation<'_>>> {
    let mut all = BTreeMap::new();
    for operation in document.operations()? {
        let name = operation.name.clone();
        if let Some(other) = all.insert(operation.key.clone(), operation) {
            bail!("{}: {name} and {} are the same operation", document.name(), other.name);
        }
    }
    Ok(all)
}

/// The pointers of two schemas, and whether null makes no difference.
type Pair = (String, String, bool);

/// The walk through both documents.
struct Walk<'d> {
    ours: &'d Document,
    theirs: &'d Document,
    /// The walk only determines whether there is any difference.
    trial: bool,
    /// The place where the walk started.
    place: String,
    /// The pairs compared since then.
    met: BTreeSet<Pair>,
    /// The pairs being compared.
    under_way: BTreeSet<Pair>,
    /// All schemas of our document that were reached.
    reached: BTreeSet<String>,
    counterparts: BTreeMap<String, String>,
    /// By what makes two of them one: pointer and both texts.
    found: BTreeMap<[String; 3], Difference>,
}

impl<'d> Walk<'d> {
    fn new(ours: &'d Document, theirs: &'d Document) -> Self {
        Self {
            ours,
            theirs,
            trial: false,
            place: String::new(),
            met: BTreeSet::new(),
            under_way: BTreeSet::new(),
            reached: BTreeSet::new(),
            counterparts: BTreeMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// Each place is walked from scratch, so that all are known that have a
    /// difference.
    fn begin(&mut self, place: &str) {
        place.clone_into(&mut self.place);
        self.met.clear();
    }

    fn finish(self) -> Vec<Difference> {
        self.found.into_values().collect()
    }

    fn report(&mut self, pointer: &str, ours: Option<&Value>, theirs: Option<&Value>) {
        let text = |value: Option<&Value>| value.map(Value::to_string).unwrap_or_default();
        let found =
            self.found.entry([pointer.to_owned(), text(ours), text(theirs)]).or_insert_with(|| Difference {
                pointer: pointer.to_owned(),
                ours: ours.cloned(),
                theirs: theirs.cloned(),
                places: Vec::new(),
            });
        if !found.places.contains(&self.place) {
            found.places.push(self.place.clone());
        }
    }

    fn nodes(&mut self, kind: Kind, ours: &Node<'d>, theirs: &Node<'d>, optional: bool) -> Result<()> {
        if kind == Kind::Schema && !self.trial && self.is_mistaken(ours, theirs, optional)? {
            self.report(&ours.at, Some(ours.value), Some(theirs.value));
            return Ok(());
        }
        let (ours, theirs) = (canon::shape(self.ours, kind, ours)?, canon::shape(self.theirs, kind, theirs)?);
        self.shapes(&ours, &theirs, optional)
    }

    /// `theirs` refers to another schema than `ours`, although it has that
    /// too, and it is not only a name: one difference, and not one for each
    /// member that the two do not share.
    fn is_mistaken(&self, ours: &Node<'d>, theirs: &Node<'d>, optional: bool) -> Result<bool> {
        let (Some(wanted), Some(given)) = (named(ours), named(theirs)) else { return Ok(false) };
        let has_wanted =
            wanted.strip_prefix('#').is_some_and(|at| self.theirs.root().value.pointer(at).is_some());
        Ok(wanted != given && has_wanted && !self.are_same(ours, theirs, optional)?)
    }

    /// What is under way is taken to be the same here too: otherwise, recursive
    /// schemas would have no end.
    fn are_same(&self, ours: &Node<'d>, theirs: &Node<'d>, optional: bool) -> Result<bool> {
        let mut trial =
            Self { trial: true, met: self.under_way.clone(), ..Self::new(self.ours, self.theirs) };
        trial.under_way.clone_from(&self.under_way);
        trial.nodes(Kind::Schema, ours, theirs, optional)?;
        Ok(trial.found.is_empty())
    }

    fn shapes(&mut self, ours: &Shape<'d>, theirs: &Shape<'d>, optional: bool) -> Result<()> {
        self.reached.insert(ours.at.clone());
        if is_named(&ours.at) && is_named(&theirs.at) {
            self.counterparts.entry(theirs.at.clone()).or_insert_with(|| ours.at.clone());
        }
        let pair: Pair = (ours.at.clone(), theirs.at.clone(), optional);
        if self.met.insert(pair.clone()) {
            self.under_way.insert(pair.clone());
            self.contents(ours, theirs, optional)?;
            self.under_way.remove(&pair);
        }
        Ok(())
    }

    fn contents(&mut self, ours: &Shape<'d>, theirs: &Shape<'d>, optional: bool) -> Result<()> {
        if self.facts(ours, theirs, optional) == Verdict::Incomparable {
            return Ok(());
        }
        self.sets(ours, theirs);
        for (key, part) in pairs(&ours.parts, &theirs.parts) {
            match part {
                (Some(wanted), Some(given)) => {
                    // Where only one is optional, `required` has been reported.
                    let optional = wanted.optional || given.optional;
                    self.nodes(wanted.kind, &wanted.node, &given.node, optional)?;
                }
                (wanted, given) => {
                    let value = |part: &Part<'d>| part.node.value;
                    let at = wanted.map_or_else(|| format!("{}/{key}", ours.at), |part| part.node.at.clone());
                    self.report(&at, wanted.map(value), given.map(value));
                }
            }
        }
        for (key, (wanted, given)) in pairs(&ours.schemas, &theirs.schemas) {
            let list = |nodes: Option<&Vec<Node<'d>>>| nodes.cloned().unwrap_or_default();
            self.alternatives(&format!("{}/{key}", ours.at), list(wanted), list(given))?;
        }
        Ok(())
    }

    fn facts(&mut self, ours: &Shape<'d>, theirs: &Shape<'d>, optional: bool) -> Verdict {
        let mut differing: Vec<_> = pairs(&ours.facts, &theirs.facts)
            .into_iter()
            .filter(|(key, _)| !(optional && **key == "nullable"))
            .filter(|(_, (wanted, given))| !same(wanted.map(|fact| fact.value), given.map(|fact| fact.value)))
            .collect();
        // Of schemas of different types, nothing else is worth comparing.
        let incomparable = differing.iter().any(|(key, _)| **key == "type");
        if incomparable {
            differing.retain(|(key, _)| **key == "type");
        }
        for (key, (wanted, given)) in differing {
            let at = wanted.map_or_else(|| format!("{}/{key}", ours.at), |fact| fact.at.clone());
            self.report(&at, wanted.map(|fact| fact.value), given.map(|fact| fact.value));
        }
        if incomparable { Verdict::Incomparable } else { Verdict::Comparable }
    }

    /// Each value that only one of the two has.
    fn sets(&mut self, ours: &Shape<'d>, theirs: &Shape<'d>) {
        for (key, (wanted, given)) in pairs(&ours.sets, &theirs.sets) {
            let list = |values: Option<&Vec<Node<'d>>>| values.cloned().unwrap_or_default();
            let (wanted, given) = (list(wanted), list(given));
            let has =
                |values: &[Node], value: &Value| values.iter().any(|v| same(Some(v.value), Some(value)));
            // Of an inherited `security`, the place is the document's.
            let parent = |value: &Node| value.at.rsplit_once('/').map(|(parent, _)| parent.to_owned());
            let at = wanted.first().and_then(parent).unwrap_or_else(|| format!("{}/{key}", ours.at));
            for value in wanted.iter().filter(|value| !has(&given, value.value)) {
                self.report(&at, Some(value.value), None);
            }
            for value in given.iter().filter(|value| !has(&wanted, value.value)) {
                self.report(&at, None, Some(value.value));
            }
        }
    }

    /// Schemas without names and without order: those that have an equal are
    /// set aside, the others are compared one by one.
    fn alternatives(&mut self, at: &str, wanted: Vec<Node<'d>>, mut given: Vec<Node<'d>>) -> Result<()> {
        let count = wanted.len();
        let mut unmatched = Vec::new();
        for schema in wanted {
            let mut equal = None;
            for (index, other) in given.iter().enumerate() {
                if self.are_same(&schema, other, false)? {
                    equal = Some(index);
                    break;
                }
            }
            match equal {
                Some(index) => {
                    let other = given.remove(index);
                    if !self.trial {
                        // For `reached`; there is nothing to be found.
                        self.nodes(Kind::Schema, &schema, &other, false)?;
                    }
                }
                None => unmatched.push(schema),
            }
        }
        let mut given = given.into_iter();
        for schema in unmatched {
            match given.next() {
                Some(other) if !self.trial => self.nodes(Kind::Schema, &schema, &other, false)?,
                other => self.report(&schema.at, Some(schema.value), other.map(|other| other.value)),
            }
        }
        for (index, other) in given.enumerate() {
            self.report(&format!("{at}/{}", count + index), None, Some(other.value));
        }
        Ok(())
    }
}

/// What a schema is called: where it refers to, perhaps by way of an `allOf`
/// of one.
fn named<'d>(node: &Node<'d>) -> Option<&'d str> {
    let only = || node.child("allOf")?.items().first()?.reference();
    node.reference().or_else(only)
}

/// Whether a pointer is that of a named schema.
fn is_named(at: &str) -> bool {
    at.strip_prefix("#/components/schemas/").is_some_and(|name| !name.contains('/'))
}

#[derive(PartialEq)]
enum Verdict {
    Comparable,
    Incomparable,
}

/// What both have under each key that at least one of them has.
fn pairs<'m, K: Ord, V>(
    a: &'m BTreeMap<K, V>,
    b: &'m BTreeMap<K, V>,
) -> BTreeMap<&'m K, (Option<&'m V>, Option<&'m V>)> {
    a.keys().chain(b.keys()).map(|key| (key, (a.get(key), b.get(key)))).collect()
}

/// Equal as JSON, where 1 and 1.0 are one number.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a == b };
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| same(Some(value), b.get(key)))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}
