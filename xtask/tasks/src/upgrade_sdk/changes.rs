//! The differences between two versions of the official specification, as a table.
//!
//! | class | |
//! |---|---|
//! | breaking | values that are valid in the old version may be invalid in the new one, or readers of answers may meet an unknown value |
//! | additive | the rest, such as a new optional member |
//! | prose | for people |
//!
//! A new value of an enum is breaking in answers only, so requests and answers are
//! distinguished. Events, which no operation names, are answers.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt::Write,
    fs,
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::Value;
use specification::{
    openapi::{self, Difference, Document, Node, compare},
    sdk::{SERVICES, Sdk},
};

/// Longer values are cut.
const VALUE_LIMIT: usize = 48;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Breaking,
    Additive,
    Prose,
}

/// A row of the table. A change that several documents share is one row.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub class: Class,
    pub what: String,
    /// JSON pointer into the official document, or a file.
    pub place: String,
    pub before: String,
    pub after: String,
    pub services: BTreeSet<&'static str>,
}

/// All changes in `new`.
pub fn changes(old: &Sdk, new: &Sdk) -> Result<Vec<Change>> {
    let mut all = Vec::new();
    for service in SERVICES {
        let (old, new) = (old.document(service)?, new.document(service)?);
        all.extend(structure(service, &old, &new)?);
        all.extend(prose(service, &old, &new));
    }
    all.extend(files(old.folder(), new.folder())?);
    // Changes of no service come last, because a service gives the better class.
    all.sort_by_key(|change| change.services.is_empty());
    // Changes with the same key are one row.
    let mut rows: BTreeMap<[String; 3], Change> = BTreeMap::new();
    for change in all {
        let key = [&change.place, &change.before, &change.after].map(Clone::clone);
        match rows.entry(key) {
            Entry::Vacant(row) => _ = row.insert(change),
            Entry::Occupied(row) if !change.services.is_empty() => {
                let row = row.into_mut();
                // One service may have it in answers, another in requests.
                if change.class < row.class {
                    (row.class, row.what) = (change.class, change.what);
                }
                row.services.extend(change.services);
            }
            Entry::Occupied(_) => {}
        }
    }
    let mut rows: Vec<Change> = rows.into_values().collect();
    rows.sort();
    Ok(rows)
}

/// The table, or the statement that there are no changes.
pub fn table(rows: &[Change]) -> String {
    let mut lines = vec![["class", "what", "where", "before", "after", "in"].map(str::to_owned)];
    for Change { class, what, place, before, after, services } in rows {
        let class = match class {
            Class::Breaking => "breaking",
            Class::Additive => "additive",
            Class::Prose => "prose",
        };
        let everywhere = services.len() == SERVICES.len();
        let services: Vec<&str> = services.iter().copied().collect();
        let services = if everywhere { "all".to_owned() } else { services.join(", ") };
        lines.push([class, what, place, before, after, &services].map(str::to_owned));
    }
    let widths: Vec<usize> = (0..6)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut out = String::new();
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Writing to a string cannot fail.
        _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    let count = |class: Class| rows.iter().filter(|row| row.class == class).count();
    let [breaking, additive, prose] = [Class::Breaking, Class::Additive, Class::Prose].map(count);
    _ = writeln!(out, "{breaking} breaking, {additive} additive, {prose} prose");
    if breaking + additive == 0 {
        _ = writeln!(out, "no structural change");
    }
    out
}

