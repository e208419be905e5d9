//! What hostile callers and services try at the edges of the process: ids that
//! walk through paths, answers about something else or without end, bodies that
//! never come, more requests than there is room for. (`tests/attacks` does the
//! like to the real program, over raw sockets.)

use std::{sync::Arc, time::Duration};

use jarvis_run_coordinator::{
    clients::RunEvents,
    journal::faulty::{Chances, Faults},
    time::SystemClock,
    types::{NodeKind, RunState},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{FakeService, FakeStores, Program, Sts, TestServer, process::start_request, soon};

/// A registry that says of every type that it is atomic and reads only, and
/// calls it `id` (or by what it was asked for).
fn registry(id: Option<&'static str>) -> FakeService {
    FakeService::start(move |path, _| {
        let asked = path.rsplit('/').next().unwrap_or_default();
        json!({"node_type_id": id.unwrap_or(asked), "version": "1.0.0", "kind": "atomic",
            "extensions": {"jarvis.side_effect": "read"}})
    })
}

/// A listener that notes the request line of each request, and answers 404.
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
async fn a_node_type_cannot_walk_through_the_registrys_paths() {
    let (url, mut lines) = recorder().await;
    let vars = [TestServer::IDLE[0], ("JARVIS_NODE_REGISTRY_URL", &*url)];
    let t = TestServer::start_with(&vars).await;
    for (id, path) in [
        (r"a\..\..\..\internal\secrets", Some("a%5C..%5C..%5C..%5Cinternal%5Csecrets")),
        ("a/../../internal", Some("a%2F..%2F..%2Finternal")),
        ("x\ny", Some("x%0Ay")),
        (r"..\..\admin", Some("..%5C..%5Cadmin")),
        ("%2e%2e", Some("%252e%252e")),
        // No path can carry these: nothing is asked.
        (".", None),
        ("..", None),
    ] {
        let run = t.post("/v1/runs", &start_request(&format!("run-{}", id.len()), id)).await;
        // It is not known there, so it is taken by its prefix, and has none.
        run.ok();
        match path {
            Some(path) => {
                let line = soon("the question", lines.recv()).await.expect("a request line");
                assert_eq!(line, format!("GET /v1/node-types/{path}?version=1.0.0 HTTP/1.1"), "{id}");
            }
            None => assert!(lines.try_recv().is_err(), "{id}"),
        }
        let cancel = format!("/v1/runs/run-{}:cancel", id.len());
        t.post(&cancel, &json!({})).await.ok();
    }
    t.stop().await;
}

/// The facts of another type must not become those of this one.
#[tokio::test]
async fn an_answer_about_another_node_type_is_refused() {
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

#[tokio::test]
async fn a_follower_with_a_cursor_beyond_the_end_ends_with_the_run() {
    let t = TestServer::idle().await;
    let run = t.run_start("composite.accept", json!({})).await;
    // As after a restore: the client has seen more than there is.
    let mut follower =
        RunEvents::follow(t.client.clone(), run.run_id.clone(), Arc::new(SystemClock)).after(999_999);
    let end = async {
        // It has begun to wait when an honest follower, who came later, has.
        let honest = t.follow(&run.run_id);
        let (events, ()) = tokio::join!(honest, t.complete(&run.root_node_run_id, "succeeded"));
        assert_eq!(events.last().map(|event| event.seq), Some(4));
    };
    let (given, ()) = tokio::join!(soon("the end of the stream", follower.next()), end);
    assert_eq!(given, Ok(None));
    t.stop().await;
}

#[tokio::test]
async fn credentials_of_an_executors_url_are_in_no_record() {
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
async fn credentials_of_the_token_services_urls_are_not_logged() {
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
        ("http://me:hush-1@127.0.0.1:1/keys?key=hush-2", "signing keys could not be fetched"),
    ] {
        program = keys(program, url);
        let process = program.start().await;
        process.logged(message, 1).await;
        let ended = process.terminate().await;
        assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn own_keys_in_a_thousand_specs_are_one_line_in_the_log() {
    let program = Program::server().var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off");
    let process = program.start().await;
    let own: Value =
        ["constraints", "jarvis.constraints", "completion_error", "idempotency_key", "a.key.of.its.own"]
            .iter()
            .map(|key| ((*key).to_owned(), json!(1)))
            .collect::<serde_json::Map<_, _>>()
            .into();
    let run = process.run_start("run", "composite.x").await;
    let spec = json!({"node_type_ref": {"node_type_id": "atomic.x", "version": "1"}, "inputs": {},
        "extensions": own});
    let request = json!({"run_id": run.id, "parent_node_run_id": run.root, "node_runs": vec![spec; 1000]});
    let (status, answer) = process.post("/v1/node-runs", &request).await;
    assert_eq!(status, 200, "{answer}");
    let ended = process.terminate().await;
    let lines = ended.stdout.lines().filter(|line| line.contains("only the coordinator writes")).count();
    assert_eq!(lines, 1, "{}", ended.stdout);
}

/// What an executor answers in pieces of 64 KiB, for ever; and how much of it
/// was taken.
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
            let piece = vec![b'x'; 64 << 10];
            // Not quite for ever: the test is to fail, not to eat the machine.
            for _ in 0..1024 {
                if socket.write_all(&piece).await.is_err() {
                    break;
                }
                sender.send_modify(|(_, bytes)| *bytes += piece.len());
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a service of the test's own")]
    tokio::spawn(serve);
    (url, taken)
}

#[tokio::test]
async fn an_answer_without_end_fails_its_node_once_and_is_not_read_further() {
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
    // What is on its way in the kernel's buffers is not ours to bound.
    assert!(bytes < 16 << 20, "{bytes}");
    t.stop().await;
}

/// Anybody may ask for health, as often as they like.
#[tokio::test]
async fn health_reads_nothing_from_the_journal() {
    let (stores, faults) = (FakeStores::start(), Faults::none());
    let t = TestServer::start_with_faults(&faults, &stores.vars()).await;
    t.run_start("atomic.hang", json!({})).await;
    // From now on whoever reads fails.
    faults.set_chances(Chances { fail_read: 1.0, ..Chances::default() });
    for _ in 0..20 {
        let health = t.get("/v1/health").await.ok();
        let checks = health["checks"].as_array().expect("checks");
        let outbox = checks.iter().find(|check| check["name"] == "outbox").expect("a check");
        assert!(outbox["details"]["entries"].is_u64(), "{outbox}");
    }
    faults.set_chances(Chances::default());
    t.stop().await;
}

/// A connection to the server, for requests that no client sends.
async fn connect(t: &TestServer) -> TcpStream {
    TcpStream::connect(t.url.strip_prefix("http://").expect("an address")).await.expect("a connection")
}

/// Sends the head of a request whose body is announced and does not come.
async fn stall(t: &TestServer, path: &str) -> TcpStream {
    let mut connection = connect(t).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    connection.write_all(head.as_bytes()).await.expect("sent");
    connection
}

/// All that comes until the server closes the connection: status, head, body.
async fn answer(connection: &mut TcpStream) -> (u16, String, Value) {
    let mut bytes = Vec::new();
    let _ = soon("the end of the connection", connection.read_to_end(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_refused_and_its_connection_closed() {
    let vars = [TestServer::IDLE[0], ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "0.2")];
    let t = TestServer::start_with(&vars).await;
    for path in ["/v1/runs", "/v1/node-runs", "/v1/node-runs/x:complete", "/v1/node-runs/x:evaluation"] {
        let (status, head, body) = answer(&mut stall(&t, path).await).await;
        assert_eq!((status, &body["error"]["code"]), (408, &json!("request_timeout")), "{path}");
        assert_eq!(body["error"]["message"], "The request body did not arrive within 0.2 s");
        assert!(head.contains("connection: close"), "{head}");
    }
    // One that drips: what counts is the whole.
    let mut connection = stall(&t, "/v1/runs").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    soon("an end to the dripping", async {
        while connection.write_all(b" ").await.is_ok() {
            ticks.tick().await;
        }
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn connections_that_send_nothing_are_closed() {
    let vars = [("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "0.2")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.deaf", json!({})).await;
    // Whoever follows says nothing either, and is not to be disturbed.
    let mut follower = connect(&t).await;
    let request = format!("GET /v1/runs/{}/events?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n", run.run_id);
    follower.write_all(request.as_bytes()).await.expect("sent");
    for beginning in ["", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut connection = connect(&t).await;
        connection.write_all(beginning.as_bytes()).await.expect("sent");
        let mut bytes = Vec::new();
        let _ = soon("the end of the connection", connection.read_to_end(&mut bytes)).await;
    }
    t.cancel(&run.run_id).await;
    let mut seen = String::new();
    soon("the end of the run", async {
        while !seen.contains("run_completed") {
            let mut piece = [0; 4096];
            let length = follower.read(&mut piece).await.expect("events");
            assert_ne!(length, 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn an_overloaded_server_says_so_and_can_still_be_steered() {
    let vars =
        [("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", "4"), ("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", "600")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let other = t.run_start("composite.accept", json!({})).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.push(stall(&t, "/v1/runs").await);
    }
    let path = format!("/v1/runs/{}", run.run_id);
    let refused = soon("the server is full", async {
        loop {
            let answer = t.get(&path).await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    let error = refused.refused(503, "overloaded");
    assert_eq!(error["retryable"], true);
    assert!(error["message"].as_str().is_some_and(|message| message.contains("4 requests")), "{error}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    t.post("/v1/runs", &start_request("x", "atomic.echo")).await.refused(503, "overloaded");
    // What makes room, and what tells of it, goes on.
    for _ in 0..20 {
        t.get("/v1/health").await.ok();
        t.get("/v1/version").await.ok();
    }
    let evaluation = json!({"evaluation_result": {"status": "success"}});
    t.post(&format!("/v1/node-runs/{}:evaluation", run.root_node_run_id), &evaluation).await.no_content();
    t.complete(&run.root_node_run_id, "succeeded").await;
    assert_eq!(t.cancel(&other.run_id).await.state, RunState::Canceled);
    // When the others have gone there is room again.
    drop(stalled);
    soon("room again", async { while t.get(&path).await.status != 200 {} }).await;
    t.stop().await;
}

#[tokio::test]
async fn followers_are_bounded_and_a_place_is_free_when_one_leaves() {
    let vars = [TestServer::IDLE[0], ("JARVIS_RUN_COORDINATOR_MAX_STREAMS", "2")];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let url = format!("{}/v1/runs/{}/events?follow=1", t.url, run.run_id);
    let mut followers = Vec::new();
    for _ in 0..2 {
        followers.push(t.http.get(&url).send().await.expect("a stream"));
    }
    let node = format!("/v1/node-runs/{}/events", run.root_node_run_id);
    for path in [&*format!("/v1/runs/{}/events?follow=1", run.run_id), &node] {
        let refused = t.get(path).await;
        let error = refused.refused(503, "overloaded");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("2 event streams")), "{error}");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    assert_eq!(t.run(&run.run_id).await.run_id, run.run_id);
    followers.pop();
    soon("a free place", async { while t.get(&node).await.status != 200 {} }).await;
    t.stop().await;
}

/// Neither bodies nor heads that never come hold up a stop, nor what comes
/// after it.
#[tokio::test]
async fn a_stop_does_not_wait_for_stalled_connections() {
    let limit = Duration::from_secs(60);
    let vars = [("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "60")];
    let t = TestServer::start_with(&vars).await;
    let mut body = stall(&t, "/v1/runs").await;
    let mut head = connect(&t).await;
    head.write_all(b"GET /v1/health HTTP/1.1\r\nhost:").await.expect("sent");
    let silent = connect(&t).await;
    t.get("/v1/health").await.ok();
    let begun = std::time::Instant::now();
    let (_, (status, head_of_answer, refusal)) = tokio::join!(t.stop(), answer(&mut body));
    assert!(begun.elapsed() < limit / 6, "{:?}", begun.elapsed());
    assert_eq!((status, &refusal["error"]["code"]), (503, &json!("shutting_down")));
    assert!(head_of_answer.contains("connection: close"), "{head_of_answer}");
    drop((head, silent));
}
