//! Recovery and candidates (contract §6.6, §6.8, §9.2): reported aborts, failed
//! results that are repeated, candidate sets; through a real server.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use serde_json::{Value, json};

use crate::{
    bearer::{Bearer, assigned, guarded, user},
    support::{FakeService, Sts, TestServer, spec},
};

fn abort(target: Option<&str>) -> Value {
    let action = json!({"type": "abort", "target_node_run_id": target});
    json!({"evaluation_result": {"status": "fail", "reason_code": "off_topic"}, "recovery_action": action})
}

#[tokio::test]
async fn reported_abort_ends_the_subtree_and_notifies_its_executors() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let root = &run.root_node_run_id;
    t.node_run_in(root, NodeRunState::Running).await;
    let plan = t.children(&run.run_id, root, &[spec("composite.accept")]).await.remove(0).node_run_id;
    t.node_run_in(&plan, NodeRunState::Running).await;
    let leaves = t.children(&run.run_id, &plan, &[spec("atomic.hang"), spec("atomic.hang")]).await;
    t.executors.called(":execute", 2).await;

    // An evaluator looks at a leaf and aborts the plan.
    let path = format!("/v1/node-runs/{}:evaluation", leaves[0].node_run_id);
    t.post(&path, &abort(Some(plan.as_str()))).await.no_content();
    for node in [&plan, &leaves[0].node_run_id, &leaves[1].node_run_id] {
        assert_eq!(t.node_run(node).await.state, NodeRunState::Canceled);
    }
    let evaluated = t.node_run(&leaves[0].node_run_id).await;
    let actions = json!(evaluated.recovery_actions);
    assert_eq!(actions[0]["extensions"], json!({"jarvis.applied": true}));
    let error = t.node_run(&plan).await.extensions.expect("extensions").value("completion_error");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("aborted"), &json!(false)));
    let cancels = t.executors.called(":cancel", 3).await;
    for node in [&plan, &leaves[0].node_run_id, &leaves[1].node_run_id] {
        assert!(cancels.iter().any(|call| call.path.ends_with(&format!("{node}:cancel"))), "{node}");
    }
    assert_eq!(t.run(&run.run_id).await.state, RunState::Running, "its parent decides what that means");

    // The same on the root ends the run.
    t.post(&format!("/v1/node-runs/{root}:evaluation"), &abort(None)).await.no_content();
    assert_eq!(t.run(&run.run_id).await.state, RunState::Canceled);
    t.post(&format!("/v1/node-runs/{root}:evaluation"), &abort(None)).await.no_content();
    let node = t.get(&format!("/v1/node-runs/{root}")).await.ok();
    let applied = |at: usize| &node["recovery_actions"][at]["extensions"]["jarvis.applied"];
    assert_eq!([applied(0), applied(1)], [true, false]);
    let history = node["extensions"]["jarvis.evaluations"].as_array().expect("a history");
    assert_eq!(history.len(), 2);
    assert_eq!(history[0]["evaluation_result"]["reason_code"], "off_topic");
    assert!(history[0]["at"].is_string() && history[0]["actor"]["kind"] == "caller", "{history:?}");
    t.stop().await;
}

#[tokio::test]
async fn executor_cannot_abort_beyond_its_assignment() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let user = user(&t);
    let [run, root] = user.start("composite.accept").await;
    let own = user.create(&run, &root, "composite.accept").await;
    let sibling = user.create(&run, &root, "composite.accept").await;
    let below = user.create(&run, &own, "composite.accept").await;
    let [_, foreign] = user.start("composite.accept").await;
    t.executors.called(":begin", 5).await;
    t.at_rest().await;
    let bearer = Bearer::new(&t, assigned(&t, &own).await);
    let path = format!("/v1/node-runs/{own}:evaluation");
    for target in [&root, &sibling, &foreign, &"node_run_of_nothing".to_owned()] {
        bearer.post(&path, &abort(Some(target))).await.no_content();
    }
    for node in [&root, &own, &sibling, &foreign] {
        let stored = user.get(&format!("/v1/node-runs/{node}")).await.ok();
        assert_eq!(stored["state"], "running", "{node}");
        for action in stored["recovery_actions"].as_array().into_iter().flatten() {
            assert_eq!(action["extensions"]["jarvis.applied"], false);
        }
    }
    bearer.post(&path, &abort(Some(&below))).await.no_content();
    assert_eq!(user.get(&format!("/v1/node-runs/{below}")).await.ok()["state"], "canceled");
    t.stop().await;
}

