//! The real Artifact Store keeps what it is given.

use bytes::Bytes;
use jarvis_run_coordinator::{
    clients::CallError,
    ids::ArtifactId,
    jarvis::{Artifact, ArtifactStore},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::Service;

const MEBIBYTE: usize = 1 << 20;

/// A store of its own, in a folder that goes with it.
async fn store() -> (Service, ArtifactStore, TempDir) {
    let folder = tempfile::tempdir().expect("a folder for artifacts");
    let service = Service::artifact_store(folder.path()).await;
    let store = service.as_artifact_store();
    (service, store, folder)
}

fn facts<T>(answer: Result<T, CallError>) -> (String, Option<u16>, String) {
    let error = answer.err().expect("a failure");
    (error.code, error.status, error.details["error"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn bytes_and_their_type_come_back_as_they_went() {
    let (_service, store, folder) = store().await;
    let every_byte: Vec<u8> = (0..=255).cycle().take(MEBIBYTE).collect();
    for (bytes, content_type) in [
        (Bytes::from(every_byte), "application/x-odd; a=\"b c\""),
        (Bytes::from_static(b"{}"), "application/json"),
        (Bytes::from("häh?"), "text/plain"),
        (Bytes::new(), "application/octet-stream"),
    ] {
        let artifact = store.put(bytes.clone(), content_type).await.expect("it is stored");
        assert_eq!(artifact.content_type.as_deref(), Some(content_type));
        assert!(artifact.sha256.is_some(), "so put has compared it");
        let on_disk = std::fs::read(folder.path().join(artifact.id.as_str())).expect("its file");
        assert_eq!(on_disk, bytes);
        assert_eq!(store.metadata(&artifact.id).await.as_ref(), Ok(&artifact));
        let head = store.head(&artifact.id).await.expect("it is there");
        assert_eq!(head, Artifact { created_at: None, ..artifact.clone() });
        assert_eq!(store.get(&head).await.expect("its bytes"), bytes);
        let again = store.put(bytes, content_type).await.expect("it is stored");
        assert_ne!(again.id, artifact.id, "every put makes another artifact");
    }
}

#[tokio::test]
async fn what_is_too_large_or_not_there_is_refused() {
    let (service, store, folder) = store().await;
    let too_large = store.put(vec![0; MEBIBYTE + 1].into(), "application/octet-stream").await;
    let code = || "artifact_store_error".to_owned();
    assert_eq!(facts(too_large), (code(), Some(413), "Artifact exceeds configured max size.".into()));

    let artifact = store.put("abc".into(), "text/plain").await.expect("it is stored");
    let not_found = |message: &str| ("artifact_not_found".to_owned(), Some(404), message.to_owned());
    for (id, message) in [("nothing", "Artifact not found."), ("a/b", "Not Found")] {
        let id = ArtifactId::from(id);
        assert_eq!(facts(store.metadata(&id).await), not_found(message));
        // A HEAD has no body to say more.
        assert_eq!(facts(store.head(&id).await), not_found("HTTP status 404"));
        assert_eq!(facts(store.get(&Artifact { id, ..artifact.clone() }).await), not_found(message));
    }
    // The only id that it calls wrong gets to it in no well-made request.
    for path in ["/v1/artifacts/.", "/v1/artifacts/./metadata"] {
        let answer = raw_get(&service, path).await;
        assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
        assert!(answer.ends_with(r#"{"detail":"Invalid artifact_id."}"#), "{answer}");
    }
    let never_sent = store.metadata(&ArtifactId::from(".")).await;
    assert_eq!(facts(never_sent), (code(), Some(422), "this is no artifact id".into()));

    // Its file is lost; what is known about it is not.
    let file = folder.path().join(artifact.id.as_str());
    std::fs::write(&file, "abd").expect("its file");
    assert_eq!(facts(store.get(&artifact).await), (code(), Some(200), "it has another checksum".into()));
    std::fs::remove_file(&file).expect("its file");
    assert_eq!(store.head(&artifact.id).await.expect("it is known").size_bytes, 3);
    assert_eq!(facts(store.get(&artifact).await), not_found("Artifact content missing."));
}

/// The answer to a request whose path is sent as it is.
async fn raw_get(service: &Service, path: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", service.port)).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: store\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("it is sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}
