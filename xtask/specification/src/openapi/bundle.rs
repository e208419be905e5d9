//! Reads an official document and the JSON files with its schemas as one document
//! without outside references.
//!
//! Every schema file becomes the component that its `title` says, also those
//! that no operation refers to: the lines of event streams are such.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{document::Document, spelling};

/// The document at `file`, with all schemas that are in the folder `schemas`;
/// `name` is what messages call it.
pub fn bundle(name: &str, file: &Path, schemas: &Path) -> Result<Document> {
    let titles = titles(schemas)?;
    let mut json = read(file)?;
    refer_inside(&mut json, file, &titles)?;
    let components = &mut json["components"]["schemas"];
    if components.is_null() {
        *components = json!({});
    }
    for (path, title) in &titles {
        let mut schema = read(path)?;
        refer_inside(&mut schema, path, &titles)?;
        spelling::schema(&mut schema);
        let itself = json!({ "$ref": format!("#/components/schemas/{title}") });
        let taken = components.get(title).is_some_and(|other| *other != itself);
        ensure!(!taken, "{name}: {title} is something else there than in {}", path.display());
        components[title] = schema;
    }
    Document::new(name, json)
}

/// The schema files below a folder, and what each is called.
fn titles(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut titles: BTreeMap<PathBuf, String> = BTreeMap::new();
    for path in files(folder, ".schema.json")? {
        let schema = read(&path)?;
        let title = schema["title"].as_str().with_context(|| format!("{}: no title", path.display()))?;
        if let Some((other, _)) = titles.iter().find(|(_, known)| *known == title) {
            bail!("{} and {} are both called {title}", other.display(), path.display());
        }
        titles.insert(path, title.to_owned());
    }
    Ok(titles)
}

/// The files below a folder whose names end so.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let folder = fs::canonicalize(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_yaml_ng::from_str(&text).with_context(|| format!("{}: neither YAML nor JSON", path.display()))
}

/// Makes all references of what is in `file` into references to components.
fn refer_inside(json: &mut Value, file: &Path, titles: &BTreeMap<PathBuf, String>) -> Result<()> {
    match json {
        Value::Object(members) => {
            for (key, member) in members {
                if let ("$ref", Value::String(target)) = (key.as_str(), &mut *member) {
                    *target = inside(target, file, titles)?;
                } else {
                    refer_inside(member, file, titles)?;
                }
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| refer_inside(item, file, titles)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn inside(target: &str, file: &Path, titles: &BTreeMap<PathBuf, String>) -> Result<String> {
    let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
    let path = match path {
        // Of a document, the place is already the one in the whole.
        "" if !titles.contains_key(file) => return Ok(target.to_owned()),
        "" => file.to_owned(),
        path => {
            let path = file.parent().unwrap_or(file).join(path);
            fs::canonicalize(&path).with_context(|| format!("{}: {target}", file.display()))?
        }
    };
    let Some(title) = titles.get(&path) else {
        bail!("{}: {target} is not among the schemas", file.display());
    };
    Ok(format!("#/components/schemas/{title}{fragment}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::compare;

    fn bundled(files: &[(&str, &str)]) -> Result<Document> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        bundle("bundle", &folder.path().join("openapi/a.yaml"), &folder.path().join("schemas"))
    }

    const API: &str = "
openapi: 3.0.3
paths:
  /a:
    get:
      responses:
        200: {content: {a/b: {schema: {$ref: '#/components/schemas/Known'}}}}
components:
  schemas:
    Known: {$ref: ../schemas/x/tree.schema.json}
";

    #[test]
    fn references_to_files_become_references_inside() {
        let tree = r##"{"title": "Tree", "type": ["object", "null"], "properties": {
            "leaf": {"$ref": "../leaf.schema.json"}, "rest": {"$ref": "#/properties/leaf"}}}"##;
        let leaf = r#"{"title": "Leaf", "type": "string"}"#;
        let document = bundled(&[
            ("openapi/a.yaml", API),
            ("schemas/x/tree.schema.json", tree),
            ("schemas/leaf.schema.json", leaf),
        ])
        .expect("a document");
        let same = Document::parse(
            "by hand",
            "
openapi: 3.0.3
paths:
  /a:
    get:
      responses:
        200: {content: {a/b: {schema: {type: object, nullable: true, properties: {
          leaf: {type: string}, rest: {type: string}}}}}}
",
        )
        .expect("a document");
        assert!(compare(&same, &document).expect("comparable").differences.is_empty());
        assert!(compare(&document, &same).expect("comparable").differences.is_empty());
    }

    #[test]
    fn missing_and_ambiguous_schemas_are_reported() {
        let leaf = ("schemas/leaf.schema.json", r#"{"title": "Leaf"}"#);
        let api = ("openapi/a.yaml", API);
        for (files, message) in [
            (vec![api, leaf], "../schemas/x/tree.schema.json"),
            (vec![api, ("schemas/x/tree.schema.json", "{}")], "no title"),
            (vec![api, leaf, ("schemas/x/tree.schema.json", r#"{"title": "Leaf"}"#)], "both called Leaf"),
            (
                vec![
                    api,
                    ("schemas/x/tree.schema.json", r#"{"title": "T", "$ref": "../../openapi/a.yaml"}"#),
                ],
                "not among the schemas",
            ),
        ] {
            let error = format!("{:#}", bundled(&files).expect_err(message));
            assert!(error.contains(message), "{error}");
        }
    }
}
