//! Beginning and finishing attempts (contract §9.2 to §9.4, §10).

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{
    ROOT, RUN, World, answered, binding, call_failed, child, count, failed_call, node_type, parse,
};
use crate::{
    engine::{
        self, Applied, Attempt, AttemptResult, BeginAttempt, Begun, FailedCall, NodeTypeFacts, PolicyDecided,
        PolicyOutcome, Work,
    },
    record::{AttemptOutcome, Job},
    types::{Error, JsonObject, NodeKind, NodeRunState, RunEventType, RunState, SideEffectClass},
};

/// A started world with an atomic child `a` under the root.
fn with_child(constraints: &Value) -> World {
    let mut world = World::composite(constraints);
    world.create(ROOT, &[child("a")]).expect("a child");
    world
}

fn executed(state: &str) -> Value {
    json!(["atomic_executed", "a", {"state": state}])
}

#[test]
fn a_node_that_may_be_executed_goes_to_its_executor() {
    let mut world = with_child(&Value::Null);
    let mark = world.events.len();
    let Begun::Go { attempt, deadline } = world.dispatch("a") else { panic!("it may be executed") };
    assert_eq!(attempt, Attempt { number: 1, started_at: world.now });
    assert_eq!(deadline, world.now + world.rules.node_timeout);
    let node = world.node("a");
    assert_eq!((node.node.state, node.node.started_at), (NodeRunState::Running, Some(world.now)));
    assert_eq!(node.node.executor_binding, Some(binding()));
    assert_eq!((node.attempt, node.deadline), (1, Some(deadline)));
    let wake = node.wake.as_ref().expect("a wake-up");
    assert_eq!((wake.job, wake.at, &wake.claimed_by), (Job::Deadline, deadline, &world.lease));
    let event = json!(["policy_decided", "a", {"action": "node.run.execute", "decision": "allow"}]);
    assert_eq!(world.told_since(mark), [event]);
}

#[test]
fn a_type_that_becomes_known_only_at_dispatch_brings_its_constraints() {
    // With and without constraints that the node has from its run.
    for of_run in [json!({"budgets": {"max_steps": 5}}), Value::Null] {
        let mut world = World::composite(&of_run);
        world.create(ROOT, &[child("a").of("later")]).expect("a child");
        assert_eq!(world.node("a").node.kind, None);
        let constraints = json!({"candidates": {"denied_node_type_ids": ["later"]}});
        let facts = NodeTypeFacts {
            kind: Some(NodeKind::Atomic),
            constraints: Some(parse(constraints)),
            ..NodeTypeFacts::default()
        };
        world.types.insert("later".into(), facts);
        assert_eq!(world.dispatch("a"), Begun::Refused);
        assert_eq!(world.failure("a")[0], "node_type_denied", "{of_run}");
    }
}

#[test]
fn a_node_that_must_not_be_executed_fails_with_the_reason() {
    let gates = |gates: Value| json!({ "gates": gates });
    let candidates = |candidates: Value| json!({ "candidates": candidates });
    for (constraints, code, message) in [
        (
            candidates(json!({"allowed_node_type_ids": ["x"], "denied_node_type_ids": ["atomic.echo"]})),
            "node_type_not_allowed",
            "NodeType is not in the allowed candidate set",
        ),
        (
            candidates(
                json!({"allowed_node_type_ids": ["atomic.echo"], "denied_node_type_ids": ["atomic.echo"]}),
            ),
            "node_type_denied",
            "NodeType is denied by candidate constraints",
        ),
        (
            candidates(json!({"allowed_node_type_ids": []})),
            "node_type_not_allowed",
            "NodeType is not in the allowed candidate set",
        ),
        (
            gates(json!({"side_effect_class": "write"})),
            "side_effect_not_allowed",
            "NodeType may have irreversible effects; at most write is allowed",
        ),
        (
            gates(json!({"require_approval": true})),
            "approval_required",
            "NodeRun requires an approval that it does not have",
        ),
    ] {
        // The child's own constraints; the root stays executable.
        let mut world = World::composite(&Value::Null);
        world.create(ROOT, &[child("a").with("constraints", constraints)]).expect("a child");
        let mark = world.events.len();
        assert_eq!(world.dispatch("a"), Begun::Refused);
        assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Failed, None), "{code}");
        assert_eq!(world.failure("a"), json!([code, message]));
        let never_ran = json!(["atomic_executed", "a", {"state": "failed", "executed": false}]);
        assert_eq!(world.told_since(mark), [never_ran], "{code}");
        assert_eq!(world.run().run.state, RunState::Running, "its parent decides what that means");
    }
}

