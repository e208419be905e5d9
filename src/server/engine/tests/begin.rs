//! Beginning attempts (contract §9.2, §10).

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, binding, child, node_type, parse};
use crate::{
    engine::{self, Attempt, BeginAttempt, BeginOutcome, NodeTypeFacts, PolicyDecided, PolicyOutcome},
    record::Job,
    types::{Error, JsonObject, NodeKind, NodeRunState, RunEventType, SideEffectClass},
};

#[test]
fn allowed_node_goes_to_its_executor() {
    let mut world = World::with_child(&Value::Null);
    let mark = world.events.len();
    let BeginOutcome::Started { attempt, deadline, allowance: _ } = world.dispatch("a") else {
        panic!("it may be executed")
    };
    assert_eq!(attempt, Attempt { number: 1, started_at: world.now });
    assert_eq!(deadline, world.now + world.rules.node_timeout);
    let node = world.node("a");
    assert_eq!((node.node.state, node.node.started_at), (NodeRunState::Running, Some(world.now)));
    assert_eq!(node.node.executor_binding, Some(binding()));
    assert_eq!((node.attempt, node.deadline), (1, Some(deadline)));
    let wake = node.wake.as_ref().expect("a wake-up");
    assert_eq!((wake.job, wake.at, &wake.claimed_by), (Job::Deadline, deadline, &world.worker));
    let event = json!(["policy_decided", "a", {"action": "node.run.execute", "decision": "allow"}]);
    assert_eq!(world.events_since(mark), [event]);
}

#[test]
fn type_learned_at_dispatch_brings_its_constraints() {
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
        assert_eq!(world.dispatch("a"), BeginOutcome::Failed);
        assert_eq!(world.failure("a")[0], "node_type_denied", "{of_run}");
    }
}

#[test]
fn node_without_an_executor_fails_after_the_policy_decision() {
    let mut world = World::with_child(&Value::Null);
    let mark = world.events.len();
    let unconfigured = Error::new("atomic_executor_unconfigured", "Atomic Executor is not configured");
    assert_eq!(world.begin_with("a", PolicyOutcome::Allow, Err(unconfigured)), BeginOutcome::Failed);
    assert_eq!(
        world.failure("a"),
        json!(["atomic_executor_unconfigured", "Atomic Executor is not configured"])
    );
    assert_eq!(
        world.events_since(mark),
        [
            json!(["policy_decided", "a", {"action": "node.run.execute", "decision": "allow"}]),
            json!(["atomic_executed", "a", {"state": "failed", "executed": false}]),
        ]
    );
    assert_eq!((world.node("a").attempt, &world.node("a").node.executor_binding), (0, &None));
}

#[test]
fn denied_node_fails_and_the_event_has_the_evidence() {
    for outcome in [PolicyOutcome::Deny, PolicyOutcome::RequireApproval] {
        let mut world = World::with_child(&Value::Null);
        let mark = world.events.len();
        let approval = json!({"approval_id": "ap", "uri": "https://approvals.example/ap"});
        let evidence = JsonObject::of(&json!({"approval_ref": approval, "policy_hash": "h"}));
        let decided = PolicyDecided {
            action: "node.run.execute",
            outcome,
            reason_code: Some("r".into()),
            message: Some("m".into()),
            evidence,
            after: None,
        };
        let command =
            BeginAttempt { facts: NodeTypeFacts::default(), verdict: Ok(decided), executor: Ok(binding()) };
        let decision = engine::attempt_begin(world.view("a"), command, world.cx());
        assert_eq!(world.apply(decision), BeginOutcome::Failed);
        assert_eq!(
            world.events_since(mark),
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
fn kind_found_late_is_stored_even_if_the_node_is_refused() {
    let mut world = World::composite(&json!({"gates": {"side_effect_class": "read"}}));
    world.create(ROOT, &["a", "b", "c", "d"].map(|id| child(id).of("t"))).expect("of unknown kind");
    world.dispatch("a");
    assert_eq!(world.failure("a"), json!(["unknown_node_kind", "Unable to resolve node kind"]));
    assert_eq!(world.count(RunEventType::AtomicExecuted), 0, "its kind is unknown");
    assert_eq!(world.begin("d"), BeginOutcome::Failed, "there is no executor for it");
    assert_eq!(world.failure("d"), world.failure("a"));

    let facts = NodeTypeFacts {
        estimated_usage: None,
        retry: None,
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
        world.events_since(mark),
        [json!(["atomic_executed", "c", {"state": "failed", "executed": false}])]
    );
}

#[test]
fn claimed_node_is_assigned_until_its_attempt_starts() {
    let mut world = World::with_child(&Value::Null);
    let (mark, run_version) = (world.events.len(), world.run().version);
    world.claim("a");
    assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Assigned, Some(Job::Dispatch)));
    assert_eq!((world.events.len(), world.run().version), (mark, run_version), "a claim makes no event");
    let before = world.node("a").clone();
    world.claim("a");
    assert_eq!(*world.node("a"), before);
    world.begin("a");
    assert_eq!(world.state("a"), NodeRunState::Running);
    world.claim("a");
    assert_eq!(world.state("a"), NodeRunState::Running);
}

#[test]
fn started_node_is_not_started_again() {
    let mut world = World::with_child(&Value::Null);
    world.begin("a");
    let before = world.node("a").clone();
    assert_eq!(world.begin("a"), BeginOutcome::Superseded);
    world.retry("a", Duration::from_secs(1));
    assert_eq!(*world.node("a"), before, "a put-off that comes too late");
    assert_eq!(world.begin_with("a", PolicyOutcome::Deny, Ok(binding())), BeginOutcome::Superseded);
    assert_eq!(*world.node("a"), before);
    world.answer("a", NodeRunState::Succeeded);
    let before = world.clone();
    assert_eq!((world.begin("a"), world.dispatch("a")), (BeginOutcome::Superseded, BeginOutcome::Superseded));
    world.retry("a", Duration::from_secs(1));
    assert_eq!((&world.nodes, &world.events), (&before.nodes, &before.events));
}

#[test]
fn late_refusal_changes_nothing() {
    let mut world = World::with_child(&Value::Null);
    world.begin("a");
    let refusal = Error::new("unknown_node_kind", "Unable to resolve node kind");
    let command =
        BeginAttempt { facts: NodeTypeFacts::default(), verdict: Err(refusal), executor: Ok(binding()) };
    let decision = engine::attempt_begin(world.view("a"), command, world.cx());
    assert_eq!((decision.changes, decision.answer), (None, BeginOutcome::Superseded));
}

#[test]
fn cancelled_run_dispatches_nothing() {
    let mut world = World::with_child(&Value::Null);
    world.create(ROOT, &[child("b")]).expect("another child");
    world.claim("b");
    world.cancel(RUN);
    let before = world.clone();
    for node in ["a", "b", ROOT] {
        world.claim(node);
        assert_eq!(world.begin(node), BeginOutcome::Superseded);
    }
    assert!(world.create(ROOT, &[child("c")]).is_err());
    assert_eq!((&world.nodes, &world.events), (&before.nodes, &before.events));
}

#[test]
fn postponed_node_is_unclaimed_and_due_by_its_deadline() {
    let mut world = World::with_child(&Value::Null);
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
fn node_deadline_is_the_shortest_of_all_limits() {
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
