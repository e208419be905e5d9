//! On the real documents: ours, the pinned SDK's, the installed services'. They agree,
//! and a change to any of them is found.

use std::{fs, path::Path};

use serde_json::{Value, json};
use specification::openapi::Document;
use xtask::check_spec::{Accepted, Against, Args, Pair, check, pairs};
use xtask_support::workspace;

use crate::edit::{set, take};

type Mutate = fn(&mut Value);

fn all(documents: &Path) -> Vec<Pair> {
    // What the program emits is checked by the command itself: no need to build
    // it here.
    let emitted = |name: &str| Some(documents.join(name));
    let args = Args {
        emitted: emitted("run-coordinator.yaml"),
        emitted_operator: emitted("operator.yaml"),
        ..Args::default()
    };
    pairs(&args, documents).expect("all documents")
}

#[test]
fn changes_to_our_documents_are_found() {
    const SCHEMA: &str = "/components/schemas";
    let mutations: [(&str, &str, Mutate, &str); 10] = [
        (
            "a member more that is required",
            "pdp",
            |d| set(d, &format!("{SCHEMA}/PolicyDecision/required"), json!(["decision", "message"])),
            "#/components/schemas/PolicyDecision/required",
        ),
        (
            "another type",
            "selection",
            |d| set(d, &format!("{SCHEMA}/Candidate/properties/score/type"), json!("string")),
            "#/components/schemas/Candidate/properties/score/type",
        ),
        (
            "another pattern of keys",
            "node-registry",
            |d| set(d, &format!("{SCHEMA}/Extensions/x-pattern-properties"), json!({"^a$": {}})),
            "#/components/schemas/Extensions/patternProperties/^a$",
        ),
        (
            "a word less",
            "composite-executor",
            |d| _ = take(d, &format!("{SCHEMA}/SideEffectClass/enum/2")),
            "#/components/schemas/SideEffectClass/enum",
        ),
        (
            "an object that is open",
            "atomic-executor",
            |d| _ = take(d, &format!("{SCHEMA}/AtomicExecuteRequest/additionalProperties")),
            "#/components/schemas/AtomicExecuteRequest/additionalProperties",
        ),
        (
            "an event in which something is missing, which no operation names",
            "run-coordinator",
            |d| _ = take(d, &format!("{SCHEMA}/RunEvent/properties/data")),
            "#/components/schemas/RunEvent/properties/data",
        ),
        (
            "a bound",
            "run-store",
            |d| set(d, "/paths/~1v1~1runs~1{run_id}~1node-runs/get/parameters/1/schema/maximum", json!(501)),
            "#/paths/~1v1~1runs~1{run_id}~1node-runs/get/parameters/1/schema/maximum",
        ),
        (
            "an operation's name",
            "event-stream",
            |d| set(d, "/paths/~1v1~1run-events/post/operationId", json!("append")),
            "#/paths/~1v1~1run-events/post/operationId",
        ),
        (
            "a probe that needs a token",
            "operator",
            |d| _ = take(d, "/paths/~1livez/get/security"),
            // It then has the security of the whole document.
            "#/security",
        ),
        (
            "a member less",
            "artifact-store",
            |d| _ = take(d, &format!("{SCHEMA}/ArtifactRef/properties/checksum_sha256")),
            "#/components/schemas/ArtifactRef/properties/checksum_sha256",
        ),
    ];
    let documents = workspace::root().join("openapi");
    let accepted = Accepted::load(&documents).expect("the list");
    let sound = all(&documents);
    let report = check(&sound, &accepted).expect("comparable");
    assert!(report.agrees(), "{}", report.as_text());
    assert_eq!(report.checked.len(), 11);

    for (name, service, mutate, pointer) in mutations {
        let text = fs::read_to_string(documents.join(format!("{service}.yaml"))).expect("a document");
        let mut json: Value = serde_yaml_ng::from_str(&text).expect("YAML");
        mutate(&mut json);
        let mut mutated = sound.clone();
        for pair in mutated.iter_mut().filter(|pair| pair.service == service) {
            let ours = Document::new(service, json.clone()).expect("sound");
            pair.ours = match pair.against {
                Against::Official => ours.with_patterns().expect("sound"),
                Against::Program | Against::Service => ours,
            };
        }
        let report = check(&mutated, &accepted).expect("comparable");
        let found = report.checked.iter().flat_map(|checked| &checked.comparison.differences);
        assert!(
            found.clone().any(|difference| difference.pointer == pointer),
            "{name}: {:#?}",
            found.collect::<Vec<_>>()
        );
    }
}
