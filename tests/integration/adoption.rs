//! Adoption of runs that another coordinator started: they are in the Run Store and
//! the Event Stream, and unknown to our journal.
//!
//! ```text
//!   request about run_py ──▶ journal: unknown ──▶ Run Store, Event Stream ──▶ journal ──▶ as any run
//! ```

use futures::future::join_all;
use jarvis_run_coordinator::{
    time::{Clock, SystemClock, Timestamp},
    types::{NodeRunState, RunEvent, RunState},
};
use serde_json::{Value, json};

use crate::support::{Answer, Call, FakeStores, StoreFault, TestServer, UNREACHABLE, spec};

/// The start of the runs: 30 seconds ago, so that no deadline has passed.
fn started_at() -> String {
    Timestamp::from_micros(SystemClock.now().as_micros() - 30_000_000).to_string()
}

/// A run as the Python services write it: with nulls.
fn run(state: &str) -> Value {
    json!({
        "run_id": "run_py", "state": state, "root_node_run_id": "root", "run_context": null,
        "started_at": started_at(), "ended_at": if state == "running" { None } else { Some(started_at()) },
        "extensions": {"a.b": null},
    })
}

fn node(id: &str, parent: Option<&str>, node_type: &str, state: &str) -> Value {
    let kind = node_type.split('.').next();
    let (at_executor, over) =
        (!["queued", "assigned"].contains(&state), state == "succeeded" || state == "failed");
    json!({
        "node_run_id": id, "run_id": "run_py", "parent_node_run_id": parent, "kind": kind, "state": state,
        "node_type_ref": {"node_type_id": node_type, "version": "1", "extensions": null},
        "created_at": started_at(), "started_at": at_executor.then(started_at), "ended_at": over.then(started_at),
        "inputs": {"of": id}, "outputs": null, "output_artifacts": null, "executor_binding": null,
        "evaluation_result": null, "recovery_actions": null, "extensions": null,
    })
}

fn event(seq: u64, type_: &str, node: Option<&str>, data: Value) -> Value {
    json!({"run_id": "run_py", "seq": seq, "type": type_, "time": started_at(), "node_run_id": node, "data": data})
}

fn beginning() -> Vec<Value> {
    vec![
        event(1, "run_started", None, json!({"root_node_run_id": "root"})),
        event(2, "node_run_assigned", Some("root"), json!({"root": true})),
    ]
}

/// Stores a finished run of one atomic node; returns its events.
fn finished(stores: &FakeStores) -> Vec<Value> {
    let mut events = beginning();
    events.push(event(3, "atomic_executed", Some("root"), json!({"state": "succeeded"})));
    events.push(event(4, "run_completed", Some("root"), json!({"state": "succeeded"})));
    stores.put(&run("succeeded"), &[node("root", None, "atomic.echo", "succeeded")], &events);
    events
}

/// Stores a live run of a composite with children in several states.
fn under_way(stores: &FakeStores) {
    let nodes = [
        node("root", None, "composite.accept", "running"),
        node("done", Some("root"), "atomic.echo", "succeeded"),
        node("queued", Some("root"), "atomic.echo", "queued"),
        node("executing", Some("root"), "atomic.hang", "running"),
    ];
    let mut events = beginning();
    events.push(event(3, "composite_decomposed", Some("root"), json!({"node_run_count": 3})));
    // The `seq` of another coordinator may have gaps.
    events.push(event(5, "atomic_executed", Some("done"), json!({"state": "succeeded"})));
    stores.put(&run("running"), &nodes, &events);
}

async fn server(stores: &FakeStores) -> TestServer {
    TestServer::start_with(&stores.vars()).await
}

fn events(values: &[Value]) -> Vec<RunEvent> {
    values.iter().map(|event| serde_json::from_value(event.clone()).expect("an event")).collect()
}

