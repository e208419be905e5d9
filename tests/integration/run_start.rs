//! Starting runs (contract §6.3, D-07, D-15): repeated starts, ids, constraints,
//! extensions and policy.

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRunState, RunId, RunState};
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer, redacted, soon};

fn start(node_type: &str, more: Value) -> Value {
    let mut body =
        json!({"root_node_type_ref": {"node_type_id": node_type, "version": "1"}, "input": {"a": 1}});
    let Value::Object(more) = more else { panic!("an object") };
    body.as_object_mut().expect("an object").extend(more);
    body
}

#[tokio::test]
async fn repeated_start_returns_the_existing_run() {
    let t = TestServer::start().await;
    let request = start("atomic.echo", json!({"run_id": "r", "metadata": {"labels": {"a": "b", "c": "d"}}}));
    let first = t.post("/v1/runs", &request).await.ok();
    let ended = t.run_ended(&"r".into()).await;
    assert_eq!(ended.state, RunState::Succeeded);
    let before = t.journal_rows();
    // The answer has the present state. The order of members and nulls do not matter.
    let reordered = r#"{"metadata": {"labels": {"c": "d", "a": "b"}, "annotations": null}, "run_id": "r",
        "input": {"a": 1}, "root_node_type_ref": {"version": "1", "node_type_id": "atomic.echo"}}"#;
    let again = t.post_raw("/v1/runs", "application/json", reordered).await.ok();
    assert_eq!(again, serde_json::to_value(&ended).expect("JSON"));
    assert_eq!(again["root_node_run_id"], first["root_node_run_id"]);
    assert_eq!(t.journal_rows(), before);
    assert_eq!(t.executors.executions(ended.root_node_run_id.as_str()), 1);
    t.stop().await;
}

#[tokio::test]
async fn different_start_under_a_known_id_is_refused() {
    let t = TestServer::idle().await;
    t.post("/v1/runs", &start("atomic.echo", json!({"run_id": "r"}))).await.ok();
    let before = t.journal_rows();
    for other in [
        json!({"run_id": "r", "input": {"a": 2}}),
        json!({"run_id": "r", "input": {"a": true}}),
        json!({"run_id": "r", "root_node_type_ref": {"node_type_id": "atomic.echo", "version": "2"}}),
        json!({"run_id": "r", "constraints": {}}),
        json!({"run_id": "r", "extensions": {"a.b": 1}}),
        json!({"run_id": "r", "run_context": {"tenant_id": "t"}}),
        json!({"run_id": "r", "metadata": {"labels": {"a": "b"}}}),
    ] {
        let answer = t.post("/v1/runs", &start("atomic.echo", other.clone())).await;
        let error = answer.refused(409, "run_already_exists");
        assert_eq!(error["message"], "Run already exists.", "{other}");
        assert_eq!(t.journal_rows(), before, "{other}");
    }
    t.stop().await;
}

#[tokio::test]
async fn concurrent_starts_under_one_id_make_one_run() {
    let t = TestServer::start().await;
    let request = start("atomic.echo", json!({"run_id": "r"}));
    let answers = join_all((0..10).map(|_| t.post("/v1/runs", &request))).await;
    let roots: Vec<Value> = answers.iter().map(|answer| answer.ok()["root_node_run_id"].clone()).collect();
    assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
    t.run_ended(&"r".into()).await;
    assert_eq!(t.executors.executions(roots[0].as_str().expect("an id")), 1);
    assert_eq!(t.event_types(&"r".into()).await.iter().filter(|type_| *type_ == "run_started").count(), 1);
    let fresh = start("atomic.echo", json!({}));
    let (one, other) = tokio::join!(t.post("/v1/runs", &fresh), t.post("/v1/runs", &fresh));
    assert_ne!(one.ok()["run_id"], other.ok()["run_id"], "without an id each start makes a run");
    t.stop().await;
}

