//! The gates before work is handed over (contract §7.2, §10): lists, ceilings, and
//! the checkpoint for irreversible work.

use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, World, binding, child, decided, keyed, node_type},
};
use crate::{
    engine::{self, BeginOutcome, Gates, NodeTypeFacts, PolicyDecided, PolicyOutcome},
    types::{JsonObject, NodeKind, NodeRunId, NodeRunState, RunState, SideEffectClass},
};

/// The constraints that forbid `atomic.echo`, with the error that it fails with.
fn forbidding() -> [(Value, &'static str, &'static str); 4] {
    let candidates = |candidates: Value| json!({ "candidates": candidates });
    [
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
            json!({"gates": {"side_effect_class": "write"}}),
            "side_effect_not_allowed",
            "NodeType may have irreversible effects; at most write is allowed",
        ),
    ]
}

#[test]
fn forbidden_child_fails_at_its_creation_with_the_reason() {
    for (constraints, code, message) in forbidding() {
        // The child's own constraints; the root stays executable.
        let mut world = World::composite(&Value::Null);
        let mark = world.events.len();
        let forbidden = child("a").key("k").with("constraints", constraints);
        let children = [forbidden.clone(), child("b"), forbidden];
        let answer = world.create(ROOT, &children).expect("accepted");
        let a = &keyed(ROOT, "k");
        assert_eq!((world.state(a), world.job(a)), (NodeRunState::Failed, None), "{code}");
        assert_eq!(world.failure(a), json!([code, message]));
        let parent = json!({"parent_node_run_id": ROOT});
        let expected = [
            json!(["composite_decomposed", ROOT, {"node_run_count": 2}]),
            json!(["node_run_assigned", a, parent]),
            json!(["atomic_executed", a, {"state": "failed", "executed": false}]),
            json!(["node_run_assigned", "b", parent]),
        ];
        assert_eq!(world.events_since(mark), expected, "{code}");
        assert_eq!(world.state("b"), NodeRunState::Queued, "its siblings are not touched");
        assert_eq!(world.run().run.state, RunState::Running, "its parent decides what that means");
        // The answer has it as it is, and so has every repetition.
        let expected: Vec<_> = [a, "b", a].map(|id| world.node(id).node.clone()).into();
        assert_eq!(answer, expected);
        assert_eq!(world.create(ROOT, &children[..1]).expect("a repetition"), expected[..1]);
        assert_eq!(world.dispatch(a), BeginOutcome::Superseded);
        let refused: Vec<_> = world.audit.iter().filter(|record| record.reason.is_some()).collect();
        assert_eq!((refused.len(), refused[0].reason.as_deref()), (1, Some(code)));
        assert_eq!((&refused[0].actor, refused[0].events), (&world.caller, None));
        invariants::each_run(&world);
    }
}

#[test]
fn forbidden_root_ends_its_run_at_the_start() {
    for (constraints, code, message) in forbidding() {
        let mut world = World::new();
        let root = node_type("atomic.echo");
        let run = world.start(json!({"root_node_type_ref": root, "constraints": constraints}));
        assert_eq!(run.expect("a start").state, RunState::Failed, "{code}");
        assert_eq!(world.failure(ROOT), json!([code, message]));
        let kinds: Vec<_> = world.events.iter().map(|record| record.event.type_.to_string()).collect();
        let expected =
            ["run_started", "node_run_assigned", "policy_decided", "atomic_executed", "run_completed"];
        assert_eq!(kinds, expected);
        let reasons: Vec<_> = world.audit.iter().map(|record| record.reason.as_deref()).collect();
        assert_eq!(reasons, [Some(code)]);
        invariants::each_run(&world);
    }
    // A composite has no effect of its own, but it has a type.
    let mut world = World::new();
    let allowed = json!({"candidates": {"allowed_node_type_ids": ["atomic.echo"]}});
    let run = world.start(json!({ "constraints": allowed })).expect("a start");
    assert_eq!(
        (run.state, world.failure(ROOT)[0].as_str()),
        (RunState::Failed, Some("node_type_not_allowed"))
    );
    let mut world = World::new();
    let read = json!({"gates": {"side_effect_class": "read"}});
    assert_eq!(world.start(json!({ "constraints": read })).expect("a start").state, RunState::Running);
}

