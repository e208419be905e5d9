//! `upgrade-sdk` to a version that does not exist (`future.yaml`): its table of
//! changes, and the edits to our documents.

use std::{fs, path::Path, process::Command};

use expectorate::assert_contents;
use serde::Deserialize;
use serde_json::{Map, Value};
use specification::{
    openapi::{Document, compare},
    sdk::Sdk,
};
use tempfile::TempDir;
use xtask::{
    check_spec::Accepted,
    upgrade_sdk::{changes, plan, summary, table},
};
use xtask_support::workspace;

/// The edits in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    r#in: String,
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    remove: Vec<String>,
    file: Option<Value>,
}

fn pinned() -> Sdk {
    Sdk::pinned(&workspace::root()).expect("the pinned specification")
}

/// The pinned specification with the edits, in a folder of its own.
fn future(pinned: &Sdk) -> (TempDir, Sdk) {
    let folder = tempfile::tempdir().expect("a folder");
    copy(pinned.folder(), folder.path());
    let edits: Vec<Edit> = serde_yaml_ng::from_str(include_str!("future.yaml")).expect("edits");
    for Edit { r#in, set, remove, file } in edits {
        let path = folder.path().join(&r#in);
        let mut json = file.unwrap_or_else(|| {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{in}: {error}", in = r#in));
            serde_yaml_ng::from_str(&text).expect("YAML or JSON")
        });
        let mut member = |pointer: &str, value: Option<Value>| {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let members = json.pointer_mut(parent).and_then(Value::as_object_mut).expect(pointer);
            let key = key.replace("~1", "/");
            match value {
                Some(value) => _ = members.insert(key, value),
                None => _ = members.remove(&key).expect(pointer),
            }
        };
        for (pointer, value) in set {
            member(&pointer, Some(value));
        }
        remove.iter().for_each(|pointer| member(pointer, None));
        fs::write(path, json.to_string()).expect("written");
    }
    let changelog = folder.path().join("CHANGELOG.md");
    let text = fs::read_to_string(&changelog).expect("a changelog");
    fs::write(changelog, format!("{text}\n## v9.0.0\n\n- Made up.\n")).expect("written");
    let sdk = Sdk::local(folder.path()).expect("a specification");
    (folder, sdk)
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn table_lists_changes_by_class() {
    let pinned = pinned();
    let (_folder, future) = future(&pinned);
    let rows = changes(&pinned, &future).expect("comparable");
    assert_contents("tests/upgrade_sdk/table.txt", &table(&rows));
}

#[test]
fn same_version_has_no_changes() {
    let pinned = pinned();
    assert_eq!(
        table(&changes(&pinned, &pinned).expect("comparable")),
        "class  what  where  before  after  in\n0 breaking, 0 additive, 0 prose\nno structural change\n"
    );
    let documents = workspace::root().join("openapi");
    let accepted = Accepted::load(&documents).expect("the list");
    for (service, rewritten) in plan(&documents, &pinned, &accepted).expect("a plan") {
        let text = fs::read_to_string(documents.join(format!("{service}.yaml"))).expect("a document");
        assert_eq!(rewritten.yaml, text, "{service}");
    }
}

#[test]
fn our_documents_follow_and_keep_our_prose() {
    let (_folder, future) = future(&pinned());
    let documents = workspace::root().join("openapi");
    let accepted = Accepted::load(&documents).expect("the list");
    let plan = plan(&documents, &future, &accepted).expect("a plan");
    assert_contents("tests/upgrade_sdk/edits.txt", &summary(&plan));
    let mut all = String::new();
    for (service, rewritten) in plan {
        assert!(rewritten.left.is_empty(), "{service}: {:#?}", rewritten.left);
        let ours =
            Document::parse(service, &rewritten.yaml).and_then(Document::with_patterns).expect("sound");
        let differences =
            compare(&ours, &future.document(service).expect("theirs")).expect("comparable").differences;
        let pointers: Vec<&str> = differences.iter().map(|difference| difference.pointer.as_str()).collect();
        assert_eq!(pointers, ["#/components/schemas/Extensions/additionalProperties"], "{service}");

        let old = documents.join(format!("{service}.yaml"));
        all.push_str(&format!("=== {service}\n{}", diff(&old, &rewritten.yaml)));
    }
    assert_contents("tests/upgrade_sdk/documents.diff", &all);
}

/// The lines that are removed and added.
fn diff(old: &Path, new: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new.yaml");
    fs::write(&path, new).expect("written");
    let mut git = Command::new("git");
    git.args(["diff", "--no-index", "--no-color", "--no-ext-diff", "--unified=0"]).arg(old).arg(path);
    let output = git.output().expect("git is there");
    let text = String::from_utf8(output.stdout).expect("text");
    // Where it is and in which line may change; what changes does not.
    let body = text.lines().skip_while(|line| !line.starts_with("@@"));
    body.map(|line| if line.starts_with("@@") { "@@\n".into() } else { format!("{line}\n") }).collect()
}