#[tokio::test]
async fn failed_result_is_executed_again_as_its_type_allows() {
    let registry = FakeService::start(|path, _| {
        let id = path.rsplit('/').next().unwrap_or_default();
        let retry = json!({"max_attempts": 3, "codes": ["busy"]});
        json!({"node_type_id": id, "version": "1.0.0", "kind": "atomic",
            "extensions": {"jarvis.side_effect": "read", "jarvis.retry": retry}})
    });
    let calls = Arc::new(AtomicUsize::new(0));
    let executor = FakeService::start({
        let calls = Arc::clone(&calls);
        move |_, request| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            let fails = request["inputs"]["fails"].as_u64().unwrap_or_default();
            let code = request["inputs"]["code"].as_str().unwrap_or("busy");
            let usage = json!({"jarvis.usage": {"external_calls": 2}});
            match (call as u64) < fails {
                true => json!({"node_run_id": request["node_run_id"], "state": "failed",
                    "error": {"code": code, "message": "later"}, "extensions": usage}),
                false => json!({"node_run_id": request["node_run_id"], "state": "succeeded",
                    "outputs": {"calls": call + 1}, "extensions": usage}),
            }
        }
    });
    let vars = [("JARVIS_NODE_REGISTRY_URL", registry.url()), ("JARVIS_ATOMIC_EXECUTOR_URL", executor.url())];
    let t = TestServer::start_with(&vars).await;
    let no_retries = json!({"extensions": {"jarvis.max_retries": 0}});
    for (input, constraints, state, executions) in [
        (json!({"fails": 2}), json!({}), RunState::Succeeded, 3),
        (json!({"fails": 3}), json!({}), RunState::Failed, 3),
        (json!({"fails": 1, "code": "other"}), json!({}), RunState::Failed, 1),
        (json!({"fails": 1}), no_retries, RunState::Failed, 1),
    ] {
        calls.store(0, Ordering::SeqCst);
        let mut constraints = constraints;
        constraints["budgets"] = json!({"max_external_calls": 100, "max_steps": 1});
        let run = t.run_start_with("t", input.clone(), json!({"constraints": constraints})).await;
        let ended = t.run_ended(&run.run_id).await;
        assert_eq!((ended.state, calls.load(Ordering::SeqCst)), (state, executions), "{input}");
        let root = t.node_run(&run.root_node_run_id).await;
        let actions = root.recovery_actions.unwrap_or_default();
        assert_eq!(actions.len(), executions - 1, "{input}");
        for action in &actions {
            let facts = action.extensions.as_ref().expect("facts");
            assert_eq!(
                (facts.value("jarvis.code"), facts.value("jarvis.applied")),
                (json!("busy"), json!(true))
            );
        }
        let account = ended.extensions.expect("extensions").value("jarvis.budget");
        assert_eq!(account["used"], json!({"steps": 1, "external_calls": 2 * executions, "cost": 0.0}));
        let types = t.event_types(&run.run_id).await;
        assert_eq!(types.iter().filter(|type_| *type_ == "atomic_executed").count(), 1);
    }
    t.stop().await;
}

#[tokio::test]
async fn candidate_set_is_checked_and_kept_as_evidence() {
    let required = ("JARVIS_RUN_COORDINATOR_CANDIDATE_SETS", "required");
    let t = TestServer::start_with(&[TestServer::IDLE[0], required]).await;
    let constraints = json!({"constraints": {"candidates": {"max_candidates_per_subtask": 2}}});
    let run = t.run_start_with("composite.accept", json!({}), constraints).await;
    let chosen = |id: &str| json!({"node_type_id": id, "version": "1.0.0"});
    let set = |types: &[&str]| {
        let candidates: Vec<Value> = types
            .iter()
            .map(|id| json!({"node_type_ref": chosen(id), "score": 0.9, "rationale": "fits"}))
            .collect();
        json!({"candidate_set_id": "set 1", "subtask_id": "S1", "candidates": candidates,
            "generated_at": "2026-01-01T00:00:00Z"})
    };
    let bound = |set: Value| {
        let mut bound = spec("atomic.echo");
        bound["binding_decision"] = json!({"subtask_id": "S1", "candidate_set_id": "set 1", "chosen_node_type_ref": chosen("atomic.echo")});
        if !set.is_null() {
            bound["extensions"] = json!({"jarvis.candidate_set": set});
        }
        bound["idempotency_key"] = json!("one");
        bound
    };
    let create = |specs: Value| json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id, "node_runs": specs});
    let rows = t.journal_rows();
    let runs =
        |rows: &[String]| rows.iter().filter(|row| !row.starts_with("audit")).cloned().collect::<Vec<_>>();
    for (set, code) in [
        (Value::Null, "candidate_set_required"),
        (set(&["atomic.other"]), "candidate_not_in_set"),
        (set(&["atomic.echo", "a", "b"]), "constraint_violation"),
        (json!({"candidate_set_id": "set 2", "subtask_id": "S1", "candidates": []}), "binding_mismatch"),
    ] {
        t.post("/v1/node-runs", &create(json!([bound(set)]))).await.refused(409, code);
    }
    for bad in [json!("a set"), json!({"candidate_set_id": "set 1"}), json!({"filler": "x".repeat(65 << 10)})]
    {
        let answer = t.post("/v1/node-runs", &create(json!([spec("atomic.echo"), bound(bad)]))).await;
        let error = answer.refused(400, "invalid_request");
        let place = json!(["body", "node_runs", 1, "extensions", "jarvis.candidate_set"]);
        assert_eq!(error["details"]["errors"][0]["loc"], place);
    }
    assert_eq!(runs(&t.journal_rows()), runs(&rows), "nothing was created");
    let good = set(&["atomic.other", "atomic.echo"]);
    let created = t.post("/v1/node-runs", &create(json!([bound(good.clone())]))).await.ok();
    assert_eq!(created["node_runs"][0]["extensions"]["jarvis.candidate_set"], good);
    let again = t.post("/v1/node-runs", &create(json!([bound(good)]))).await.ok();
    assert_eq!(again["node_runs"], created["node_runs"]);
    let other = create(json!([bound(set(&["atomic.echo"]))]));
    t.post("/v1/node-runs", &other).await.refused(409, "idempotency_conflict");
    t.stop().await;
}
