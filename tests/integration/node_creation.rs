//! Creating NodeRuns (contract §6.6, §6.7): the checks and their order, the limits,
//! and what the children and their events say. Idempotency keys: `idempotency`.

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeKind, NodeRunId, NodeRunState, Run, RunId};
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, spec};

fn create(run: &RunId, parent: &NodeRunId, specs: Value) -> Value {
    json!({"run_id": run, "parent_node_run_id": parent, "node_runs": specs})
}

async fn post(t: &TestServer, run: &Run, specs: Value) -> Answer {
    t.post("/v1/node-runs", &create(&run.run_id, &run.root_node_run_id, specs)).await
}

/// Starts a run of a composite with these constraints.
async fn composite(t: &TestServer, constraints: Value) -> Run {
    t.run_start_with("composite.accept", json!({}), json!({ "constraints": constraints })).await
}

/// Each check of the table answers a request that would fail many later checks too.
#[tokio::test]
async fn first_failing_check_decides_the_answer() {
    let t = TestServer::idle().await;
    let tight = json!({"structural": {"max_depth": 0, "max_children_per_composite": 0, "max_total_nodes_per_run": 1,
        "max_decomposition_rounds_per_node": 0}});
    let (run, other) = (composite(&t, tight.clone()).await, composite(&t, tight.clone()).await);
    let (over, bad_run, bad_parent) =
        (composite(&t, tight.clone()).await, composite(&t, tight.clone()).await, composite(&t, tight).await);
    let atomic = t.run_start("atomic.echo", json!({})).await;
    let atomic_over = t.run_start("atomic.echo", json!({})).await;
    let unknown = t.run_start("neither", json!({})).await;
    t.cancel(&atomic_over.run_id).await;
    t.cancel(&over.run_id).await;
    let spoil_run = "UPDATE runs SET body = json_set(body, '$.run.extensions.constraints', 'not constraints')
         WHERE run_id = ?";
    let spoil_node =
        "UPDATE node_runs SET body = json_set(body, '$.node.extensions.constraints', json('[1]'))
         WHERE node_run_id = ?";
    let edits = [(spoil_run, bad_run.run_id.as_str()), (spoil_node, bad_parent.root_node_run_id.as_str())];
    let t = t.tampered(&TestServer::IDLE, &edits).await;
    let live_over = composite(&t, json!({"structural": {"max_children_per_composite": 1}})).await;
    let parent_over =
        t.children(&live_over.run_id, &live_over.root_node_run_id, &[spec("composite.accept")]).await;
    let parent_over = parent_over[0].node_run_id.clone();
    t.complete(&parent_over, "failed").await;

    let missing: NodeRunId = "missing".into();
    let before = t.journal_rows();
    for (run, parent, status, code, message) in [
        (&"nowhere".into(), &missing, 404, "run_not_found", "Run 'nowhere' not found"),
        (&bad_run.run_id, &missing, 409, "constraint_invalid", "Constraints payload is not valid"),
        (&over.run_id, &missing, 404, "parent_node_run_not_found", "Parent NodeRun 'missing' not found"),
        (
            &other.run_id,
            &atomic_over.root_node_run_id,
            409,
            "parent_node_run_mismatch",
            "Parent NodeRun does not belong to the requested run",
        ),
        (
            &atomic.run_id,
            &atomic.root_node_run_id,
            409,
            "parent_node_run_invalid",
            "Parent NodeRun must be composite to create child NodeRuns",
        ),
        (
            &atomic_over.run_id,
            &atomic_over.root_node_run_id,
            409,
            "parent_node_run_invalid",
            "Parent NodeRun must be composite to create child NodeRuns",
        ),
        (
            &unknown.run_id,
            &unknown.root_node_run_id,
            409,
            "parent_node_run_invalid",
            "Parent NodeRun must be composite to create child NodeRuns",
        ),
        (&over.run_id, &over.root_node_run_id, 409, "run_terminal", "Run is already canceled"),
        (
            &live_over.run_id,
            &parent_over,
            409,
            "parent_node_run_terminal",
            "Parent NodeRun is already failed",
        ),
        (
            &bad_parent.run_id,
            &bad_parent.root_node_run_id,
            409,
            "constraint_invalid",
            "Constraints payload is not valid",
        ),
        (
            &run.run_id,
            &run.root_node_run_id,
            409,
            "constraint_violation",
            "max_depth constraint violated for child NodeRuns",
        ),
    ] {
        let answer = t.post("/v1/node-runs", &create(run, parent, json!([spec("atomic.echo")]))).await;
        let error = answer.refused(status, code);
        assert_eq!((&error["message"], &error["retryable"]), (&json!(message), &json!(false)));
        assert_eq!(t.journal_rows(), before, "{code}: a refused request writes nothing");
    }
    t.stop().await;
}

