//! `check-spec` finds every kind of disagreement in the real specification, and no
//! difference of spelling.

mod accepted;
mod edit;
mod mutations;
mod real_documents;
mod rewrites;

use std::path::Path;

use serde_json::{Value, json};
use specification::openapi::{Comparison, Document, compare};
use xtask::check_spec::{Accepted, Against, Pair, Report, check};

use crate::{
    edit::{at, set, take},
    mutations::{GET, MUTATIONS},
    rewrites::{REWRITES, Rewrite, inline, number_formats, wrap},
};

/// The specification as JSON, for tests to change.
fn spec() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/run-coordinator.yaml");
    let text = std::fs::read_to_string(path).expect("the specification is there");
    serde_yaml_ng::from_str(&text).expect("the specification is YAML")
}

fn compared(spec: &Value, emitted: &Value) -> Comparison {
    let document = |name, json: &Value| Document::new(name, json.clone()).expect("a sound document");
    compare(&document("spec", spec), &document("emitted", emitted)).expect("comparable documents")
}

/// The whole of a report of one comparison.
fn report(ours: &Value, theirs: &Value) -> Report {
    let document = |name, json: &Value| Document::new(name, json.clone()).expect("a sound document");
    let pair = Pair {
        against: Against::Program,
        service: "run-coordinator",
        ours: document("ours", ours),
        theirs: document("theirs", theirs),
    };
    check(&[pair], &Accepted::default()).expect("comparable documents")
}

fn pointers(comparison: &Comparison) -> Vec<&str> {
    comparison.differences.iter().map(|difference| difference.pointer.as_str()).collect()
}

#[test]
fn every_disagreement_is_found_where_it_is() {
    let spec = spec();
    for (name, mutate, expected) in MUTATIONS {
        let mut emitted = spec.clone();
        mutate(&mut emitted);
        assert_eq!(pointers(&compared(&spec, &emitted)), *expected, "{name}");
        assert!(!compared(&emitted, &spec).differences.is_empty(), "{name}, the other way round");
    }
}

#[test]
fn every_disagreement_is_found_through_other_spellings() {
    fn all(document: &mut Value) {
        REWRITES.iter().for_each(|(_, rewrite)| rewrite(document));
    }
    let spellings: [Rewrite; 3] = [("inline", inline), ("wrapped", wrap), ("all", all)];
    let spec = spec();
    for (name, mutate, expected) in MUTATIONS {
        let mut mutated = spec.clone();
        mutate(&mut mutated);
        for (spelling, rewrite) in spellings {
            let mut emitted = mutated.clone();
            rewrite(&mut emitted);
            let comparison = compared(&spec, &emitted);
            if expected.iter().all(|pointer| pointer.contains("/RunEvent")) && spelling != "wrapped" {
                // Without its name, an unused schema is gone.
                assert_eq!(comparison.skipped, ["RunEvent", "RunEventType"], "{name}, {spelling}");
            } else {
                assert_eq!(pointers(&comparison), *expected, "{name}, {spelling}");
            }
        }
    }
}

#[test]
fn another_schema_in_its_place_is_one_difference() {
    let spec = spec();
    let place = format!("{GET}/responses/200/content/application~1json/schema");
    let other = json!({"$ref": "#/components/schemas/NodeRun"});
    for other in [other.clone(), json!({"allOf": [other]})] {
        let mut emitted = spec.clone();
        set(&mut emitted, &place, other.clone());
        let comparison = compared(&spec, &emitted);
        assert_eq!(pointers(&comparison), [format!("#{place}")]);
        let difference = &comparison.differences[0];
        assert_eq!(difference.ours, Some(json!({"$ref": "#/components/schemas/Run"})));
        assert_eq!(difference.theirs, Some(other));
        assert_eq!(difference.places, ["GET /v1/runs/{run_id}"]);
    }
    // Without names, it is the members that differ.
    let mut emitted = spec.clone();
    set(&mut emitted, &place, spec["components"]["schemas"]["NodeRun"].clone());
    let comparison = compared(&spec, &emitted);
    assert!(pointers(&comparison).contains(&"#/components/schemas/Run/properties/root_node_run_id"));
}