#[tokio::test]
async fn adopted_finished_run_is_fetched_once_and_answered_unchanged() {
    let stores = FakeStores::start();
    let stored = finished(&stores);
    let t = server(&stores).await;

    let root = t.get("/v1/node-runs/root").await.ok();
    assert_eq!((&root["state"], &root["inputs"]), (&json!("succeeded"), &json!({"of": "root"})));
    let reads = stores.reads();
    assert_eq!(reads.len(), 4, "{reads:?}");
    assert_eq!(reads[..2], ["/v1/node-runs/root", "/v1/runs/run_py"]);

    let found = t.get("/v1/runs/run_py").await.ok();
    assert_eq!((&found["state"], &found["extensions"]), (&json!("succeeded"), &json!({"a.b": null})));
    assert_eq!(t.events(&"run_py".into()).await, events(&stored));
    let node_events = t.get("/v1/node-runs/root/events").await;
    assert_eq!(node_events.text.lines().count(), 3);
    assert_eq!(t.cancel(&"run_py".into()).await.state, RunState::Succeeded);
    assert_eq!(stores.reads(), reads, "the journal has it");
    assert!(!t.journal_rows().iter().any(|row| row.starts_with("outbox")), "the stores have everything");
    assert_eq!(stores.writes(), [] as [&str; 0]);
    t.stop().await;
}

#[tokio::test]
async fn adopted_live_run_continues_and_executes_nothing_twice() {
    let stores = FakeStores::start();
    under_way(&stores);
    let t = server(&stores).await;

    assert_eq!(t.run(&"run_py".into()).await.state, RunState::Running);
    t.node_run_in(&"queued".into(), NodeRunState::Succeeded).await;
    assert_eq!(t.executors.executions("queued"), 1);
    // The answer went to the other coordinator: the outcome is unknown.
    let executing = t.node_run_in(&"executing".into(), NodeRunState::Failed).await;
    let error = &executing.extensions.expect("a reason").value("completion_error");
    assert_eq!(error["code"], "executor_outcome_unknown");
    let calls = t.executors.called("executing:cancel", 1).await;
    assert!(
        !calls.iter().any(|call| call.path.ends_with(":begin")),
        "the composite is at its executor already"
    );
    assert_eq!((t.executors.executions("executing"), t.executors.executions("done")), (0, 0));

    // From here on the composite works on the run as on any other.
    let spec = spec("atomic.echo");
    let next = &t.children(&"run_py".into(), &"root".into(), &[spec]).await[0];
    t.node_run_in(&next.node_run_id, NodeRunState::Succeeded).await;
    let evaluation = json!({"evaluation_result": {"status": "success"}});
    t.post("/v1/node-runs/root:evaluation", &evaluation).await.no_content();
    t.complete(&"root".into(), "succeeded").await;

    let followed = t.follow(&"run_py".into()).await;
    let seqs: Vec<u64> = followed.iter().map(|event| event.seq).collect();
    let last = seqs.last().copied().expect("events");
    assert_eq!(seqs, [1, 2, 3].into_iter().chain(5..=last).collect::<Vec<_>>());
    assert_eq!(followed.last().map(|event| event.type_.to_string()).as_deref(), Some("run_completed"));
    assert_eq!(t.run(&"run_py".into()).await.state, RunState::Succeeded);

    // The stores receive what has changed, and nothing else.
    stores.have_events("run_py", last).await;
    stores.have_state("runs/run_py", "succeeded").await;
    for (id, state) in [("root", "succeeded"), ("queued", "succeeded"), ("executing", "failed")] {
        stores.have_state(&format!("node-runs/{id}"), state).await;
    }
    assert_eq!(stores.seqs("run_py"), seqs);
    let rewritten = |call: &String| call.ends_with("/node-runs/done");
    assert!(!stores.writes().iter().any(rewritten), "{:?}", stores.writes());

    // The run is in the journal: the stores are no longer needed.
    let (journal, executors) = t.stop().await;
    let alone = [("JARVIS_RUN_COORDINATOR_WITHOUT_STORES", "owe")];
    let t = TestServer::try_start(journal, executors, &alone).await.expect("the server starts");
    assert_eq!(t.events(&"run_py".into()).await, followed);
    t.stop().await;
}