#[tokio::test]
async fn start_completes_although_its_caller_disconnected() {
    let pdp = FakeService::pdp();
    pdp.set_answering(false);
    let t = TestServer::start_with(&[("JARVIS_PDP_URL", pdp.url())]).await;
    let body = json!({"run_id": "abandoned", "root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "input": {}}).to_string();
    let head = "POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let address = t.url.strip_prefix("http://").expect("an address");
    let mut caller = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    tokio::io::AsyncWriteExt::write_all(&mut caller, request.as_bytes()).await.expect("sent");
    pdp.received("the request", 1, |request| request["run_id"] == "abandoned").await;
    drop(caller);
    pdp.set_answering(true);
    let run = soon("the run", async {
        loop {
            let answer = t.get("/v1/runs/abandoned").await;
            if answer.status == 200 {
                return answer.ok();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(t.run_ended(&"abandoned".into()).await.state, RunState::Succeeded);
    assert_eq!(t.executors.executions(run["root_node_run_id"].as_str().expect("an id")), 1);
    t.stop().await;
}

#[tokio::test]
async fn run_ids_that_do_not_fit_into_urls_are_refused() {
    let t = TestServer::idle().await;
    let before = t.journal_rows();
    let long = "x".repeat(201);
    for id in ["a/b", "a b", "a?b", "a#b", "a%b", "ü", "a\nb", "\u{0}", ".", "..", "a,b", "{id}", &long] {
        let complaints = t.post("/v1/runs", &start("atomic.echo", json!({"run_id": id}))).await.complaints();
        assert_eq!(complaints, [("string_pattern_mismatch".into(), "body.run_id".into())], "{id:?}");
    }
    assert_eq!(t.journal_rows(), before);
    t.stop().await;
}

#[tokio::test]
async fn constraints_in_extensions_are_refused_or_dropped() {
    let t = TestServer::idle().await;
    let before = t.journal_rows();
    for key in ["constraints", "jarvis.constraints"] {
        let constraints = json!({"structural": {"max_depth": 1}});
        let twice = json!({"constraints": constraints, "extensions": {key: constraints}});
        let complaints = t.post("/v1/runs", &start("atomic.echo", twice)).await.complaints();
        assert_eq!(complaints, [("extra_forbidden".into(), format!("body.extensions.{key}"))]);
    }
    assert_eq!(t.journal_rows(), before);
    // In the extensions alone they are dropped, as all reserved keys.
    let hidden = json!({"extensions": {"constraints": "not even an object", "jarvis.constraints": {}}});
    let run = t.post("/v1/runs", &start("composite.accept", hidden)).await.ok();
    assert_eq!(run["extensions"], json!({"jarvis.owner": {"subject": "dev"}}));
    t.stop().await;
}

/// A budget may be as large as its type allows; the coordinator's own limit is less.
#[tokio::test]
async fn largest_wall_time_budget_is_accepted() {
    let t = TestServer::idle().await;
    let budget = |ms: u64| json!({"constraints": {"budgets": {"max_wall_time_ms": ms}}});
    let run = t.run_start_with("composite.accept", json!({}), budget(u64::MAX)).await;
    let spec = json!({"node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "inputs": {},
        "constraints": budget(u64::MAX)["constraints"]});
    let child = &t.children(&run.run_id, &run.root_node_run_id, &[spec]).await[0];
    // A restart with dispatch reads the budget again and computes the deadlines.
    let (journal, executors) = t.stop().await;
    let t = TestServer::try_start(journal, executors, &[]).await.expect("the server starts");
    t.node_run_in(&child.node_run_id, NodeRunState::Succeeded).await;
    let root = t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    let kept = &root.extensions.expect("constraints").value("constraints")["budgets"]["max_wall_time_ms"];
    assert_eq!(*kept, json!(u64::MAX));
    assert_eq!(t.cancel(&run.run_id).await.state, RunState::Canceled);
    t.stop().await;
}

#[tokio::test]
async fn reserved_extension_keys_of_callers_are_dropped() {
    let t = TestServer::idle().await;
    let mut extensions = json!({"my.key": {"kept": null}, "undotted": [1], "jarvis.own": "kept"});
    for key in [
        "decomposition_rounds",
        "completion_error",
        "candidate_set_id",
        "binding_decision",
        "idempotency_key",
    ] {
        extensions[key] = json!(-5);
        extensions[format!("jarvis.{key}")] = json!("abc");
    }
    let kept = json!({"my.key": {"kept": null}, "undotted": [1], "jarvis.own": "kept"});
    let constraints = json!({"structural": {"max_decomposition_rounds_per_node": 1}});
    let request = json!({"extensions": extensions, "constraints": constraints});
    let run = t.post("/v1/runs", &start("composite.accept", request)).await.ok();
    let mut expected = kept.clone();
    expected["constraints"] = constraints.clone();
    expected["jarvis.owner"] = json!({"subject": "dev"});
    assert_eq!(run["extensions"], expected);
    let root = run["root_node_run_id"].as_str().expect("an id");
    assert_eq!(t.get(&format!("/v1/node-runs/{root}")).await.ok()["extensions"], expected);

    let spec = json!({"node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "inputs": {},
        "extensions": extensions});
    let child = t
        .children(&run["run_id"].as_str().expect("an id").into(), &root.into(), std::slice::from_ref(&spec))
        .await;
    // The owner is that of the run, and named there.
    expected.as_object_mut().expect("an object").remove("jarvis.owner");
    assert_eq!(serde_json::to_value(&child[0].extensions).expect("JSON"), expected);
    // `decomposition_rounds: -5` grants no further round.
    let create = json!({"run_id": run["run_id"], "parent_node_run_id": root, "node_runs": [spec]});
    t.post("/v1/node-runs", &create).await.refused(409, "constraint_violation");
    t.stop().await;
}

#[tokio::test]
async fn strict_extension_keys_are_dotted() {
    let t = TestServer::start_with(&[
        ("JARVIS_RUN_COORDINATOR_STRICT_EXTENSION_KEYS", "true"),
        ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off"),
    ])
    .await;
    let constraints = json!({"structural": {"max_children_per_composite": 1}});
    let run = t.post("/v1/runs", &start("composite.accept", json!({"constraints": constraints}))).await.ok();
    assert_eq!(
        run["extensions"],
        json!({"jarvis.constraints": constraints, "jarvis.owner": {"subject": "dev"}})
    );
    let (run_id, root) = (run["run_id"].clone(), run["root_node_run_id"].as_str().expect("an id").to_owned());
    let spec = json!({"node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}, "inputs": {},
        "idempotency_key": "k"});
    let create = json!({"run_id": run_id, "parent_node_run_id": root, "node_runs": [spec]});
    let child = t.post("/v1/node-runs", &create).await.ok();
    assert_eq!(
        child["node_runs"][0]["extensions"],
        json!({"jarvis.constraints": constraints, "jarvis.idempotency_key": "k"})
    );
    assert_eq!(t.post("/v1/node-runs", &create).await.ok(), child, "the replay returns the same keys");
    let parent = t.get(&format!("/v1/node-runs/{root}")).await.ok();
    assert_eq!(parent["extensions"]["jarvis.decomposition_rounds"], 1);
    t.stop().await;
}

#[tokio::test]
async fn metadata_and_run_context_are_kept() {
    let t = TestServer::idle().await;
    let metadata = json!({"labels": {"team": "a"}, "annotations": {"note": "b"}});
    let context = json!({"tenant_id": "t", "actor": {"type": "user", "id": "u"}, "budgets": {"x": null},
        "extensions": {"a.b": null}});
    let request = start("atomic.echo", json!({"metadata": metadata, "run_context": context}));
    let run = t.post("/v1/runs", &request).await.ok();
    assert_eq!(run["extensions"], json!({"jarvis.metadata": metadata, "jarvis.owner": {"subject": "dev"}}));
    assert_eq!(run["run_context"], context);
    assert_eq!(t.get(&format!("/v1/runs/{}", run["run_id"].as_str().expect("an id"))).await.ok(), run);
    t.stop().await;
}

#[tokio::test]
async fn nodes_stay_queued_without_auto_dispatch() {
    let t = TestServer::idle().await;
    let run = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.node_run(&run.root_node_run_id).await.state, NodeRunState::Queued);
    t.complete(&run.root_node_run_id, "succeeded").await;
    assert_eq!(t.run(&run.run_id).await.state, RunState::Succeeded);
    let events = t.events(&run.run_id).await;
    let data: Vec<Value> = events[3..].iter().map(|event| json!(event.data)).collect();
    assert_eq!(data, [json!({"state": "succeeded", "executed": false}), json!({"state": "succeeded"})]);
    assert!(t.executors.calls().is_empty());
    t.stop().await;
}

/// A denied start makes a run: 200, failed, with all its events.
#[tokio::test]
async fn every_run_is_denied_without_a_policy() {
    let t = TestServer::start_with(&[("JARVIS_POLICY_PROFILE", "")]).await;
    let decision = json!({"action": "run.start", "decision": "deny", "reason_code": "policy_unconfigured",
        "message": "No PDP configured for policy enforcement"});
    let event = |seq: u64, type_: &str, node: bool, data: Value| {
        let mut event = json!({"run_id": "run_1", "seq": seq, "type": type_, "time": "TIME", "data": data,
            "extensions": {"jarvis.actor": {"kind": "caller", "subject": "dev"}}});
        if node {
            event["node_run_id"] = json!("node_run_1");
        }
        event
    };
    for (node_type, executed) in [("atomic.echo", true), ("composite.accept", false), ("neither", false)] {
        let run = t.post("/v1/runs", &start(node_type, json!({}))).await.ok();
        assert_eq!(run["state"], "failed");
        assert_eq!(run["ended_at"], run["started_at"]);
        let run_id: RunId = run["run_id"].as_str().expect("an id").into();
        let mut expected = vec![
            event(1, "run_started", false, json!({"root_node_run_id": "node_run_1"})),
            event(2, "node_run_assigned", true, json!({"root": true})),
            event(3, "policy_decided", true, decision.clone()),
        ];
        let ended = |mut event: Value| {
            event["extensions"]["jarvis.error"] = json!({"code": "policy_denied",
                "message": "Run start denied by policy", "node_run_id": "node_run_1"});
            event
        };
        if executed {
            expected.push(ended(event(
                4,
                "atomic_executed",
                true,
                json!({"state": "failed", "executed": false}),
            )));
        }
        let seq = expected.len() as u64 + 1;
        expected.push(ended(event(seq, "run_completed", true, json!({"state": "failed"}))));
        let events = serde_json::to_value(t.events(&run_id).await).expect("JSON");
        assert_eq!(redacted(&events), json!(expected), "{node_type}");
        let root =
            t.get(&format!("/v1/node-runs/{}", run["root_node_run_id"].as_str().expect("an id"))).await.ok();
        assert_eq!(root["state"], "failed");
        let error = json!({"code": "policy_denied", "message": "Run start denied by policy"});
        assert_eq!(root["extensions"]["completion_error"], error);
        assert!(root.get("started_at").is_none());
    }
    assert!(t.executors.calls().is_empty());
    t.stop().await;
}

#[tokio::test]
async fn older_name_of_the_dev_allow_profile_works() {
    let t =
        TestServer::start_with(&[("JARVIS_POLICY_PROFILE", ""), ("ARP_POLICY_MODE", " Allow_All ")]).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let events = t.events(&run.run_id).await;
    let decision = json!({"action": "run.start", "decision": "allow", "reason_code": "policy_bypass"});
    assert_eq!(json!(events[2].data), decision);
    t.stop().await;
}