#[test]
fn a_schema_used_everywhere_is_reported_once_with_its_places() {
    let spec = spec();
    let mut emitted = spec.clone();
    set(&mut emitted, "/components/schemas/ErrorCause/properties/message/type", json!("integer"));
    for rewrite in [|_: &mut Value| {}, inline as fn(&mut Value)] {
        rewrite(&mut emitted);
        let comparison = compared(&spec, &emitted);
        assert_eq!(pointers(&comparison), ["#/components/schemas/ErrorCause/properties/message/type"]);
        assert_eq!(comparison.differences[0].places.len(), 11);
        let report = report(&spec, &emitted);
        let text = report.as_text();
        assert!(text.contains("in GET /v1/health, GET /v1/node-runs/{node_run_id} and 9 more"), "{text}");
        assert!(text.contains("ours:   \"string\"\n      theirs: \"integer\"\n"), "{text}");
        assert!(text.ends_with("check-spec: 1 comparison, 1 difference, 0 accepted\n"), "{text}");
        let json = report.as_json();
        assert_eq!(json["agrees"], false);
        assert_eq!(json["comparisons"][0]["differences"][0]["theirs"], "integer");
    }
}

#[test]
fn another_spelling_is_no_difference() {
    let spec = spec();
    for (name, rewrite) in REWRITES {
        let mut emitted = spec.clone();
        rewrite(&mut emitted);
        assert!(*name == "nothing changed" || emitted != spec, "{name}: nothing was rewritten");
        for comparison in [compared(&spec, &emitted), compared(&emitted, &spec)] {
            assert!(comparison.differences.is_empty(), "{name}: {:#?}", comparison.differences);
        }
    }
}

#[test]
fn number_formats_of_rust_only_are_no_difference() {
    let spec = spec();
    let mut emitted = spec.clone();
    number_formats(&mut emitted);
    let document = |json: &Value| Document::new("d", json.clone()).expect("a sound document");
    let comparison = compare(&document(&spec), &document(&emitted).of_rust()).expect("comparable");
    assert!(comparison.differences.is_empty(), "{:#?}", comparison.differences);
    assert!(
        pointers(&compared(&spec, &emitted)).contains(&"#/components/schemas/RunEvent/properties/seq/format")
    );
}

#[test]
fn all_spellings_at_once_are_no_difference() {
    let spec = spec();
    let mut emitted = spec.clone();
    for (_, rewrite) in REWRITES {
        rewrite(&mut emitted);
    }
    let comparison = compared(&spec, &emitted);
    assert!(comparison.differences.is_empty(), "{:#?}", comparison.differences);
}

#[test]
fn the_specification_agrees_with_itself() {
    let report = report(&spec(), &spec());
    assert_eq!(
        report.as_text(),
        "ours and theirs: 11 operations, 43 schemas, no differences\n\
         check-spec: 1 comparison, no differences, 0 accepted\n"
    );
    assert_eq!(report.as_json()["agrees"], true);
}

#[test]
fn unused_schemas_may_be_missing_but_are_named() {
    let spec = spec();
    let mut emitted = spec.clone();
    take(&mut emitted, "/components/schemas/RunEvent");
    take(&mut emitted, "/components/schemas/RunEventType");
    let text = report(&spec, &emitted).as_text();
    assert!(text.starts_with("ours and theirs: 11 operations, 41 schemas, no differences ("), "{text}");
    assert!(text.contains("RunEvent, RunEventType"), "{text}");
    assert!(compared(&emitted, &spec).differences.is_empty());
}