#[test]
fn the_root_is_tested_as_every_node_is() {
    let mut world = World::new();
    let allowed = json!({"candidates": {"allowed_node_type_ids": ["atomic.echo"]}});
    world.start(json!({ "constraints": allowed })).expect("a start");
    let mark = world.events.len();
    assert_eq!(world.dispatch(ROOT), Begun::Refused);
    assert_eq!(world.told_since(mark), [json!(["run_completed", ROOT, {"state": "failed"}])]);
    assert_eq!(world.run().run.state, RunState::Failed);
}

#[test]
fn a_type_may_do_what_the_ceiling_allows() {
    for (class, code) in [
        (SideEffectClass::Read, None),
        (SideEffectClass::Write, None),
        (SideEffectClass::Irreversible, Some("side_effect_not_allowed")),
    ] {
        let mut world = World::composite(&json!({"gates": {"side_effect_class": "write"}}));
        let kind = Some(NodeKind::Atomic);
        world
            .types
            .insert("t".into(), NodeTypeFacts { kind, side_effect: Some(class), ..NodeTypeFacts::default() });
        world.create(ROOT, &[child("a").of("t")]).expect("a child");
        world.dispatch("a");
        assert_eq!(world.failure("a")[0].as_str(), code, "{class}");
    }
}

#[test]
fn without_an_executor_the_node_fails_after_policy_has_been_asked() {
    let mut world = with_child(&Value::Null);
    let mark = world.events.len();
    let unconfigured = Error::new("atomic_executor_unconfigured", "Atomic Executor is not configured");
    assert_eq!(world.begin_with("a", PolicyOutcome::Allow, Err(unconfigured)), Begun::Refused);
    assert_eq!(
        world.failure("a"),
        json!(["atomic_executor_unconfigured", "Atomic Executor is not configured"])
    );
    assert_eq!(
        world.told_since(mark),
        [
            json!(["policy_decided", "a", {"action": "node.run.execute", "decision": "allow"}]),
            json!(["atomic_executed", "a", {"state": "failed", "executed": false}]),
        ]
    );
    assert_eq!((world.node("a").attempt, &world.node("a").node.executor_binding), (0, &None));
}

#[test]
fn a_node_that_policy_denies_fails_and_the_event_has_the_evidence() {
    for outcome in [PolicyOutcome::Deny, PolicyOutcome::RequireApproval] {
        let mut world = with_child(&Value::Null);
        let mark = world.events.len();
        let approval = json!({"approval_id": "ap", "uri": "https://approvals.example/ap"});
        let evidence = JsonObject::of(&json!({"approval_ref": approval, "policy_hash": "h"}));
        let decided = PolicyDecided {
            action: "node.run.execute",
            outcome,
            reason_code: Some("r".into()),
            message: Some("m".into()),
            evidence,
        };
        let command = BeginAttempt { facts: NodeTypeFacts::default(), decided, executor: Ok(binding()) };
        let decision = engine::attempt_begin(world.view("a"), command, &world.rules, &world.lease, world.now);
        assert_eq!(world.apply(decision), Begun::Refused);
        assert_eq!(
            world.told_since(mark),
            [
                json!(["policy_decided", "a", {"action": "node.run.execute", "decision": outcome.as_str(),
                    "reason_code": "r", "message": "m", "approval_ref": approval, "policy_hash": "h"}]),
                json!(["atomic_executed", "a", {"state": "failed", "executed": false}]),
            ]
        );
        assert_eq!(world.failure("a"), json!(["policy_denied", "NodeRun denied by policy"]));
        let details = world.extension("a", "completion_error").expect("an error")["details"].clone();
        let expected = match outcome {
            PolicyOutcome::RequireApproval => {
                json!({"code": "approval_required", "approval_ref": approval, "policy_hash": "h"})
            }
            PolicyOutcome::Allow | PolicyOutcome::Deny => Value::Null,
        };
        assert_eq!(details, expected);
    }
}