#[tokio::test]
async fn limits_are_checked_in_order_with_their_messages() {
    let t = TestServer::idle().await;
    let mut limits = json!({"max_depth": 0, "max_children_per_composite": 1, "max_total_nodes_per_run": 2,
        "max_decomposition_rounds_per_node": 0});
    // Each round raises the limit that refused the round before.
    for (limit, message) in [
        ("max_depth", "max_depth constraint violated for child NodeRuns"),
        ("max_children_per_composite", "max_children_per_composite constraint violated"),
        ("max_total_nodes_per_run", "max_total_nodes_per_run constraint violated"),
        ("max_decomposition_rounds_per_node", "max_decomposition_rounds_per_node constraint violated"),
    ] {
        let run = composite(&t, json!({ "structural": limits })).await;
        let before = t.journal_rows();
        let answer = post(&t, &run, json!([spec("atomic.echo"), spec("atomic.echo")])).await;
        assert_eq!(answer.refused(409, "constraint_violation")["message"], message);
        assert_eq!(t.journal_rows(), before, "a refused request writes no event and no counter");
        limits[limit] = json!(2 + usize::from(limit == "max_total_nodes_per_run"));
    }
    // A request that reaches the limits exactly is accepted.
    let run = composite(&t, json!({ "structural": limits })).await;
    post(&t, &run, json!([spec("composite.accept"), spec("atomic.echo")])).await.ok();
    t.stop().await;
}

#[tokio::test]
async fn limits_count_across_requests_and_parents() {
    let t = TestServer::idle().await;
    let run = composite(&t, json!({"structural": {"max_total_nodes_per_run": 4, "max_depth": 2}})).await;
    let child = t
        .children(&run.run_id, &run.root_node_run_id, &[spec("composite.accept")])
        .await
        .remove(0)
        .node_run_id;
    let deep = t.children(&run.run_id, &child, &[spec("composite.accept")]).await.remove(0).node_run_id;
    let refused = |parent: &NodeRunId, specs: Value| {
        let body = create(&run.run_id, parent, specs);
        let t = &t;
        async move { t.post("/v1/node-runs", &body).await.refused(409, "constraint_violation")["message"].clone() }
    };
    assert_eq!(
        refused(&deep, json!([spec("atomic.echo")])).await,
        "max_depth constraint violated for child NodeRuns"
    );
    let two = json!([spec("atomic.echo"), spec("atomic.echo")]);
    assert_eq!(refused(&child, two).await, "max_total_nodes_per_run constraint violated");
    t.children(&run.run_id, &child, &[spec("atomic.echo")]).await;
    let one = json!([spec("atomic.echo")]);
    assert_eq!(refused(&run.root_node_run_id, one).await, "max_total_nodes_per_run constraint violated");

    let run = composite(&t, json!({"structural": {"max_decomposition_rounds_per_node": 2}})).await;
    for rounds in 1..=2 {
        post(&t, &run, json!([spec("atomic.echo"), spec("atomic.echo")])).await.ok();
        let extensions = t.node_run(&run.root_node_run_id).await.extensions.expect("extensions");
        assert_eq!(
            extensions.value("decomposition_rounds"),
            rounds,
            "a round is one request with any number of children"
        );
    }
    post(&t, &run, json!([spec("atomic.echo")])).await.refused(409, "constraint_violation");
    t.stop().await;
}

#[tokio::test]
async fn childs_own_limits_bind_its_children() {
    let t = TestServer::idle().await;
    let run = composite(&t, json!({"structural": {"max_children_per_composite": 3}})).await;
    let mut narrow = spec("composite.accept");
    narrow["constraints"] = json!({"structural": {"max_children_per_composite": 1},
        "candidates": {"denied_node_type_ids": ["b"]}});
    let mut wide = spec("composite.accept");
    wide["constraints"] = json!({"structural": {"max_children_per_composite": 100}});
    let children = t.children(&run.run_id, &run.root_node_run_id, &[narrow, wide]).await;
    let own = |index: usize| children[index].extensions.clone().expect("extensions").value("constraints");
    let structural = json!({"max_children_per_composite": 1});
    assert_eq!(own(0), json!({"structural": structural, "candidates": {"denied_node_type_ids": ["b"]}}));
    assert_eq!(own(1)["structural"]["max_children_per_composite"], 3, "a child can only narrow");
    let two = json!([spec("composite.accept"), spec("composite.accept")]);
    let refused = t.post("/v1/node-runs", &create(&run.run_id, &children[0].node_run_id, two)).await;
    refused.refused(409, "constraint_violation");
    // Grandchildren inherit the constraints (D-14).
    let deep = t.children(&run.run_id, &children[0].node_run_id, &[spec("composite.accept")]).await;
    assert_eq!(deep[0].extensions.clone().expect("extensions").value("constraints"), own(0));
    t.stop().await;
}