/// The structural changes, which programs notice.
fn structure(service: &'static str, old: &Document, new: &Document) -> Result<Vec<Change>> {
    let (mut asked, mut answered) = (BTreeSet::new(), BTreeSet::new());
    for document in [old, new] {
        for operation in document.operations()? {
            let ask = ["parameters", "requestBody"].map(|key| operation.node.child(key));
            for node in ask.iter().flatten().chain(&operation.item.child("parameters")) {
                follow(document, node, &mut asked)?;
            }
            if let Some(node) = operation.node.child("responses") {
                follow(document, &node, &mut answered)?;
            }
        }
    }
    let is_answered = |pointer: &str| {
        let named = pointer.split('/').take(4).collect::<Vec<_>>().join("/");
        let in_operation = pointer.starts_with("#/paths/") && pointer.contains("/responses/");
        in_operation
            || answered.contains(&named)
            || (named.starts_with("#/components/") && !asked.contains(&named))
    };
    let differences = compare(old, new)?.differences;
    let added: BTreeSet<&str> = differences
        .iter()
        .filter(|difference| difference.ours.is_none())
        .map(|difference| difference.pointer.as_str())
        .collect();
    let required: BTreeSet<String> = differences.iter().filter_map(newly_required).collect();
    let mut changes = Vec::new();
    for difference in &differences {
        // One row for a member that is new and required.
        if newly_required(difference).is_some_and(|member| added.contains(member.as_str())) {
            continue;
        }
        let (class, what) = classify(difference, is_answered(&difference.pointer), &required);
        // A schema that no operation of this service refers to belongs to another.
        let is_unused = difference.places.iter().all(|place| place.starts_with("component "));
        changes.push(Change {
            class,
            what: what.into(),
            place: difference.pointer.clone(),
            before: brief(difference.ours.as_ref()),
            after: brief(difference.theirs.as_ref()),
            services: if is_unused { BTreeSet::new() } else { BTreeSet::from([service]) },
        });
    }
    Ok(changes)
}

/// The pointer of the member, if the difference is that it is required now.
fn newly_required(difference: &Difference) -> Option<String> {
    let schema = difference.pointer.strip_suffix("/required")?;
    let name = difference.theirs.as_ref().filter(|_| difference.ours.is_none())?.as_str()?;
    Some(format!("{schema}/properties/{}", openapi::escaped(name)))
}

/// Collects all schemas that the node refers to.
fn follow(document: &Document, node: &Node<'_>, met: &mut BTreeSet<String>) -> Result<()> {
    if let Some(target) = node.reference() {
        if !met.insert(target.to_owned()) {
            return Ok(());
        }
        return follow(document, &document.resolve(node)?, met);
    }
    for (_, child) in node.entries() {
        follow(document, &child, met)?;
    }
    node.items().iter().try_for_each(|item| follow(document, item, met))
}

/// The class of a change, and its description.
fn classify(difference: &Difference, answered: bool, required: &BTreeSet<String>) -> (Class, &'static str) {
    use Class::{Additive, Breaking, Prose};
    let Difference { pointer, ours: before, theirs: after, .. } = difference;
    let mut segments = pointer.rsplit('/');
    let (last, parent) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    let (appears, goes) = (before.is_none(), after.is_none());
    let breaking_if = |breaking: bool| if breaking { Breaking } else { Additive };
    let is_operation = pointer.starts_with("#/paths/") && pointer.split('/').count() == 4;
    match (parent, last) {
        _ if is_operation && appears => (Additive, "operation added"),
        _ if is_operation && goes => (Breaking, "operation removed"),
        ("properties", _) if appears && required.contains(pointer) => (Breaking, "required member added"),
        ("properties", _) if appears => (Additive, "optional member added"),
        ("properties", _) if goes => (Breaking, "member removed"),
        ("parameters", _) if appears => {
            let required = after.as_ref().is_some_and(|parameter| parameter["required"] == true);
            (breaking_if(required), if required { "required parameter added" } else { "parameter added" })
        }
        ("parameters", _) if goes => (Breaking, "parameter removed"),
        ("responses", status) if appears => (breaking_if(status.starts_with('2')), "answer added"),
        ("responses", _) if goes => (Breaking, "answer removed"),
        ("content", _) if appears => (Additive, "content type added"),
        ("content", _) if goes => (Breaking, "content type removed"),
        (_, "required") if appears => (Breaking, "required"),
        (_, "required") if goes => (breaking_if(answered), "no longer required"),
        (_, "enum") if appears => (breaking_if(answered), "enum value added"),
        (_, "enum") if goes => (Breaking, "enum value removed"),
        (_, "tags") => (Prose, "tag"),
        (_, "deprecated") => (Prose, "deprecated"),
        (_, "operationId") => (Breaking, "name of the operation"),
        (_, "security") => (Breaking, "security"),
        (_, "type") => (Breaking, "type"),
        (_, "format") => (Breaking, "format"),
        (_, bound) => match tightened(bound, before.as_ref(), after.as_ref()) {
            Some(true) => (Breaking, "narrower"),
            Some(false) => (breaking_if(answered), "wider"),
            None => (Breaking, "changed"),
        },
    }
}