#[test]
fn a_kind_that_is_found_late_is_stored_even_if_the_node_is_refused() {
    let mut world = World::composite(&json!({"gates": {"side_effect_class": "read"}}));
    world
        .create(ROOT, &[child("a").of("t"), child("b").of("t"), child("c").of("t")])
        .expect("of unknown kind");
    world.dispatch("a");
    assert_eq!(world.failure("a"), json!(["unknown_node_kind", "Unable to resolve node kind"]));
    assert_eq!(count(&world, RunEventType::AtomicExecuted), 0, "nobody knows that it is atomic");
    assert_eq!(world.begin("b"), Begun::Stale, "nobody knows where it should go");

    let facts = NodeTypeFacts {
        kind: Some(NodeKind::Atomic),
        side_effect: Some(SideEffectClass::Read),
        idempotent: true,
        constraints: None,
    };
    world.types.insert("t".into(), facts.clone());
    world.dispatch("b");
    let node = world.node("b");
    assert_eq!((node.node.state, node.node.kind), (NodeRunState::Running, Some(NodeKind::Atomic)));
    assert_eq!((node.side_effect, node.idempotent), (Some(SideEffectClass::Read), true));

    let mark = world.events.len();
    world.types.insert("t".into(), NodeTypeFacts { side_effect: None, ..facts });
    world.dispatch("c");
    assert_eq!(
        (world.failure("c")[0].as_str(), world.node("c").node.kind),
        (Some("side_effect_not_allowed"), Some(NodeKind::Atomic))
    );
    assert_eq!(
        world.told_since(mark),
        [json!(["atomic_executed", "c", {"state": "failed", "executed": false}])]
    );
}

#[test]
fn a_claimed_node_is_assigned_until_it_is_begun() {
    let mut world = with_child(&Value::Null);
    let (mark, run_version) = (world.events.len(), world.run().version);
    world.claim("a");
    assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Assigned, Some(Job::Dispatch)));
    assert_eq!(
        (world.events.len(), world.run().version),
        (mark, run_version),
        "a claim is nobody's business"
    );
    let before = world.node("a").clone();
    world.claim("a");
    assert_eq!(*world.node("a"), before);
    world.begin("a");
    assert_eq!(world.state("a"), NodeRunState::Running);
    world.claim("a");
    assert_eq!(world.state("a"), NodeRunState::Running);
}

#[test]
fn what_an_executor_answers_is_evaluated_and_then_the_end() {
    for (state, status) in [
        (NodeRunState::Succeeded, "success"),
        (NodeRunState::Failed, "fail"),
        (NodeRunState::Canceled, "fail"),
    ] {
        let mut world = with_child(&Value::Null);
        world.begin("a");
        let mark = world.events.len();
        let error = Error::new("c", "m");
        let artifacts = parse(json!([{"type": "file", "id": "f"}]));
        let AttemptResult::Answered { outputs, .. } = answered(state) else { unreachable!("it is one") };
        let result =
            AttemptResult::Answered { state, outputs, output_artifacts: Some(artifacts), error: Some(error) };
        assert_eq!(world.finish("a", 1, result), Applied::Yes);
        let evaluation = json!({"status": status, "reason_code": "atomic_completed"});
        let expected = [json!(["node_evaluated", "a", evaluation]), executed(&state.to_string())];
        assert_eq!(world.told_since(mark), expected);
        let node = &world.node("a").node;
        assert_eq!((node.state, node.ended_at), (state, Some(world.now)));
        assert_eq!(
            json!([node.outputs, node.output_artifacts]),
            json!([{"answer": 42}, [{"type": "file", "id": "f"}]])
        );
        assert_eq!(json!(node.evaluation_result), evaluation);
        assert_eq!((world.failure("a"), world.job("a")), (json!(["c", "m"]), None));
        assert_eq!(world.run().run.state, RunState::Running);
        assert!(world.attempts.is_empty(), "the node itself says how the attempt ended");
    }
}

