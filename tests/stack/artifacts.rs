//! The real Artifact Store: our client of it, and the offloading of large outputs if it
//! is configured.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use jarvis_run_coordinator::{
    clients::{CallError, CallTimeout, Peer, Service, artifact_store::Client},
    services::ArtifactStore,
    time::SystemClock,
    types::{HealthStatus, NodeRun, RunState},
};
use jarvis_stack::{Part, Profile};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask_support::process::PATIENCE;

use crate::{
    runs::ATOMIC_RUN,
    support::{TestStack, echo_type, in_both_profiles, types, until},
};

const MEBIBYTE: usize = 1 << 20;

in_both_profiles! {
    large_outputs_are_in_the_store_and_referenced_in_the_run
    outputs_stay_in_the_journal_without_the_store
}

/// Starts a store of the test's own, with artifacts of up to a mebibyte in this folder;
/// returns it and a client.
fn store(folder: &Path) -> (TestStack, ArtifactStore) {
    let folder = folder.display().to_string();
    let t = TestStack::beside(Profile::DevInsecure, &[Part::ArtifactStore], |blueprint| {
        blueprint.with(Part::ArtifactStore, "JARVIS_ARTIFACT_DIR", &folder).with(
            Part::ArtifactStore,
            "JARVIS_ARTIFACT_MAX_SIZE_MB",
            "1",
        )
    });
    let peer = Peer::anonymous(Service::ArtifactStore);
    let url = t.caller(Part::ArtifactStore).url;
    let client = Client::new_with_client(&url, reqwest::Client::new(), peer);
    (t, ArtifactStore::new(client, CallTimeout { clock: Arc::new(SystemClock), limit: PATIENCE }))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for artifacts")
}

fn facts<T>(answer: Result<T, CallError>) -> (String, Option<u16>, String) {
    let error = answer.err().expect("a failure");
    (error.code().into_owned(), error.status(), error.reason().into_owned())
}

#[tokio::test]
async fn artifact_bytes_and_content_type_round_trip() {
    let folder = folder();
    let (_t, store) = store(folder.path());
    let every_byte: Vec<u8> = (0..=255).cycle().take(MEBIBYTE).collect();
    for (bytes, content_type) in [
        (Bytes::from(every_byte), "application/x-odd; a=\"b c\""),
        (Bytes::from_static(b"{}"), "application/json"),
        (Bytes::from("häh?"), "text/plain"),
        (Bytes::new(), "application/octet-stream"),
    ] {
        let artifact = store.put(bytes.clone(), content_type).await.expect("it is stored");
        assert_eq!(artifact.content_type.as_deref(), Some(content_type));
        assert!(artifact.sha256.is_some(), "put has compared the checksum");
        let on_disk = std::fs::read(folder.path().join(artifact.id.as_str())).expect("its file");
        assert_eq!(on_disk, bytes);
        let again = store.put(bytes, content_type).await.expect("it is stored");
        assert_ne!(again.id, artifact.id, "every put makes another artifact");
    }
}

#[tokio::test]
async fn artifact_that_is_too_large_is_refused() {
    let folder = folder();
    let (_t, store) = store(folder.path());
    let too_large = store.put(vec![0; MEBIBYTE + 1].into(), "application/octet-stream").await;
    let message = "Artifact exceeds configured max size.".to_owned();
    assert_eq!(facts(too_large), ("artifact_store_error".to_owned(), Some(413), message));
}

/// A stack whose coordinator offloads outputs of more than 64 KiB.
fn offloading(profile: Profile, own: &[Part]) -> TestStack {
    TestStack::beside(profile, own, |blueprint| {
        blueprint.with(Part::Coordinator, "JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", "64k")
    })
}

fn large() -> Value {
    json!({"echo": "ü".repeat(MEBIBYTE / 2)})
}

/// Runs the echo node to its end; returns the root.
async fn echo(t: &TestStack, input: Value) -> NodeRun {
    let run = t.coordinator.run_start(&echo_type(), input).await;
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(types(&events), ATOMIC_RUN, "offloading adds no event");
    root
}

async fn large_outputs_are_in_the_store_and_referenced_in_the_run(profile: Profile) {
    let t = offloading(profile, &[Part::Coordinator]);
    let small = echo(&t, json!({"echo": "hello"})).await;
    assert_eq!((json!(small.outputs), small.output_artifacts), (json!({"echo": "hello"}), None));

    let root = echo(&t, large()).await;
    let artifacts = root.output_artifacts.clone().expect("a reference");
    assert_eq!((artifacts.len(), artifacts[0].type_.as_str(), &artifacts[0].uri), (1, "artifact", &None));
    let stub = json!({"jarvis.artifact": {"type": "artifact", "id": artifacts[0].id}});
    assert_eq!(json!(root.outputs), json!({"echo": stub}));
    let path = format!("/v1/artifacts/{}", artifacts[0].id);
    let answer = t.caller(Part::ArtifactStore).request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/json");
    let bytes = answer.bytes().await.expect("the bytes");
    assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON"), large());
    assert_eq!(json!(artifacts[0].extensions)["jarvis.size_bytes"], bytes.len());
    // The Run Store has the same node run.
    let path = format!("/v1/node-runs/{}", root.node_run_id);
    let copy = until("the copy", async || {
        let answer = t.caller(Part::RunStore).request(Method::GET, &path).send().await.expect("an answer");
        let copy: Value = answer.json().await.expect("JSON");
        (copy["node_run"]["state"] == "succeeded").then_some(copy)
    });
    assert_eq!(copy.await["node_run"]["outputs"], json!(root.outputs));
}

async fn outputs_stay_in_the_journal_without_the_store(profile: Profile) {
    let t = offloading(profile, &[Part::Coordinator, Part::ArtifactStore]);
    t.stop(Part::ArtifactStore);
    let root = echo(&t, large()).await;
    assert_eq!((json!(root.outputs), root.output_artifacts), (large(), None));
    t.logged("large outputs kept in the journal");
    let health = t.coordinator.client.health().await.expect("it answers").into_inner();
    let check = health.checks.expect("checks").into_iter().find(|check| check.name == "artifact_store");
    assert_eq!(check.map(|check| check.status), Some(HealthStatus::Degraded));
    // After the cool-down the store is used again.
    t.start(Part::ArtifactStore);
    until("an artifact", async || echo(&t, large()).await.output_artifacts).await;
}
