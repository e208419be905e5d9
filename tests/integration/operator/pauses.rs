//! Dispatch that an operator pauses: nothing in the scope is handed over until it is
//! resumed, whatever happens meanwhile, and everything else goes on.

use jarvis_run_coordinator::types::{NodeRunId, NodeRunState, Run, RunState};
use serde_json::{Value, json};

use super::{LISTEN, get, post};
use crate::support::{FakeExecutors, Program, TestServer, soon, spec};

const ONE_SLOT: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1");

fn body(scope: &Value) -> Value {
    json!({"scope": scope, "reason": "an incident"})
}

/// Waits until a node is explained with this cause; returns the reason.
async fn explained(t: &TestServer, node: &NodeRunId, code: &str) -> Value {
    soon(code, async {
        loop {
            let explained = get(t, &format!("/x/node-runs/{node}/explain")).await.ok();
            let reason = explained["reasons"][0].clone();
            if reason["cause"]["code"] == code {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn dispatch_check(t: &TestServer) -> Option<Value> {
    let health = t.get("/v1/health").await.ok();
    assert_ne!(health["status"], "down");
    let checks = health["checks"].as_array().expect("checks").clone();
    checks.into_iter().find(|check| check["name"] == "dispatch")
}

async fn succeeds(t: &TestServer, run: &Run) {
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    assert_eq!(t.executors.executions(run.root_node_run_id.as_str()), 1);
}

#[tokio::test]
async fn paused_dispatch_hands_nothing_over_until_it_is_resumed() {
    let t = TestServer::start_with(&[LISTEN, ONE_SLOT]).await;
    assert_eq!(get(&t, "/x/dispatch").await.ok(), json!({"pauses": []}));
    assert_eq!(dispatch_check(&t).await, None);
    let busy = t.run_start("atomic.deaf", json!({})).await;
    t.executors.called(":execute", 1).await;
    // One that waits for the slot, in memory.
    let waits = t.run_start("atomic.echo", json!({})).await;
    let paused = post(&t, "/x/dispatch:pause", &body(&json!({"kind": "all"}))).await.ok();
    let by = json!({"kind": "caller", "principal": {"subject": "dev"}});
    assert_eq!(
        (&paused["scope"], &paused["by"], &paused["reason"]),
        (&json!({"kind": "all"}), &by, &json!("an incident"))
    );
    let started_later = t.run_start("composite.accept", json!({})).await;
    t.executors.release(busy.root_node_run_id.as_str());
    succeeds(&t, &busy).await;
    for run in [&waits, &started_later] {
        let reason = explained(&t, &run.root_node_run_id, "dispatch_paused").await;
        assert_eq!(reason["sentence"], "Dispatch is paused for all by dev: an incident");
        assert_eq!(reason["command"], "jarvis-run-coordinator dispatch resume --all --reason TEXT");
        assert_eq!((&reason["since"], &reason["acts"]), (&paused["since"], &json!("operator")));
        assert_eq!(t.node_run(&run.root_node_run_id).await.state, NodeRunState::Queued);
    }
    assert_eq!(get(&t, "/x/dispatch").await.ok(), json!({"pauses": [paused]}));
    let check = dispatch_check(&t).await.expect("a check");
    assert_eq!((&check["status"], &check["details"]), (&json!("degraded"), &json!({"pauses": 1})));
    assert!(!check.to_string().contains("incident"), "health is public: {check}");
    // The same again changes nothing, another reason does.
    assert_eq!(post(&t, "/x/dispatch:pause", &body(&json!({"kind": "all"}))).await.ok(), paused);
    let other = json!({"scope": {"kind": "all"}, "reason": "another"});
    assert_eq!(post(&t, "/x/dispatch:pause", &other).await.ok()["since"], paused["since"]);
    assert_eq!(t.executors.calls().len(), 1);

    let resumed = post(&t, "/x/dispatch:resume", &body(&json!({"kind": "all"}))).await.ok();
    assert_eq!(resumed, json!({"scope": {"kind": "all"}, "was_paused": true}));
    succeeds(&t, &waits).await;
    t.node_run_in(&started_later.root_node_run_id, NodeRunState::Running).await;
    assert_eq!(t.node_run(&waits.root_node_run_id).await.recovery_actions, None, "it cost no retry");
    let again = post(&t, "/x/dispatch:resume", &body(&json!({"kind": "all"}))).await.ok();
    assert_eq!(again["was_paused"], false);
    assert_eq!(dispatch_check(&t).await, None);
    let operations: Vec<Value> = t
        .audit_trail()
        .iter()
        .filter(|record| {
            record["operation"].as_str().is_some_and(|operation| operation.ends_with("_dispatch"))
        })
        .map(|record| json!([record["operation"], record["detail"]]))
        .collect();
    assert_eq!(
        operations,
        [
            json!(["pause_dispatch", "all: an incident"]),
            json!(["pause_dispatch", "all: another"]),
            json!(["resume_dispatch", "all: an incident"])
        ]
    );
    t.cancel(&started_later.run_id).await;
    t.stop().await;
}

#[tokio::test]
async fn pause_concerns_its_scope_only() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for (scope, option) in [
        (json!({"kind": "node_type", "node_type_id": "atomic.echo"}), "--node-type atomic.echo"),
        (json!({"kind": "executor", "executor": "atomic_executor"}), "--executor atomic_executor"),
    ] {
        post(&t, "/x/dispatch:pause", &body(&scope)).await.ok();
        let composite = t.run_start("composite.accept", json!({})).await;
        t.node_run_in(&composite.root_node_run_id, NodeRunState::Running).await;
        let specs = [spec("atomic.echo"), spec("atomic.echo")];
        let children = t.children(&composite.run_id, &composite.root_node_run_id, &specs).await;
        for child in &children {
            let reason = explained(&t, &child.node_run_id, "dispatch_paused").await;
            let command = format!("jarvis-run-coordinator dispatch resume {option} --reason TEXT");
            assert_eq!(reason["command"], command);
        }
        // A cancel works, and so does a completion.
        t.complete(&children[1].node_run_id, "canceled").await;
        post(&t, "/x/dispatch:resume", &body(&scope)).await.ok();
        t.node_run_in(&children[0].node_run_id, NodeRunState::Succeeded).await;
        assert_eq!(t.executors.executions(children[1].node_run_id.as_str()), 0);
        t.cancel(&composite.run_id).await;
    }
    // Of another type.
    post(&t, "/x/dispatch:pause", &body(&json!({"kind": "node_type", "node_type_id": "atomic.slow"})))
        .await
        .ok();
    succeeds(&t, &t.run_start("atomic.echo", json!({})).await).await;
    t.stop().await;
}

#[tokio::test]
async fn paused_member_of_a_pool_leaves_the_work_to_the_others() {
    let (left, right) = (FakeExecutors::start(), FakeExecutors::start());
    let urls = format!("left={},right={}", left.url(), right.url());
    let t = TestServer::start_with(&[LISTEN, ("JARVIS_ATOMIC_EXECUTOR_URL", &urls)]).await;
    let member = |name: &str| json!({"kind": "executor", "executor": name});
    post(&t, "/x/dispatch:pause", &body(&member("left"))).await.ok();
    for _ in 0..4 {
        let run = t.run_start("atomic.echo", json!({})).await;
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    }
    assert_eq!((left.calls().len(), right.calls().len()), (0, 4));
    post(&t, "/x/dispatch:pause", &body(&member("right"))).await.ok();
    let run = t.run_start("atomic.echo", json!({})).await;
    explained(&t, &run.root_node_run_id, "dispatch_paused").await;
    post(&t, "/x/dispatch:resume", &body(&member("left"))).await.ok();
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    assert_eq!((left.calls().len(), right.calls().len()), (1, 4));
    t.stop().await;
}

#[tokio::test]
async fn scope_that_is_wrong_is_named() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for (scope, kind, place) in [
        (json!({"kind": "everything"}), "enum", "body.scope.kind"),
        (json!({"kind": "tenant"}), "missing", "body.scope.tenant"),
        (json!({"kind": "all", "tenant": "acme"}), "extra_forbidden", "body.scope.tenant"),
        (json!({"kind": "executor", "executor": "nothing"}), "value_error", "body.scope.executor"),
        (json!({"kind": "node_type", "node_type_id": ""}), "string_too_short", "body.scope.node_type_id"),
    ] {
        let answer = post(&t, "/x/dispatch:pause", &body(&scope)).await;
        assert_eq!(answer.complaints(), [(kind.to_owned(), place.to_owned())], "{scope}");
    }
    let silent = json!({"scope": {"kind": "all"}, "reason": " "});
    let answer = post(&t, "/x/dispatch:pause", &silent).await;
    assert_eq!(answer.complaints(), [("string_too_short".to_owned(), "body.reason".to_owned())]);
    assert_eq!(get(&t, "/x/dispatch").await.ok(), json!({"pauses": []}));
    t.stop().await;
}

#[tokio::test]
async fn paused_dispatch_is_paused_after_a_kill() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var(LISTEN.0, LISTEN.1);
    let process = program.start().await;
    let scope = json!({"kind": "node_type", "node_type_id": "atomic.echo"});
    let (status, paused) = process.operate("/x/dispatch:pause", Some(&body(&scope))).await;
    assert_eq!((status, &paused["scope"]), (200, &scope));
    let set_aside = process.run_start("set-aside", "atomic.echo").await;
    process.kill().await;

    let process = program.start().await;
    process.logged("dispatch is paused since before the start", 1).await;
    assert_eq!(process.operate("/x/dispatch", None).await, (200, json!({"pauses": [paused]})));
    let later = process.run_start("later", "atomic.echo").await;
    let other = process.run_start("other", "composite.accept").await;
    executors.called(":begin", 1).await;
    assert_eq!(executors.executions(&set_aside.root) + executors.executions(&later.root), 0);
    let (status, resumed) = process.operate("/x/dispatch:resume", Some(&body(&scope))).await;
    assert_eq!((status, &resumed["was_paused"]), (200, &json!(true)));
    assert_eq!(process.run_ended(&set_aside.id).await, "succeeded");
    assert_eq!(process.run_ended(&later.id).await, "succeeded");
    assert_eq!((executors.executions(&set_aside.root), executors.executions(&later.root)), (1, 1));
    assert_eq!(process.node_run(&other.root).await["state"], "running");
    process.kill().await;
}
