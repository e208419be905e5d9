//! Nested content: everything that the API accepts can be read back, canceled,
//! completed and expired at any accepted depth, also after a restart. Content beyond
//! the limit is refused, and the error names the limit.

use std::time::Duration;

use jarvis_run_coordinator::types::{NodeRun, NodeRunId, Run, RunId, RunState};
use serde_json::{Value, json};

use crate::support::{Answer, FakeStores, TestMachine, TestServer, soon};

/// Levels below and around the limit, and around the parser's own limit.
const LEVELS: [usize; 9] = [5, 99, 100, 101, 124, 125, 126, 127, 128];

/// Every place for free-form content: the request, and the path in its body.
const PLACES: [(&str, &str); 12] = [
    ("start", "/input"),
    ("start", "/extensions"),
    ("start", "/metadata/extensions"),
    ("start", "/constraints/extensions"),
    ("start", "/run_context/extensions"),
    ("create", "/node_runs/0/inputs"),
    ("create", "/node_runs/0/extensions"),
    ("create", "/node_runs/0/metadata/extensions"),
    ("evaluation", "/evaluation_result/details"),
    ("evaluation", "/recovery_action/extensions"),
    ("complete", "/outputs"),
    ("complete", "/error/details"),
];

/// An accepted run, with its root and a child.
struct Accepted {
    what: String,
    run: RunId,
    root: NodeRunId,
    child: NodeRunId,
}

/// `body` with an object at `place` that makes it `levels` deep.
fn deep(mut body: Value, place: &str, levels: usize) -> String {
    let own = place.matches('/').count();
    let mut at = &mut body;
    for name in place.split('/').skip(1) {
        at = match name.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[name],
        };
    }
    *at = json!({"x.x": "HERE"});
    let inner = levels - own - 1;
    body.to_string().replace("\"HERE\"", &format!("{}1{}", "[".repeat(inner), "]".repeat(inner)))
}

/// Makes a composite run with a child; the request of this kind has this depth.
/// Returns nothing if the start is refused.
async fn accepted(t: &TestServer, (kind, place): (&str, &str), levels: usize) -> Option<Accepted> {
    let node_type = json!({"node_type_id": "composite.plan", "version": "1.0.0"});
    let send = async |kind_of: &str, path: String, body: Value| {
        let body = if kind_of == kind { deep(body, place, levels) } else { body.to_string() };
        t.post_raw(&path, "application/json", body).await
    };
    let refused = |answer: &Answer| {
        if answer.status == 400 {
            assert!(levels > 100, "{kind}{place} at {levels}: {}", answer.text);
            let error = &answer.body()["error"]["details"]["errors"][0];
            assert_eq!(error["type"], "json_too_deep", "{kind}{place} at {levels}");
            assert!(error["msg"].as_str().expect("text").contains("100 levels"), "{error}");
        }
        answer.status == 400
    };

    let mut start = json!({"root_node_type_ref": node_type, "input": {}});
    if kind == "start" && place.starts_with("/run_context") {
        start["run_context"] = json!({});
    }
    let answer = send("start", "/v1/runs".into(), start).await;
    if refused(&answer) {
        return None;
    }
    let run: Run = serde_json::from_value(answer.ok()).expect("a run");
    let spec = json!({"node_type_ref": node_type, "inputs": {}});
    let create =
        json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id, "node_runs": [spec]});
    let answer = send("create", "/v1/node-runs".into(), create.clone()).await;
    let answer = match refused(&answer) {
        true => t.post("/v1/node-runs", &create).await,
        false => answer,
    };
    let child: NodeRun = serde_json::from_value(answer.ok()["node_runs"][0].clone()).expect("a child");
    let evaluation =
        json!({"evaluation_result": {"status": "unknown"}, "recovery_action": {"type": "retry"}});
    let answer =
        send("evaluation", format!("/v1/node-runs/{}:evaluation", child.node_run_id), evaluation).await;
    if !refused(&answer) {
        answer.no_content();
    }
    if kind == "complete" {
        let completion = json!({"state": "failed", "error": {"code": "c", "message": "m"}});
        let answer =
            send("complete", format!("/v1/node-runs/{}:complete", child.node_run_id), completion).await;
        if !refused(&answer) {
            answer.no_content();
        }
    }
    Some(Accepted {
        what: format!("{kind}{place} at {levels}"),
        run: run.run_id,
        root: run.root_node_run_id,
        child: child.node_run_id,
    })
}