#[test]
fn recursive_schemas_come_to_an_end() {
    let document = |schemas: Value| {
        json!({
            "openapi": "3.0.3",
            "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/Tree"}
            }}}}}}},
            "components": {"schemas": schemas}
        })
    };
    let tree = |leaf: &str, child: &str| {
        json!({"type": "object", "required": ["rest"], "properties": {
            "leaf": {"type": leaf},
            "rest": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"$ref": format!("#/components/schemas/{child}")}}]},
        }})
    };
    let spec = document(json!({"Tree": tree("string", "Tree")}));
    // The same, unrolled once, with its alternatives in another order.
    let mut same = document(json!({"Tree": tree("string", "Branch"), "Branch": tree("string", "Tree")}));
    at(&mut same, "/components/schemas/Branch/properties/rest/oneOf")
        .as_array_mut()
        .expect("a list")
        .reverse();
    assert!(compared(&spec, &same).differences.is_empty());
    assert!(compared(&same, &spec).differences.is_empty());
    // Something else, but only below; and there is a Tree to refer to.
    let other = document(json!({"Tree": tree("string", "Branch"), "Branch": tree("integer", "Tree")}));
    assert_eq!(
        pointers(&compared(&spec, &other)),
        ["#/components/schemas/Tree/properties/rest/oneOf/1/items"]
    );
    let mut fewer = spec.clone();
    take(&mut fewer, "/components/schemas/Tree/properties/rest/oneOf/0");
    assert_eq!(pointers(&compared(&spec, &fewer)), ["#/components/schemas/Tree/properties/rest/oneOf/0"]);
    assert_eq!(pointers(&compared(&fewer, &spec)), ["#/components/schemas/Tree/properties/rest/oneOf/1"]);
}

#[test]
fn documents_that_cannot_be_compared_say_why() {
    let broken = |reference: &str| {
        let mut document = spec();
        set(&mut document, "/components/schemas/Run/properties/state/$ref", json!(reference));
        document
    };
    let mut circle = spec();
    set(&mut circle, "/components/schemas/RunState", json!({"$ref": "#/components/schemas/NodeRunState"}));
    set(&mut circle, "/components/schemas/NodeRunState", json!({"$ref": "#/components/schemas/RunState"}));
    let mut newer = spec();
    newer["openapi"] = json!("3.2.0");
    for (document, message) in [
        (
            broken("#/components/schemas/Runstate"),
            "d: #/components/schemas/Run/properties/state refers to #/components/schemas/Runstate, which does not exist",
        ),
        (
            broken("common.yaml#/State"),
            "d: #/components/schemas/Run/properties/state refers to common.yaml#/State: put it into the document itself",
        ),
        (circle, "refers to itself"),
        (newer, "d: OpenAPI version is 3.2.0, only 3.0 and 3.1 can be compared"),
    ] {
        let error = Document::new("d", document).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }

    let mut own_part = spec();
    set(
        &mut own_part,
        "/components/schemas/RunState",
        json!({"allOf": [{"$ref": "#/components/schemas/RunState"}]}),
    );
    let own_part = Document::new("d", own_part).expect("its references exist");
    let error = compare(&own_part, &own_part).expect_err("no schema at all").to_string();
    assert_eq!(error, "d: #/components/schemas/RunState is defined as itself");

    let mut twice = spec();
    let item = at(&mut twice, "/paths/~1v1~1runs~1{run_id}").clone();
    set(&mut twice, "/paths/~1v1~1runs~1{id}", item);
    let twice = Document::new("d", twice).expect("its references exist");
    let error = compare(&twice, &twice).expect_err("ambiguous").to_string();
    assert!(error.contains("are the same operation"), "{error}");
}

#[test]
fn yaml_and_json_are_read_alike() {
    let yaml =
        "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      responses:\n        200: {description: fine}\n";
    let json = r#"{"openapi": "3.0.3", "paths": {"\/a": {"get": {"responses": {"200": {}}}}}}"#;
    let read = |text| Document::parse("text", text).expect("a document");
    let comparison = compare(&read(yaml), &read(json)).expect("comparable");
    assert!(comparison.differences.is_empty() && comparison.operations == 1);
    assert!(Document::parse("text", "{").is_err() && Document::parse("text", "a: [").is_err());
}