#[tokio::test]
async fn every_operation_on_an_unknown_run_adopts_it() {
    let spec = spec("atomic.echo");
    let create = json!({"run_id": "run_py", "parent_node_run_id": "root", "node_runs": [spec]});
    let start = json!({"run_id": "run_py", "root_node_type_ref": spec["node_type_ref"], "input": {}});
    let evaluation = json!({"evaluation_result": {"status": "success"}});
    for (method, path, body, status) in [
        ("GET", "/v1/runs/run_py", Value::Null, 200),
        ("GET", "/v1/runs/run_py/events", Value::Null, 200),
        ("GET", "/v1/node-runs/done", Value::Null, 200),
        ("GET", "/v1/node-runs/queued/events", Value::Null, 200),
        ("POST", "/v1/runs/run_py:cancel", json!({}), 200),
        ("POST", "/v1/node-runs", create, 200),
        ("POST", "/v1/node-runs/root:evaluation", evaluation, 204),
        ("POST", "/v1/node-runs/queued:complete", json!({"state": "canceled"}), 204),
        ("POST", "/v1/runs", start, 409),
    ] {
        let stores = FakeStores::start();
        under_way(&stores);
        let vars: Vec<_> = stores.vars().into_iter().chain(TestServer::IDLE).collect();
        let t = TestServer::start_with(&vars).await;
        let answer = match method {
            "GET" => t.get(path).await,
            _ => t.post(path, &body).await,
        };
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if status == 409 {
            assert_eq!(answer.body()["error"]["code"], "run_already_exists");
        }
        let reads = stores.reads();
        t.get("/v1/node-runs/root").await.ok();
        assert_eq!(stores.reads(), reads, "{method} {path} has adopted it");
        t.stop().await;
    }
}

#[tokio::test]
async fn concurrent_requests_adopt_a_run_once() {
    let stores = FakeStores::start();
    under_way(&stores);
    let t = server(&stores).await;
    let paths = ["/v1/runs/run_py", "/v1/node-runs/root", "/v1/node-runs/queued", "/v1/node-runs/done"];
    join_all((0..32).map(|at| t.get(paths[at % 4]))).await.iter().for_each(|answer| _ = answer.ok());
    let lists = stores.reads().iter().filter(|path| path.ends_with("/node-runs")).count();
    assert_eq!(lists, 1, "one request fetches the run, the others wait for it");
    t.node_run_in(&"queued".into(), NodeRunState::Succeeded).await;
    assert_eq!(t.executors.executions("queued"), 1);
    t.stop().await;
}