/// Whether fewer values are valid than before, if the keyword is a bound.
fn tightened(bound: &str, before: Option<&Value>, after: Option<&Value>) -> Option<bool> {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    match bound {
        "minimum" | "minLength" | "minItems" | "minProperties" => {
            Some(number(after).unwrap_or(f64::MIN) > number(before).unwrap_or(f64::MIN))
        }
        "maximum" | "maxLength" | "maxItems" | "maxProperties" => {
            Some(number(after).unwrap_or(f64::MAX) < number(before).unwrap_or(f64::MAX))
        }
        "additionalProperties" if after.is_some_and(|after| *after == false) => Some(true),
        "additionalProperties" if before.is_some_and(|before| *before == false) => Some(false),
        "nullable" => Some(after.is_none()),
        _ => None,
    }
}

/// The changes of prose.
fn prose(service: &'static str, old: &Document, new: &Document) -> Vec<Change> {
    let mut found = Vec::new();
    words(old.json(), new.json(), "#", &mut found);
    let change = |(place, before, after)| Change {
        class: Class::Prose,
        what: "words".into(),
        place,
        before,
        after,
        services: BTreeSet::from([service]),
    };
    found.into_iter().map(change).collect()
}

/// Collects the differences of prose.
fn words(old: &Value, new: &Value, at: &str, found: &mut Vec<(String, String, String)>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let at = format!("{at}/{}", openapi::escaped(key));
                match (old.get(key), new.get(key)) {
                    (before, after) if openapi::is_prose(key) && before != after => {
                        // A member may have such a name as well.
                        let objects = [before, after].into_iter().flatten().any(Value::is_object);
                        if !objects {
                            found.push((at, brief(before), brief(after)));
                        }
                    }
                    (Some(before), Some(after)) => words(before, after, &at, found),
                    (_, _) => {}
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, (before, after)) in old.iter().zip(new).enumerate() {
                words(before, after, &format!("{at}/{index}"), found);
            }
        }
        (_, _) => {}
    }
}

/// The changes of other files: text and vectors.
fn files(old: &Path, new: &Path) -> Result<Vec<Change>> {
    let read = |folder: &Path| -> Result<BTreeMap<String, String>> {
        let folder = fs::canonicalize(folder)?;
        let mut texts = BTreeMap::new();
        for file in openapi::files(&folder, "")? {
            let name = file.strip_prefix(&folder)?.display().to_string();
            if name.ends_with(".md") || name.starts_with("conformance/") {
                texts.insert(name, fs::read_to_string(&file).with_context(|| file.display().to_string())?);
            }
        }
        Ok(texts)
    };
    let (old, new) = (read(old)?, read(new)?);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    // The number of lines that are only in the first.
    let lines = |text: Option<&String>, other: Option<&String>| {
        let Some(text) = text else { return "nothing".to_owned() };
        let known: BTreeSet<&str> = other.map(|other| other.lines().collect()).unwrap_or_default();
        match text.lines().filter(|line| !known.contains(line)).count() {
            1 => "1 line".into(),
            count => format!("{count} lines"),
        }
    };
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let change = |name: &String| Change {
        class: Class::Prose,
        what: if name.ends_with(".md") { "text" } else { "vector" }.into(),
        place: name.clone(),
        before: lines(old.get(name), new.get(name)),
        after: lines(new.get(name), old.get(name)),
        services: BTreeSet::new(),
    };
    Ok(changed.map(change).collect())
}

fn brief(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let text = value.to_string();
    match text.char_indices().nth(VALUE_LIMIT) {
        Some(_) if value.is_object() => "{…}".into(),
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