#[tokio::test]
async fn concurrent_creates_respect_the_limit_exactly() {
    let t = TestServer::start().await;
    let run = composite(&t, json!({"structural": {"max_children_per_composite": 3}})).await;
    let answers = join_all((0..10).map(|_| post(&t, &run, json!([spec("atomic.echo")])))).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((good.len(), bad.len()), (3, 7));
    for answer in bad {
        let error = answer.refused(409, "constraint_violation");
        assert_eq!(error["message"], "max_children_per_composite constraint violated");
    }
    for answer in good {
        let child = answer.ok()["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned();
        t.node_run_in(&child.as_str().into(), NodeRunState::Succeeded).await;
        assert_eq!(t.executors.executions(&child), 1);
    }
    let types = t.event_types(&run.run_id).await;
    let count = |wanted: &str| types.iter().filter(|type_| *type_ == wanted).count();
    assert_eq!(
        (count("composite_decomposed"), count("node_run_assigned"), count("atomic_executed")),
        (3, 1 + 3, 3)
    );
    t.stop().await;
}

#[tokio::test]
async fn children_and_their_events_follow_the_request_order() {
    let t = TestServer::idle().await;
    let run = composite(&t, json!({})).await;
    let chosen = json!({"node_type_id": "atomic.echo", "version": "1.0.0"});
    let binding = json!({"subtask_id": "S1", "candidate_set_id": "set 1", "chosen_node_type_ref": chosen,
        "rationale": "it fits"});
    let mut bound = spec("atomic.echo");
    bound["binding_decision"] = binding.clone();
    bound["requested_executor_instance_id"] = json!("me");
    let mut offered = spec("composite.accept");
    offered["candidate_set_id"] = json!("set 2");
    offered["metadata"] = json!({"labels": {"a": "b"}});
    let children = t.children(&run.run_id, &run.root_node_run_id, &[spec("neither"), bound, offered]).await;
    let kinds: Vec<_> = children.iter().map(|child| child.kind).collect();
    assert_eq!(kinds, [None, Some(NodeKind::Atomic), Some(NodeKind::Composite)]);
    assert!(children.iter().all(|child| child.parent_node_run_id == Some(run.root_node_run_id.clone())));
    let extensions: Vec<Value> = children.iter().map(|child| json!(child.extensions)).collect();
    let of_bound = json!({"binding_decision": binding, "candidate_set_id": "set 1",
        "jarvis.requested_executor_instance_id": "me"});
    let of_offered = json!({"candidate_set_id": "set 2", "jarvis.metadata": {"labels": {"a": "b"}}});
    assert_eq!(extensions, [Value::Null, of_bound, of_offered]);

    let events = t.events(&run.run_id).await;
    let seen: Vec<Value> =
        events[3..].iter().map(|event| json!([event.type_, event.node_run_id, event.data])).collect();
    let root = &run.root_node_run_id;
    let assigned = |index: usize| json!(["node_run_assigned", children[index].node_run_id, {"parent_node_run_id": root}]);
    let candidates = |index: usize, set: &str, subtask: Value| {
        let data = json!({"candidate_set_id": set, "subtask_id": subtask});
        json!(["candidate_set_generated", children[index].node_run_id, data])
    };
    assert_eq!(
        seen,
        [
            json!(["composite_decomposed", root, {"node_run_count": 3}]),
            assigned(0),
            assigned(1),
            json!(["subtask_mapped", children[1].node_run_id, binding]),
            candidates(1, "set 1", json!("S1")),
            assigned(2),
            candidates(2, "set 2", Value::Null),
        ]
    );
    t.stop().await;
}

#[tokio::test]
async fn binding_decision_must_match_its_spec() {
    let t = TestServer::idle().await;
    let run = composite(&t, json!({})).await;
    let before = t.journal_rows();
    let chosen = |id: &str, version: &str| json!({"node_type_id": id, "version": version});
    for (chosen, bound_set, member) in [
        (chosen("atomic.fail", "1.0.0"), "set", "node_type_ref"),
        (chosen("atomic.echo", "2"), "set", "node_type_ref"),
        (chosen("atomic.echo", "1.0.0"), "another set", "candidate_set_id"),
    ] {
        let mut bad = spec("atomic.echo");
        bad["candidate_set_id"] = json!("set");
        bad["binding_decision"] =
            json!({"subtask_id": "S1", "chosen_node_type_ref": chosen, "candidate_set_id": bound_set});
        let error = post(&t, &run, json!([spec("atomic.echo"), bad])).await.refused(409, "binding_mismatch");
        assert_eq!(error["message"], format!("binding_decision does not agree with {member}"));
        assert_eq!(t.journal_rows(), before, "all children or none");
    }
    t.stop().await;
}
