//! The wire format (contract §3): the answers of every operation, errors, and ids in
//! paths. Validation of bodies: `validation`.

use jarvis_run_coordinator::types::{
    HealthStatus, NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunId, NodeRunState, RunId,
    RunState,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Answer, TestServer, soon, spec, start_of};

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a good request")
}

#[tokio::test]
async fn generated_client_covers_every_operation() {
    let t = TestServer::idle().await;
    let health = t.client.health().await.expect("health").into_inner();
    assert_eq!(health.status, HealthStatus::Ok);
    let version = t.client.version().await.expect("version").into_inner();
    assert_eq!(version.service_name, "arp-jarvis-run-coordinator");
    assert_eq!(version.service_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(*version.supported_api_versions, ["v1"]);

    let run = t.run_start("composite.accept", json!({"goal": "g"})).await;
    assert_eq!((run.state, t.run(&run.run_id).await), (RunState::Running, run.clone()));
    let child = spec("atomic.echo");
    let child = t.children(&run.run_id, &run.root_node_run_id, &[child]).await.remove(0);
    assert_eq!(t.node_run(&child.node_run_id).await, child);
    let report: NodeRunEvaluationReportRequest = from(json!({"evaluation_result": {"status": "success"}}));
    let reported = t.client.report_node_run_evaluation(&child.node_run_id, &report).await.expect("taken");
    assert_eq!(reported.status(), 204);
    let done: NodeRunCompleteRequest = from(json!({"state": "succeeded", "outputs": {"o": 1}}));
    let completed = t.client.complete_node_run(&child.node_run_id, &done).await.expect("taken");
    assert_eq!(completed.status(), 204);
    assert_eq!(t.node_run(&child.node_run_id).await.state, NodeRunState::Succeeded);

    let all = t.events(&run.run_id).await;
    assert!(t.client.stream_node_run_events(&child.node_run_id).await.is_ok());
    assert_eq!(
        all.iter().map(|event| event.seq).collect::<Vec<_>>(),
        (1..=all.len() as u64).collect::<Vec<_>>()
    );
    let canceled = t.client.cancel_run(&run.run_id).await.expect("canceled").into_inner();
    assert_eq!(canceled.state, RunState::Canceled);
    t.stop().await;
}

/// Answers have exactly these members: clients refuse unknown ones (§3.3), and nulls
/// are omitted (§3.4, checked by `Answer`).
#[tokio::test]
async fn answers_have_exactly_the_members_of_the_standard() {
    let t = TestServer::start().await;
    let members = |object: &Value| {
        object.as_object().expect("an object").keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(members(&t.get("/v1/health").await.ok()), "checks status time");
    assert_eq!(
        members(&t.get("/v1/version").await.ok()),
        "service_name service_version supported_api_versions"
    );
    let ref_of = |id: &str| json!({"node_type_id": id, "version": "1"});
    let plain = json!({"root_node_type_ref": ref_of("composite.accept"), "input": {}});
    let run = t.post("/v1/runs", &plain).await.ok();
    assert_eq!(members(&run), "extensions root_node_run_id run_id started_at state");

    let full = json!({
        "root_node_type_ref": ref_of("composite.accept"), "input": {"keep": null},
        "run_context": {"tenant_id": "t", "identity": {"keep": null}, "trace": {"trace_id": "x"}, "policy": null},
        "constraints": {"budgets": {"max_cost": 5}, "gates": null}, "metadata": {"labels": {"a": "b"}},
        "extensions": {"a.b": null}, "run_id": null,
    });
    let run = t.post("/v1/runs", &full).await.ok();
    assert_eq!(members(&run), "extensions root_node_run_id run_context run_id started_at state");
    assert_eq!(
        run["run_context"],
        json!({"tenant_id": "t", "identity": {"keep": null}, "trace": {"trace_id": "x"}}),
        "nulls are kept in maps and dropped elsewhere"
    );
    assert_eq!(run["extensions"]["a.b"], Value::Null);
    assert_eq!(run["extensions"]["constraints"], json!({"budgets": {"max_cost": 5.0}}));

    let (run_id, root) = (run["run_id"].clone(), run["root_node_run_id"].clone());
    let node_id = NodeRunId::from(root.as_str().expect("an id"));
    t.node_run_in(&node_id, NodeRunState::Running).await;
    let node = t.get(&format!("/v1/node-runs/{node_id}")).await.ok();
    assert_eq!(
        members(&node),
        "created_at executor_binding extensions inputs kind node_run_id node_type_ref run_id started_at state"
    );
    assert_eq!(node["inputs"], json!({"keep": null}));

    let spec = json!({"node_type_ref": ref_of("atomic.fail"), "inputs": {}, "metadata": null});
    let create = json!({"run_id": run_id, "parent_node_run_id": root, "node_runs": [spec],
        "extensions": {"x.y": null}});
    let created = t.post("/v1/node-runs", &create).await.ok();
    assert_eq!(members(&created), "extensions node_runs");
    assert_eq!(created["extensions"], json!({"x.y": null}), "the extensions of the request");
    let child = created["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned();
    t.node_run_in(&child.as_str().into(), NodeRunState::Failed).await;
    let child = t.get(&format!("/v1/node-runs/{child}")).await.ok();
    assert_eq!(members(&child["extensions"]["completion_error"]), "code details message");
    assert_eq!(members(&child["evaluation_result"]), "reason_code status");

    let canceled = t.post(&format!("/v1/runs/{}:cancel", run_id.as_str().expect("an id")), &json!({})).await;
    assert_eq!(
        members(&canceled.ok()),
        "ended_at extensions root_node_run_id run_context run_id started_at state"
    );
    for event in t.events(&RunId::from(run_id.as_str().expect("an id"))).await {
        let event = serde_json::to_value(event).expect("JSON");
        assert_eq!(crate::support::nulls(&event), Vec::<String>::new(), "{event}");
    }
    t.stop().await;
}

#[tokio::test]
async fn times_are_in_utc_with_microseconds() {
    let t = TestServer::idle().await;
    let start = start_of("atomic.echo");
    let run = t.post("/v1/runs", &start).await.ok();
    let health = t.get("/v1/health").await.ok();
    for time in [&run["started_at"], &health["time"]] {
        let time = time.as_str().expect("a time");
        assert!(time.len() == "2026-11-22T12:22:49.078778Z".len() && time.ends_with('Z'), "{time}");
    }
    t.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_ids_are_error_envelopes() {
    let t = TestServer::idle().await;
    for (method, path, code, message) in [
        ("GET", "/", "http_error", "Not Found"),
        ("GET", "/v1", "http_error", "Not Found"),
        ("GET", "/v1/nothing", "http_error", "Not Found"),
        ("GET", "/docs", "http_error", "Not Found"),
        ("GET", "/v1/runs/a/", "http_error", "Not Found"),
        ("GET", "/v1/runs/a%2Fb", "http_error", "Not Found"),
        ("POST", "/v1/runs:start", "http_error", "Not Found"),
        ("POST", "/v1/runs/a/:cancel", "http_error", "Not Found"),
        ("POST", "/v1/runs/:cancel:cancel", "run_not_found", "Run ':cancel' not found"),
        ("GET", "/v1/runs/a", "run_not_found", "Run 'a' not found"),
        ("GET", "/v1/runs/a/events", "run_not_found", "Run 'a' not found"),
        ("POST", "/v1/runs/a:cancel", "run_not_found", "Run 'a' not found"),
        ("POST", "/v1/runs/a:cancel:cancel", "run_not_found", "Run 'a:cancel' not found"),
        ("GET", "/v1/node-runs/a", "node_run_not_found", "NodeRun 'a' not found"),
        ("GET", "/v1/node-runs/a/events", "node_run_not_found", "NodeRun 'a' not found"),
    ] {
        let error = Answer::of(t.request(method, path)).await.refused(404, code);
        assert_eq!(error["message"], message, "{method} {path}");
    }
    for (verb, body) in [
        ("complete", json!({"state": "succeeded"})),
        ("evaluation", json!({"evaluation_result": {"status": "success"}})),
    ] {
        let error =
            t.post(&format!("/v1/node-runs/a:{verb}"), &body).await.refused(404, "node_run_not_found");
        assert_eq!(error["message"], "NodeRun 'a' not found");
    }
    t.stop().await;
}

#[tokio::test]
async fn wrong_method_is_405_with_an_allow_header() {
    let t = TestServer::idle().await;
    for (method, path, allow) in [
        ("PUT", "/v1/runs", "POST"),
        ("GET", "/v1/runs", "POST"),
        ("DELETE", "/v1/runs/a", "GET"),
        ("POST", "/v1/runs/a", "GET"),
        ("POST", "/v1/runs/a/events", "GET"),
        ("GET", "/v1/node-runs", "POST"),
        ("POST", "/v1/health", "GET"),
        ("PATCH", "/v1/node-runs/a", "GET"),
        ("OPTIONS", "/v1/node-runs/a", "GET"),
        // GET reads the run `a:cancel`.
        ("OPTIONS", "/v1/runs/a:cancel", "GET, POST"),
        ("PUT", "/v1/node-runs/a:complete", "GET, POST"),
        ("DELETE", "/v1/node-runs/a%3Aevaluation", "GET, POST"),
        ("POST", "/v1/runs/a:explode", "GET"),
    ] {
        let answer = Answer::of(t.request(method, path)).await;
        assert_eq!(answer.refused(405, "http_error")["message"], "Method Not Allowed", "{method} {path}");
        assert_eq!(answer.header_list("allow"), allow, "{method} {path}");
    }
    t.stop().await;
}

#[tokio::test]
async fn head_requests_are_refused_without_a_body() {
    let t = TestServer::idle().await;
    for path in ["/v1/health", "/v1/runs/a"] {
        let answer = Answer::of(t.request("HEAD", path)).await;
        assert_eq!((answer.status, answer.header("allow"), answer.text.as_str()), (405, Some("GET"), ""));
    }
    assert_eq!(Answer::of(t.request("HEAD", "/nothing")).await.status, 404);
    // The connection can be used for the next request.
    t.get("/v1/health").await.ok();
    t.stop().await;
}

/// Sends these bytes; returns what is received until the end of the connection.
async fn exchange(t: &TestServer, request: &[u8]) -> String {
    let address = t.url.strip_prefix("http://").expect("an address");
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    connection.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    soon("the end of the answer", connection.read_to_end(&mut answer)).await.expect("an answer");
    String::from_utf8(answer).expect("UTF-8")
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_413() {
    let t = TestServer::start_with(&[
        ("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", "1000"),
        ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off"),
    ])
    .await;
    let body = |size: usize| {
        let start = start_of("atomic.echo");
        let start = start.to_string();
        format!("{start}{}", " ".repeat(size - start.len()))
    };
    t.post_raw("/v1/runs", "application/json", body(1000)).await.ok();
    let before = t.journal_rows();
    let error =
        t.post_raw("/v1/runs", "application/json", body(1001)).await.refused(413, "payload_too_large");
    assert_eq!(error["message"], "The request body is larger than 1000 bytes");
    assert_eq!(error["retryable"], false);
    let chunks = |size: usize| {
        let chunks: Vec<_> = body(size).as_bytes().chunks(300).map(<[u8]>::to_vec).collect();
        reqwest::Body::wrap_stream(futures::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>)))
    };
    t.post_raw("/v1/runs", "application/json", chunks(1001)).await.refused(413, "payload_too_large");
    // The announced body is never sent.
    let head = "POST /v1/runs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let answer = exchange(&t, format!("{head}content-length: 99999999999\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("payload_too_large"), "{answer}");
    assert_eq!(t.journal_rows(), before);

    t.post_raw("/v1/runs", "application/json", chunks(1000)).await.ok();
    t.stop().await;
}

#[tokio::test]
async fn malformed_requests_do_no_harm() {
    let t = TestServer::idle().await;
    for (request, status) in [
        (&b"GET /v1/runs/%FF HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"[..], "400"),
        (b"GET /v1/../v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "400"),
        (b"FROBNICATE /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "405"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "400"),
    ] {
        let answer = exchange(&t, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    t.get("/v1/health").await.ok();
    t.stop().await;
}

#[tokio::test]
async fn unusual_ids_work_in_every_encoding() {
    let t = TestServer::idle().await;
    let long = "x".repeat(200);
    for id in ["a:b", "a:cancel", ":cancel", "a:cancel:cancel", "a.b~c@d-e_f", "...", &long] {
        let run = t.run_start_with("atomic.echo", json!({}), json!({"run_id": id})).await;
        assert_eq!(run.run_id.as_str(), id);
        assert_eq!(t.run(&run.run_id).await, run, "through the generated client");
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(t.get(&format!("/v1/runs/{id}")).await.ok()["run_id"], id);
        assert_eq!(t.get(&format!("/v1/runs/{encoded}")).await.ok()["run_id"], id, "all encoded");
        assert!(t.get(&format!("/v1/runs/{id}/events")).await.text.contains("run_started"));
        assert_eq!(t.events(&run.run_id).await.len(), 3, "{id}");
    }
    // Canceling `a:cancel` does not cancel `a`.
    let bystander = t.run_start_with("atomic.echo", json!({}), json!({"run_id": "a"})).await;
    for path in ["/v1/runs/a:cancel:cancel", "/v1/runs/:cancel:cancel"] {
        assert_eq!(t.post(path, &json!({})).await.ok()["state"], "canceled");
    }
    assert_eq!(t.cancel(&"a:b".into()).await.state, RunState::Canceled, "through the generated client");
    assert_eq!(t.run(&bystander.run_id).await.state, RunState::Running);
    assert_eq!(t.run(&"a:cancel:cancel".into()).await.state, RunState::Running);
    // Ids that no run can have are not found.
    for (segment, id) in
        [("a%20b", "a b"), ("q%3Fx%23y", "q?x#y"), ("%C3%BC", "ü"), ("a%25b", "a%b"), ("'", "'")]
    {
        let error = t.get(&format!("/v1/runs/{segment}")).await.refused(404, "run_not_found");
        assert_eq!(error["message"], format!("Run '{id}' not found"));
        let error = t.get(&format!("/v1/node-runs/{segment}")).await.refused(404, "node_run_not_found");
        assert_eq!(error["message"], format!("NodeRun '{id}' not found"));
    }
    t.stop().await;
}

#[tokio::test]
async fn cancel_accepts_any_body_or_none() {
    let t = TestServer::idle().await;
    for (content_type, body) in [("", ""), ("application/json", "{}"), ("text/plain", "not JSON")] {
        let run = t.run_start("atomic.echo", json!({})).await;
        let mut request = t.request("POST", &format!("/v1/runs/{}:cancel", run.run_id)).body(body);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        assert_eq!(Answer::of(request).await.ok()["state"], "canceled", "{content_type:?}");
    }
    t.stop().await;
}
