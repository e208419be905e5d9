//! Services that cannot be trusted, and what must not reach them or come out of
//! them: ids that walk through paths, answers about another node type or without an
//! end, and credentials in URLs. (`tests/attacks/answers.rs` does the same to the
//! real program.)

use jarvis_run_coordinator::types::{NodeKind, RunState};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{FakeService, Program, Sts, TestServer, process::start_request, soon};

/// A registry in which every type is atomic and only reads. Its answers name the type
/// `id`, or the requested one.
fn registry(id: Option<&'static str>) -> FakeService {
    FakeService::start(move |path, _| {
        let requested = path.rsplit('/').next().unwrap_or_default();
        json!({"node_type_id": id.unwrap_or(requested), "version": "1.0.0", "kind": "atomic",
            "extensions": {"jarvis.side_effect": "read"}})
    })
}

/// A listener that records the request line of each request, and answers 404.
async fn recorder() -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, lines) = tokio::sync::mpsc::unbounded_channel();
    let serve = async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            let _ = sender.send(line);
            let answer = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = socket.write_all(answer).await;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
    tokio::spawn(serve);
    (url, lines)
}

#[tokio::test]
async fn node_type_id_cannot_traverse_the_registrys_paths() {
    let (url, mut lines) = recorder().await;
    let vars = [TestServer::IDLE[0], ("JARVIS_NODE_REGISTRY_URL", &*url)];
    let t = TestServer::start_with(&vars).await;
    for (id, path) in [
        (r"a\..\..\..\internal\secrets", Some("a%5C..%5C..%5C..%5Cinternal%5Csecrets")),
        ("a/../../internal", Some("a%2F..%2F..%2Finternal")),
        ("x\ny", Some("x%0Ay")),
        (r"..\..\admin", Some("..%5C..%5Cadmin")),
        ("%2e%2e", Some("%252e%252e")),
        // No path can carry these ids: no request is made.
        (".", None),
        ("..", None),
    ] {
        let run = t.post("/v1/runs", &start_request(&format!("run-{}", id.len()), id)).await;
        // The type is unknown to the registry, and its prefix names no kind.
        run.ok();
        match path {
            Some(path) => {
                let line = soon("the request", lines.recv()).await.expect("a request line");
                assert_eq!(line, format!("GET /v1/node-types/{path}?version=1.0.0 HTTP/1.1"), "{id}");
            }
            None => assert!(lines.try_recv().is_err(), "{id}"),
        }
        let cancel = format!("/v1/runs/run-{}:cancel", id.len());
        t.post(&cancel, &json!({})).await.ok();
    }
    t.stop().await;
}

/// The properties of another type must not be taken for those of this one.
#[tokio::test]
async fn registry_answer_about_another_type_is_refused() {
    let lying = registry(Some("jarvis.core.echo"));
    let vars = [TestServer::IDLE[0], ("JARVIS_NODE_REGISTRY_URL", lying.url())];
    let t = TestServer::start_with(&vars).await;
    let refused = t.post("/v1/runs", &start_request("run", "jarvis.core.pay")).await;
    refused.refused(503, "node_registry_unavailable");
    assert_eq!(t.run_start("jarvis.core.echo", json!({})).await.state, RunState::Running);
    t.stop().await;
    let honest = registry(None);
    let vars = [TestServer::IDLE[0], ("JARVIS_NODE_REGISTRY_URL", honest.url())];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("jarvis.core.pay", json!({})).await;
    assert_eq!(t.node_run(&run.root_node_run_id).await.kind, Some(NodeKind::Atomic));
    t.stop().await;
}

/// An executor that answers without an end, in chunks of 64 KiB; and the number of
/// calls and of bytes that were read.
async fn endless() -> (String, tokio::sync::watch::Receiver<(usize, usize)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, taken) = tokio::sync::watch::channel((0, 0));
    let serve = async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 64 << 10];
            let length = socket.read(&mut request).await.unwrap_or_default();
            let is_execute = String::from_utf8_lossy(&request[..length]).contains(":execute ");
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"x\": \"";
            let _ = socket.write_all(head.as_bytes()).await;
            if !is_execute {
                continue;
            }
            sender.send_modify(|(calls, _)| *calls += 1);
            let chunk = vec![b'x'; 64 << 10];
            // The answer is finite, so that a failing test does not exhaust the machine.
            for _ in 0..1024 {
                if socket.write_all(&chunk).await.is_err() {
                    break;
                }
                sender.send_modify(|(_, bytes)| *bytes += chunk.len());
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
    tokio::spawn(serve);
    (url, taken)
}

#[tokio::test]
async fn endless_answer_is_cut_off_and_fails_its_node_once() {
    let (url, taken) = endless().await;
    let vars = [("JARVIS_ATOMIC_EXECUTOR_URL", &*url), ("JARVIS_RUN_COORDINATOR_MAX_ANSWER_BYTES", "1m")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.read", json!({})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    let root = t.node_run(&run.root_node_run_id).await;
    let error = &serde_json::to_value(root.extensions).expect("JSON")["completion_error"];
    assert_eq!(error["code"], "atomic_executor_invalid_result");
    assert_eq!(error["message"], "Atomic Executor answered with more than 1048576 bytes");
    let (calls, bytes) = *taken.borrow();
    assert_eq!(calls, 1);
    // The bound includes what the kernel buffers.
    assert!(bytes < 16 << 20, "{bytes}");
    t.stop().await;
}

#[tokio::test]
async fn executor_url_credentials_are_not_recorded() {
    let t = TestServer::start().await;
    let url = t.executors.url().to_owned();
    let (journal, executors) = t.stop().await;
    let with_password = url.replace("http://", "http://me:hush-1@");
    let vars =
        [("JARVIS_ATOMIC_EXECUTOR_URL", &*with_password), ("JARVIS_COMPOSITE_EXECUTOR_URL", &*with_password)];
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    for node_type in ["atomic.echo", "composite.accept"] {
        let run = t.run_start(node_type, json!({})).await;
        let node = t.node_run_until(&run.root_node_run_id, |node| node.executor_binding.is_some()).await;
        let endpoint = node.executor_binding.expect("a binding").endpoint;
        assert_eq!(serde_json::to_value(endpoint).expect("JSON"), json!(format!("{url}/")), "{node_type}");
    }
    t.stop().await;
}

#[tokio::test]
async fn token_service_url_credentials_are_not_logged() {
    let sts = Sts::start();
    let mut program = Program::server().without("ARP_AUTH_PROFILE");
    for (name, value) in sts.variables() {
        program = program.var(name, &value.replace("http://", "http://me:hush-1@"));
    }
    let keys = |program: Program, url: &str| program.var("ARP_AUTH_JWKS_URI", url);
    let good = sts.variables().into_iter().find(|(name, _)| *name == "ARP_AUTH_JWKS_URI").expect("keys").1;
    let good = format!("{}?key=hush-2", good.replace("http://", "http://me:hush-1@"));
    for (url, message) in [
        (&*good, "signing keys fetched"),
        ("http://me:hush-1@127.0.0.1:1/keys?key=hush-2", "could not fetch signing keys"),
    ] {
        program = keys(program, url);
        let process = program.start().await;
        process.logged(message, 1).await;
        let ended = process.terminate().await;
        assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);
    }
}