#[test]
fn approval_that_a_gate_requires_is_demanded_at_the_dispatch() {
    let mut world = World::composite(&Value::Null);
    let gate = json!({"gates": {"require_approval": true}});
    world.create(ROOT, &[child("a").with("constraints", gate)]).expect("a child");
    assert_eq!(world.state("a"), NodeRunState::Queued);
    assert_eq!(world.dispatch("a"), BeginOutcome::Failed);
    let message = "NodeRun requires an approval that it does not have";
    assert_eq!(world.failure("a"), json!(["approval_required", message]));
}

#[test]
fn node_of_an_older_program_fails_at_its_dispatch() {
    let mut world = World::with_child(&Value::Null);
    let id = NodeRunId::new("a");
    let constraints = json!({"constraints": {"candidates": {"denied_node_type_ids": ["atomic.echo"]}}});
    world.nodes.get_mut(&id).expect("a node").node.extensions = Some(JsonObject::of(&constraints));
    let mark = world.events.len();
    assert_eq!(world.dispatch("a"), BeginOutcome::Failed);
    assert_eq!(world.failure("a")[0], "node_type_denied");
    let never_ran = json!(["atomic_executed", "a", {"state": "failed", "executed": false}]);
    assert_eq!(world.events_since(mark), [never_ran]);
}

#[test]
fn type_may_have_effects_up_to_the_ceiling() {
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
fn type_without_declared_effects_counts_as_the_setting_says() {
    for (unknown, ceiling, code) in [
        (SideEffectClass::Irreversible, "write", Some("side_effect_not_allowed")),
        (SideEffectClass::Write, "write", None),
        (SideEffectClass::Write, "read", Some("side_effect_not_allowed")),
        (SideEffectClass::Read, "read", None),
    ] {
        let mut world = World::composite(&json!({"gates": {"side_effect_class": ceiling}}));
        world.rules.gates.unknown_side_effect = unknown;
        world.create(ROOT, &[child("a")]).expect("a child");
        world.dispatch("a");
        assert_eq!(world.failure("a")[0].as_str(), code, "{unknown} under {ceiling}");
        let retry = world.node("a").side_effect;
        assert_eq!(retry, None, "what may be executed twice is what its type declares");
    }
}

#[test]
fn only_atomic_irreversible_nodes_come_to_the_last_checkpoint() {
    let on = Gates { irreversible_checkpoint: true, ..Gates::default() };
    let reads = Gates { unknown_side_effect: SideEffectClass::Read, ..on };
    let mut world = World::with_child(&Value::Null);
    let declared = |class| NodeTypeFacts { side_effect: Some(class), ..NodeTypeFacts::default() };
    for (node, facts, gates, asked) in [
        ("a", NodeTypeFacts::default(), on, true),
        ("a", NodeTypeFacts::default(), reads, false),
        ("a", NodeTypeFacts::default(), Gates::default(), false),
        ("a", declared(SideEffectClass::Irreversible), reads, true),
        ("a", declared(SideEffectClass::Write), on, false),
        (ROOT, declared(SideEffectClass::Irreversible), on, false),
    ] {
        let is_asked = engine::attempt_is_irreversible(world.node(node), &facts, gates);
        assert_eq!(is_asked, asked, "{node} {facts:?} {gates:?}");
    }
    // Each decision is an event, in order; the last one counts.
    let mark = world.events.len();
    let allowed = decided("node.run.execute", PolicyOutcome::Allow);
    let denied = decided("node.run.irreversible", PolicyOutcome::Deny);
    let verdict = PolicyDecided { after: Some(Box::new(allowed)), ..denied };
    world.begin_as("a", Ok(verdict), Ok(binding()));
    let events = world.events_since(mark);
    let decision =
        |action, decision| json!(["policy_decided", "a", {"action": action, "decision": decision}]);
    assert_eq!(events[0], decision("node.run.execute", "allow"));
    assert_eq!(events[1], decision("node.run.irreversible", "deny"));
    assert_eq!(world.failure("a")[0], "policy_denied");
}