#[test]
fn an_atomic_root_ends_its_run() {
    for (state, run_state) in [
        (NodeRunState::Succeeded, RunState::Succeeded),
        (NodeRunState::Failed, RunState::Failed),
        (NodeRunState::Canceled, RunState::Canceled),
    ] {
        let mut world = World::atomic();
        world.answer(ROOT, state);
        let types: Vec<String> = world.events.iter().map(|event| event.event.type_.to_string()).collect();
        assert_eq!(
            types,
            [
                "run_started",
                "node_run_assigned",
                "policy_decided",
                "policy_decided",
                "node_evaluated",
                "atomic_executed",
                "run_completed"
            ]
        );
        let last = world.told_since(6);
        assert_eq!(last, [json!(["run_completed", ROOT, {"state": run_state.to_string()}])]);
        assert_eq!((world.run().run.state, world.run().run.ended_at), (run_state, Some(world.now)));
        assert_eq!(world.run().deadline, None);
    }
}

#[test]
fn a_call_that_was_refused_fails_the_node_without_an_evaluation() {
    for (work, tell) in [(Work::Refused, false), (Work::Doubtful, true)] {
        let mut world = with_child(&Value::Null);
        world.begin("a");
        let mark = world.events.len();
        assert_eq!(world.finish("a", 1, call_failed(work)), Applied::Yes);
        assert_eq!(world.told_since(mark), [executed("failed")]);
        assert_eq!(world.failure("a"), json!(["atomic_executor_unavailable", "no answer"]));
        assert_eq!(world.job("a"), tell.then_some(Job::CancelExecutor), "it may be at work all the same");
        assert_eq!(world.node("a").node.evaluation_result, None);
    }
}

#[test]
fn a_composite_that_its_executor_rejects_takes_its_children_along() {
    let mut world = with_child(&Value::Null);
    let rejected = Error::new("composite_rejected", "Composite assignment rejected");
    let rejected = FailedCall { error: rejected, ..failed_call(Work::Refused) };
    world.finish(ROOT, 1, AttemptResult::Failed(rejected));
    assert_eq!((world.state("a"), world.state(ROOT)), (NodeRunState::Canceled, NodeRunState::Failed));
    assert_eq!(world.run().run.state, RunState::Failed);
}

#[test]
fn the_newest_evaluation_stands_and_the_events_have_all() {
    let mut world = with_child(&Value::Null);
    world.begin("a");
    world.answer("a", NodeRunState::Succeeded);
    world.evaluate("a", json!({"evaluation_result": {"status": "unknown", "confidence": 0.25}}));
    assert_eq!(json!(world.node("a").node.evaluation_result)["status"], json!("unknown"));
    assert_eq!(count(&world, RunEventType::NodeEvaluated), 2);
}

#[test]
fn a_result_that_comes_when_the_node_is_over_is_kept_as_evidence_only() {
    let mut world = with_child(&Value::Null);
    world.begin("a");
    world.cancel(RUN);
    let before = world.clone();
    assert_eq!(world.answer("a", NodeRunState::Succeeded), Applied::Late);
    let outcome = AttemptOutcome::Late { state: NodeRunState::Succeeded, error: None };
    let record = &world.attempts[0];
    assert_eq!((record.node_run_id.as_str(), record.attempt, &record.outcome), ("a", 1, &outcome));
    assert_eq!(record.ended_at, world.now);
    assert_eq!((&world.nodes, &world.runs, &world.events), (&before.nodes, &before.runs, &before.events));

    assert_eq!(world.finish("a", 1, call_failed(Work::Unanswered)), Applied::Late);
    let error = Some(Error::new("atomic_executor_unavailable", "no answer"));
    assert_eq!(world.attempts[1].outcome, AttemptOutcome::Late { state: NodeRunState::Failed, error });
}