async fn all_accepted(t: &TestServer) -> Vec<Accepted> {
    let mut all = Vec::new();
    for place in PLACES {
        for levels in LEVELS {
            all.extend(accepted(t, place, levels).await);
        }
    }
    assert!(all.len() >= PLACES.len() * 3, "content within the limit is accepted");
    all
}

async fn is_read_back(t: &TestServer, accepted: &Accepted) {
    let Accepted { what, run, root, child } = accepted;
    for path in [
        format!("/v1/runs/{run}"),
        format!("/v1/node-runs/{root}"),
        format!("/v1/node-runs/{child}"),
        format!("/v1/runs/{run}/events"),
    ] {
        let answer = t.get(&path).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    }
}

async fn is_well(t: &TestServer) {
    assert_eq!(t.get("/v1/health").await.body()["status"], "ok");
}

#[tokio::test]
async fn nested_content_can_be_read_and_ended_after_a_restart() {
    let t = TestServer::idle().await;
    let accepted = all_accepted(&t).await;
    for one in &accepted {
        is_read_back(&t, one).await;
    }
    let (journal, executors) = t.stop().await;
    let t = TestServer::try_start(journal, executors, &TestServer::IDLE).await.expect("it starts again");
    for (index, one) in accepted.iter().enumerate() {
        is_read_back(&t, one).await;
        let (answer, state) = match index % 2 {
            0 => (t.post(&format!("/v1/runs/{}:cancel", one.run), &json!({})).await, RunState::Canceled),
            _ => {
                let path = format!("/v1/node-runs/{}:complete", one.root);
                (t.post(&path, &json!({"state": "succeeded"})).await, RunState::Succeeded)
            }
        };
        assert!(answer.status < 300, "{}: {} {}", one.what, answer.status, answer.text);
        assert_eq!(t.run(&one.run).await.state, state, "{}", one.what);
    }
    is_well(&t).await;
    t.stop().await;
}

#[tokio::test]
async fn nested_content_expires_at_its_deadline() {
    let machine = TestMachine::default();
    let t = TestServer::start_with_clock(machine.clone(), &TestServer::IDLE).await;
    let accepted = all_accepted(&t).await;
    machine.pass(Duration::from_secs(25 * 3_600));
    for one in &accepted {
        // A sweep ends a limited number of runs, and the next one is seconds later.
        let ended = soon("the end of the run", async {
            loop {
                let run = t.run(&one.run).await;
                if run.state != RunState::Running {
                    return run;
                }
                machine.pass(Duration::from_secs(1));
            }
        });
        assert_eq!(ended.await.state, RunState::Failed, "{}", one.what);
    }
    is_well(&t).await;
    t.stop().await;
}

/// Records are deeper than the content that they hold. The stores answer with whole
/// records when they are saved and when they are adopted.
#[tokio::test]
async fn nested_content_reaches_the_stores_and_is_adopted() {
    let stores = FakeStores::start();
    let vars: Vec<_> = TestServer::IDLE.into_iter().chain(stores.vars()).collect();
    let t = TestServer::start_with(&vars).await;
    let mut all = Vec::new();
    for place in PLACES {
        all.extend(accepted(&t, place, 100).await);
    }
    assert_eq!(all.len(), PLACES.len());
    let checks = soon("an empty outbox", async {
        loop {
            let health = t.get("/v1/health").await.body();
            let checks = health["checks"].as_array().expect("checks").clone();
            if checks.iter().any(|check| check["name"] == "outbox" && check["details"]["entries"] == 0) {
                return checks;
            }
        }
    });
    let checks = checks.await;
    assert!(checks.iter().all(|check| check["status"] == "ok"), "{checks:?}");
    t.stop().await;
    // A new journal, to which the runs are unknown.
    let t = TestServer::start_with(&vars).await;
    for one in &all {
        is_read_back(&t, one).await;
    }
    t.stop().await;
}
