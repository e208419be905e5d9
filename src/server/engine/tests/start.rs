//! Starting a run (contract §6.3).

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, node_type, parse};
use crate::{
    engine::{NodeTypeFacts, PolicyOutcome, Rejection},
    record::{Identity, Job},
    types::{NodeKind, NodeRunState, RunState},
};

fn decided(outcome: &str) -> Value {
    json!(["policy_decided", ROOT, {"action": "run.start", "decision": outcome}])
}

#[test]
fn allowed_run_is_running_and_its_root_is_due() {
    let mut world = World::new();
    let members = json!({
        "run_context": {"tenant_id": "t"},
        "constraints": {"structural": {"max_depth": 2}},
        "metadata": {"labels": {"l": "1"}},
        "extensions": {"acme.note": null}
    });
    let run = world.start(members).expect("a start");
    let now = world.now.to_string();
    let extensions = json!({"acme.note": null, "constraints": {"structural": {"max_depth": 2}},
        "jarvis.metadata": {"labels": {"l": "1"}}, "jarvis.owner": {"subject": "caller"}});
    assert_eq!(
        serde_json::to_value(&run).expect("serializes"),
        json!({
            "run_id": RUN, "state": "running", "root_node_run_id": ROOT, "run_context": {"tenant_id": "t"},
            "started_at": now, "extensions": extensions
        })
    );
    assert_eq!(
        serde_json::to_value(&world.node(ROOT).node).expect("serializes"),
        json!({
            "node_run_id": ROOT, "run_id": RUN, "node_type_ref": node_type("composite.plan"), "kind": "composite",
            "state": "queued", "created_at": now, "inputs": {"goal": "g"}, "extensions": extensions
        })
    );
    assert_eq!(
        world.events_since(0),
        [
            json!(["run_started", null, {"root_node_run_id": ROOT}]),
            json!(["node_run_assigned", ROOT, {"root": true}]),
            decided("allow"),
        ]
    );
    assert_eq!(world.job(ROOT), Some(Job::Dispatch));
    let record = world.run();
    assert_eq!((record.nodes, &record.owner), (1, &Some(Identity::bare("caller"))));
    assert_eq!(record.deadline, Some(world.now + world.rules.run_timeout));
}

#[test]
fn denied_run_has_failed_when_it_is_answered() {
    for (kind, outcome) in [
        ("composite.plan", PolicyOutcome::Deny),
        ("atomic.echo", PolicyOutcome::Deny),
        ("atomic.echo", PolicyOutcome::RequireApproval),
    ] {
        let mut world = World::new();
        let members = json!({"root_node_type_ref": node_type(kind)});
        let run = world.start_as(RUN, ROOT, members, outcome).expect("answered as a run");
        assert_eq!((run.state, run.ended_at), (RunState::Failed, Some(world.now)));
        let mut expected = vec![
            json!(["run_started", null, {"root_node_run_id": ROOT}]),
            json!(["node_run_assigned", ROOT, {"root": true}]),
            decided(outcome.as_str()),
        ];
        if kind == "atomic.echo" {
            expected.push(json!(["atomic_executed", ROOT, {"state": "failed", "executed": false}]));
        }
        expected.push(json!(["run_completed", ROOT, {"state": "failed"}]));
        assert_eq!(world.events_since(0), expected);
        assert_eq!((world.state(ROOT), world.job(ROOT)), (NodeRunState::Failed, None));
        assert_eq!(world.failure(ROOT), json!(["policy_denied", "Run start denied by policy"]));
        let details = &world.extension(ROOT, "completion_error").expect("an error")["details"]["code"];
        assert_eq!(*details == "approval_required", outcome == PolicyOutcome::RequireApproval);
    }
}

#[test]
fn repeated_start_gets_the_run_and_another_one_is_rejected() {
    let mut world = World::new();
    world.start(json!({"constraints": {"structural": {"max_depth": 2}}})).expect("a start");
    world.cancel(RUN);
    let before = world.clone();
    let again = world.start(json!({"constraints": {"structural": {"max_depth": 2}}})).expect("the same");
    assert_eq!(again, before.run().run);
    for other in [Value::Null, json!({"input": {"goal": "another"}})] {
        let refused = world.start(other).expect_err("another request");
        assert_eq!(refused, Rejection::RunAlreadyExists);
        assert_eq!(
            (refused.code(), refused.message().as_str()),
            ("run_already_exists", "Run already exists.")
        );
    }
    world.now = before.now;
    assert_eq!(world, before);
}

#[test]
fn run_keeps_given_constraints_and_root_the_merged_ones() {
    let mut world = World::new();
    let of_type = parse(json!({"structural": {"max_depth": 1}, "extensions": {"a.b": 1}}));
    let facts = NodeTypeFacts {
        kind: Some(NodeKind::Composite),
        constraints: Some(of_type),
        ..NodeTypeFacts::default()
    };
    world.types.insert("planner".into(), facts);
    let members =
        json!({"root_node_type_ref": node_type("planner"), "constraints": {"structural": {"max_depth": 4}}});
    world.start(members).expect("a start");
    let of_run = world.run().run.extensions.clone().map(Value::from);
    let owner = json!({"subject": "caller"});
    assert_eq!(of_run, Some(json!({"constraints": {"structural": {"max_depth": 4}}, "jarvis.owner": owner})));
    assert_eq!(world.extension(ROOT, "constraints"), Some(json!({"structural": {"max_depth": 1}})));
}

#[test]
fn empty_constraints_are_kept_on_the_run_only() {
    let mut world = World::new();
    world.start(json!({"constraints": {}})).expect("a start");
    let of_run = world.run().run.extensions.clone().map(Value::from);
    let of_root = world.node(ROOT).node.extensions.clone().map(Value::from);
    let owner = json!({"jarvis.owner": {"subject": "caller"}});
    assert_eq!(of_root.as_ref(), Some(&owner));
    let mut both = owner;
    both["constraints"] = json!({});
    assert_eq!(of_run, Some(both));
}

#[test]
fn run_deadline_is_its_budget_within_the_setting() {
    for (budget, expected_ms) in
        [(None, 3_600_000), (Some(5_000), 5_000), (Some(9_999_999), 3_600_000), (Some(0), 0)]
    {
        let mut world = World::new();
        world.start(json!({"constraints": {"budgets": {"max_wall_time_ms": budget}}})).expect("a start");
        let deadline = world.run().deadline.expect("a deadline");
        assert_eq!(deadline.since(world.now).as_millis(), expected_ms, "{budget:?}");
    }
}

#[test]
fn root_of_unknown_kind_is_started_without_one() {
    let mut world = World::new();
    world.start(json!({"root_node_type_ref": node_type("jarvis.core.echo")})).expect("a start");
    assert_eq!((world.node(ROOT).node.kind, world.state(ROOT)), (None, NodeRunState::Queued));
}