#[tokio::test]
async fn ids_that_no_store_knows_are_not_found() {
    let stores = FakeStores::start();
    finished(&stores);
    let t = server(&stores).await;
    let before = t.journal_rows();
    for (path, code, reads) in [
        ("/v1/runs/unknown", "run_not_found", 1),
        ("/v1/node-runs/unknown", "node_run_not_found", 1),
        ("/v1/runs/a%0Ab", "run_not_found", 0),
        ("/v1/node-runs/a%0Ab", "node_run_not_found", 0),
    ] {
        let before = stores.reads().len();
        let answer = t.get(path).await;
        assert_eq!((answer.status, &answer.body()["error"]["code"]), (404, &json!(code)), "{path}");
        assert_eq!(stores.reads().len() - before, reads, "{path}");
    }
    let spec = spec("atomic.echo");
    let create = json!({"run_id": "unknown", "parent_node_run_id": "root", "node_runs": [spec]});
    assert_eq!(t.post("/v1/node-runs", &create).await.body()["error"]["code"], "run_not_found");
    assert_eq!(t.journal_rows(), before);

    // An unused id may be chosen for a new run, and costs one read.
    let before = stores.reads().len();
    let run = t.run_start_with("atomic.echo", json!({}), json!({"run_id": "chosen"})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    assert_eq!(stores.reads()[before..], ["/v1/runs/chosen"]);
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    assert_eq!(stores.reads().len(), before + 1, "a run of our own is not looked up");
    t.stop().await;
}

#[tokio::test]
async fn store_failure_is_reported_and_adopts_nothing() {
    let stores = FakeStores::start();
    under_way(&stores);
    let t = server(&stores).await;
    let before = t.journal_rows();
    let refused = |answer: &Answer, code: &str, message: &str| {
        let error = json!({"code": code, "message": message, "retryable": true});
        assert_eq!((answer.status, answer.body()), (502, json!({ "error": error })));
    };
    for status in [500, 401, 404, 422] {
        stores.faults(move |call| call.ends_with("/events").then_some(StoreFault::Status(status)));
        for path in ["/v1/runs/run_py", "/v1/node-runs/root"] {
            let answer = t.get(path).await;
            refused(&answer, "event_stream_unavailable", "Event Stream request failed");
        }
    }
    assert_eq!(t.journal_rows(), before);
    stores.no_faults();
    t.get("/v1/runs/run_py").await.ok();
    let (journal, executors) = t.stop().await;

    // The stores are unreachable: runs of the journal do not need them.
    let [_, events, artifacts] = stores.vars();
    let vars = [("JARVIS_RUN_STORE_URL", UNREACHABLE), events, artifacts];
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    t.get("/v1/runs/run_py").await.ok();
    for path in ["/v1/runs/unknown", "/v1/node-runs/unknown"] {
        refused(&t.get(path).await, "run_store_unavailable", "Run Store request failed");
    }
    let start = json!({"run_id": "chosen", "input": {},
        "root_node_type_ref": {"node_type_id": "atomic.echo", "version": "1"}});
    refused(&t.post("/v1/runs", &start).await, "run_store_unavailable", "Run Store request failed");
    t.stop().await;
}

#[tokio::test]
async fn invalid_store_answers_are_rejected() {
    let stores = FakeStores::start();
    let mut unknown = node("lost", None, "atomic.echo", "queued");
    unknown["run_id"] = json!("unknown");
    stores.put(&run("thinking"), &[node("root", None, "atomic.echo", "queued"), unknown], &[]);
    let t = server(&stores).await;
    let before = t.journal_rows();
    let error = t.get("/v1/runs/run_py").await;
    assert_eq!((error.status, &error.body()["error"]["code"]), (502, &json!("run_store_unavailable")));
    assert_eq!(t.get("/v1/node-runs/lost").await.status, 404, "its run is unknown");
    assert_eq!(t.journal_rows(), before);
    t.stop().await;
}

#[tokio::test]
async fn adoption_of_a_finished_run_ends_its_live_nodes() {
    let stores = FakeStores::start();
    let nodes = [
        node("root", None, "composite.accept", "running"),
        node("queued", Some("root"), "atomic.echo", "queued"),
        node("executing", Some("root"), "atomic.hang", "running"),
    ];
    let mut events = beginning();
    events.push(event(3, "run_completed", None, json!({"state": "canceled"})));
    stores.put(&run("canceled"), &nodes, &events);
    let t = server(&stores).await;
    assert_eq!(t.run(&"run_py".into()).await.state, RunState::Canceled);
    for id in ["root", "queued", "executing"] {
        assert_eq!(t.node_run(&id.into()).await.state, NodeRunState::Canceled, "{id}");
    }
    let called = |path: &str| {
        let path = path.to_owned();
        move |calls: &[Call]| calls.iter().any(|call| call.path.ends_with(&path))
    };
    t.executors.calls_until("the cancel of the composite", called("composite-node-runs/root:cancel")).await;
    let calls = t
        .executors
        .calls_until("the cancel of the atomic node", called("atomic-node-runs/executing:cancel"))
        .await;
    assert!(!calls.iter().any(|call| call.path.ends_with(":execute") || call.path.ends_with(":begin")));
    assert_eq!(t.event_types(&"run_py".into()).await[3..], ["atomic_executed"; 2]);
    t.stop().await;
}
