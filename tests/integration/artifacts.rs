//! The client of the Artifact Store (contract §16): what it sends and reads, and the
//! error code of each failure.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jarvis_run_coordinator::{
    clients::{CallError, CallTimeout, Failure, Peer, Service, artifact_store::Client},
    services::ArtifactStore,
    time::SystemClock,
};
use serde_json::json;

use crate::support::{ArtifactBehaviour, FakeArtifacts, UNREACHABLE};

/// The time limit of calls that are answered.
const LONG: Duration = Duration::from_secs(30);
/// The time limit of calls that are not answered.
const SHORT: Duration = Duration::from_millis(50);

fn client(url: &str, limit: Duration) -> ArtifactStore {
    let peer = Peer::with_token(Service::ArtifactStore, "secret");
    let client = Client::new_with_client(url, reqwest::Client::new(), peer);
    ArtifactStore::new(client, CallTimeout { clock: Arc::new(SystemClock), limit })
}

/// The code and status of an error, whether to retry, and whether anything was sent.
fn facts<T>(answer: Result<T, CallError>) -> (String, Option<u16>, bool, bool) {
    let error = answer.err().expect("a failure");
    assert!(!format!("{error:?}").contains("127.0.0.1"), "no topology: {error:?}");
    let was_sent = !matches!(error.failure, Failure::NotSent(_));
    (error.code().into_owned(), error.status(), error.retryable(), was_sent)
}

#[tokio::test]
async fn artifact_bytes_and_content_type_round_trip() {
    let stores = FakeArtifacts::start();
    let store = client(stores.url(), LONG);
    let every_byte = (0..=255).cycle().take(100_000).collect::<Vec<u8>>();
    for (bytes, content_type) in [
        (Bytes::from(every_byte), "text/x-odd; a=\"b c\""),
        (Bytes::from_static(b"{}"), "application/json"),
        (Bytes::new(), "application/octet-stream"),
    ] {
        let artifact = store.put(bytes.clone(), content_type).await.expect("it is stored");
        let kept = &stores.artifacts()[artifact.id.as_str()];
        assert_eq!((kept.content_type.as_deref(), &kept.bytes), (Some(content_type), &bytes.to_vec()));
        assert_eq!(kept.authorization.as_deref(), Some("Bearer secret"));
        assert_eq!(artifact.content_type.as_deref(), Some(content_type));
        assert_eq!(artifact.size_bytes, bytes.len() as u64);
    }
}

#[tokio::test]
async fn artifact_reference_omits_the_servers_path() {
    let stores = FakeArtifacts::start();
    let artifact = client(stores.url(), LONG).put("abc".into(), "text/plain").await.expect("it is stored");
    let reference = serde_json::to_value(artifact.reference()).expect("JSON");
    let expected = json!({
        "type": "artifact", "id": "00000000000000000000000000000001",
        "extensions": {
            "jarvis.content_type": "text/plain", "jarvis.size_bytes": 3,
            "jarvis.checksum_sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        },
    });
    assert_eq!(reference, expected);
}

#[tokio::test]
async fn artifact_failures_map_to_error_codes() {
    let stores = FakeArtifacts::start();
    let store = client(stores.url(), LONG);
    for (behaviour, code, status, retryable) in [
        (ArtifactBehaviour::Refuses(413), "artifact_store_error", 413, false),
        (ArtifactBehaviour::Refuses(401), "artifact_store_error", 401, false),
        (ArtifactBehaviour::Refuses(500), "artifact_store_error", 500, false),
        (ArtifactBehaviour::Refuses(503), "artifact_store_error", 503, true),
        (ArtifactBehaviour::Proxy, "artifact_store_error", 502, true),
        (ArtifactBehaviour::Garbage, "artifact_store_error", 200, false),
        (ArtifactBehaviour::WrongSize, "artifact_store_error", 200, false),
        (ArtifactBehaviour::WrongChecksum, "artifact_store_error", 200, false),
    ] {
        stores.behave(behaviour);
        let put = store.put("abc".into(), "text/plain").await;
        assert_eq!(facts(put), (code.into(), Some(status), retryable, true), "{behaviour:?}");
    }
    stores.behave(ArtifactBehaviour::NoChecksum);
    assert_eq!(store.put("abc".into(), "text/plain").await.expect("it is stored").sha256, None);
}

#[tokio::test]
async fn silent_artifact_store_is_unavailable() {
    let unavailable = || "artifact_store_unavailable".to_owned();
    let unreachable = client(UNREACHABLE, LONG);
    assert_eq!(facts(unreachable.put("abc".into(), "text/plain").await), (unavailable(), None, true, false));
    let stores = FakeArtifacts::start();
    stores.behave(ArtifactBehaviour::Silent);
    let put = client(stores.url(), SHORT).put("abc".into(), "text/plain").await;
    assert_eq!(facts(put), (unavailable(), None, true, true));
}