#[test]
fn a_begun_node_is_not_begun_again() {
    let mut world = with_child(&Value::Null);
    world.begin("a");
    let before = world.node("a").clone();
    assert_eq!(world.begin("a"), Begun::Stale);
    world.retry("a", Duration::from_secs(1));
    assert_eq!(*world.node("a"), before, "a put-off that comes too late");
    assert_eq!(world.begin_with("a", PolicyOutcome::Deny, Ok(binding())), Begun::Stale);
    assert_eq!(*world.node("a"), before);
    world.answer("a", NodeRunState::Succeeded);
    let before = world.clone();
    assert_eq!((world.begin("a"), world.dispatch("a")), (Begun::Stale, Begun::Stale));
    world.retry("a", Duration::from_secs(1));
    assert_eq!((&world.nodes, &world.events), (&before.nodes, &before.events));
}

#[test]
fn a_refusal_that_comes_too_late_changes_nothing() {
    let mut world = with_child(&Value::Null);
    world.begin("a");
    let refusal = Error::new("unknown_node_kind", "Unable to resolve node kind");
    let facts = NodeTypeFacts::default();
    let decision =
        engine::attempt_refuse(world.view("a"), &facts, refusal, &world.rules, &world.lease, world.now);
    assert_eq!(decision.changes, None);
}

#[test]
fn after_a_cancel_nothing_of_the_run_is_dispatched() {
    let mut world = with_child(&Value::Null);
    world.create(ROOT, &[child("b")]).expect("another child");
    world.claim("b");
    world.cancel(RUN);
    let before = world.clone();
    for node in ["a", "b", ROOT] {
        world.claim(node);
        assert_eq!(world.begin(node), Begun::Stale);
    }
    assert!(world.create(ROOT, &[child("c")]).is_err());
    assert_eq!((&world.nodes, &world.events), (&before.nodes, &before.events));
}

#[test]
fn a_node_that_is_put_off_is_nobodys_until_then_but_not_beyond_its_deadline() {
    let mut world = with_child(&Value::Null);
    world.claim("a");
    for tries in 1..=2 {
        world.retry("a", Duration::from_secs(5));
        let wake = world.node("a").wake.clone().expect("a wake-up");
        assert_eq!(
            (wake.job, wake.at, wake.claimed_by, wake.tries),
            (Job::Dispatch, world.now + Duration::from_secs(5), None, tries)
        );
    }
    world.retry("a", Duration::from_secs(86_400));
    assert_eq!(world.node("a").wake.as_ref().map(|wake| wake.at), world.run().deadline);
    world.begin("a");
    assert_eq!(world.node("a").wake.as_ref().map(|wake| wake.tries), Some(0));
}

#[test]
fn a_nodes_deadline_is_the_shortest_of_all_that_hold() {
    // (run budget, node budget, kind) -> from the beginning of the attempt
    for (of_run, of_node, kind, expected_ms) in [
        (None, None, "atomic.echo", 60_000),
        (None, Some(7_000), "atomic.echo", 7_000),
        (None, Some(90_000), "atomic.echo", 60_000),
        (None, Some(90_000), "composite.plan", 90_000),
        (Some(10_000), None, "atomic.echo", 10_000 - 3),
        (Some(10_000), Some(20_000), "composite.plan", 10_000 - 3),
    ] {
        let mut world = World::composite(&json!({"budgets": {"max_wall_time_ms": of_run}}));
        let constraints = json!({"budgets": {"max_wall_time_ms": of_node}});
        world.create(ROOT, &[child("a").of(kind).with("constraints", constraints)]).expect("a child");
        world.begin("a");
        let deadline = world.node("a").deadline.expect("a deadline");
        assert_eq!(deadline.since(world.now).as_millis(), expected_ms, "{of_run:?} {of_node:?} {kind}");
    }
    let mut world = World::composite(&Value::Null);
    assert_eq!(world.node(ROOT).deadline, world.run().deadline, "a composite has as long as its run");
    world.create(ROOT, &[child("b").with("node_type_ref", node_type("composite.plan"))]).expect("a child");
    assert_eq!(world.node("b").deadline, world.run().deadline);
}
