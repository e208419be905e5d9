//! Creating children: the checks of contract §6.6 in their order, and what an
//! accepted request does.

use serde_json::{Value, json};

use super::support::{Child, ROOT, RUN, World, child, keyed, node_type, parse};
use crate::{
    engine::{Limit, NodeTypeFacts, Rejection},
    record::{Job, NodePath},
    types::{Extensions, NodeKind, NodeRunState, RunEventType, RunId, RunState, SideEffectClass},
};

/// A create request that is in order until faults are built in.
struct Request {
    world: World,
    children: Vec<Child>,
}

impl Request {
    fn new() -> Self {
        let mut world = World::composite(&Value::Null);
        world.create(ROOT, &[child("").key("k")]).expect("a first child");
        Self { world, children: vec![child("new")] }
    }

    fn run_extensions(&mut self) -> &mut Extensions {
        let run = self.world.runs.get_mut(&RunId::new(RUN)).expect("the run");
        run.run.extensions.get_or_insert_default()
    }

    fn limit(&mut self, name: &str, value: u64) {
        let mut constraints = self.run_extensions().get("constraints").unwrap_or(json!({"structural": {}}));
        constraints["structural"][name] = json!(value);
        self.run_extensions().insert("constraints".into(), constraints);
    }

    fn parent(&mut self) -> &mut crate::record::NodeRecord {
        self.world.nodes.get_mut(&ROOT.into()).expect("the root")
    }
}

/// A check of §6.6, how to fail it, and what is answered then.
type Row = (fn(&mut Request), &'static str, &'static str);

/// In the contract's order, without those that need no engine (1 and 3: run and
/// parent exist).
const CHECKS: [Row; 12] = [
    (
        |request| request.run_extensions().insert("constraints".into(), json!("garbage")),
        "constraint_invalid",
        "Constraints payload is not valid",
    ),
    (
        |request| request.parent().node.run_id = "run-2".into(),
        "parent_node_run_mismatch",
        "Parent NodeRun does not belong to the requested run",
    ),
    (
        |request| request.parent().node.kind = Some(NodeKind::Atomic),
        "parent_node_run_invalid",
        "Parent NodeRun must be composite to create child NodeRuns",
    ),
    (
        |request| request.world.runs.get_mut(&RUN.into()).expect("the run").run.state = RunState::Canceled,
        "run_terminal",
        "Run is already canceled",
    ),
    (
        |request| request.parent().node.state = NodeRunState::Failed,
        "parent_node_run_terminal",
        "Parent NodeRun is already failed",
    ),
    (
        |request| {
            let garbage = json!({"structural": {"max_depth": "deep"}});
            request.parent().node.extensions.get_or_insert_default().insert("constraints".into(), garbage);
        },
        "constraint_invalid",
        "Constraints payload is not valid",
    ),
    (
        |request| request.children.insert(0, child("").key("k").with("inputs", json!({"other": true}))),
        "idempotency_conflict",
        "Idempotency key already used for different inputs",
    ),
    (
        |request| {
            let binding = json!({"subtask_id": "S1", "chosen_node_type_ref": node_type("atomic.other")});
            request.children.insert(0, child("misbound").with("binding_decision", binding));
        },
        "binding_mismatch",
        "binding_decision does not agree with node_type_ref",
    ),
    (
        |request| request.limit("max_depth", 0),
        "constraint_violation",
        "max_depth constraint violated for child NodeRuns",
    ),
    (
        |request| request.limit("max_children_per_composite", 1),
        "constraint_violation",
        "max_children_per_composite constraint violated",
    ),
    (
        |request| request.limit("max_total_nodes_per_run", 2),
        "constraint_violation",
        "max_total_nodes_per_run constraint violated",
    ),
    (
        |request| request.limit("max_decomposition_rounds_per_node", 1),
        "constraint_violation",
        "max_decomposition_rounds_per_node constraint violated",
    ),
];

#[test]
fn checks_of_a_create_answer_in_order_and_change_nothing() {
    for (at, (_, code, message)) in CHECKS.iter().enumerate() {
        let mut request = Request::new();
        // This fault and all later ones; built in backwards, so that an earlier
        // one has the last word where two touch the same thing.
        for (fault, ..) in CHECKS[at..].iter().rev() {
            fault(&mut request);
        }
        refused(request, code, message);
    }
}

#[test]
fn each_check_alone_is_enough_to_refuse() {
    for (fault, code, message) in CHECKS {
        let mut request = Request::new();
        fault(&mut request);
        refused(request, code, message);
    }
    let Request { mut world, children } = Request::new();
    assert!(world.create_in(RUN, ROOT, &children).is_ok(), "without a fault it is accepted");
}

fn refused(request: Request, code: &str, message: &str) {
    let Request { mut world, children } = request;
    let before = world.clone();
    let rejection = world.create_in(RUN, ROOT, &children).expect_err(message);
    assert_eq!((rejection.code(), rejection.message().as_str()), (code, message));
    world.now = before.now;
    assert_eq!(world, before, "{code}");
}

#[test]
fn parent_of_unknown_kind_has_children_once_known_composite() {
    let mut world = World::new();
    world.start(json!({"root_node_type_ref": node_type("jarvis.planner")})).expect("a start");
    assert_eq!(world.create(ROOT, &[child("a")]), Err(Rejection::ParentNotComposite));
    let facts = NodeTypeFacts { kind: Some(NodeKind::Composite), ..NodeTypeFacts::default() };
    world.types.insert("jarvis.planner".into(), facts);
    world.create(ROOT, &[child("a")]).expect("a composite may");
}

#[test]
fn limits_may_be_reached_but_not_passed() {
    let mut world = World::composite(&json!({"structural": {"max_children_per_composite": 3}}));
    let accepted = (0..10).filter(|n| world.create(ROOT, &[child(&format!("c{n}"))]).is_ok()).count();
    assert_eq!((accepted, world.node(ROOT).children), (3, 3));

    let mut world = World::composite(&json!({"structural": {"max_total_nodes_per_run": 3}}));
    let many = [child("a"), child("b"), child("c")];
    let total = Rejection::Limit(Limit::MaxTotalNodesPerRun);
    assert_eq!(world.create(ROOT, &many), Err(total.clone()), "the root counts");
    world.create(ROOT, &many[..2]).expect("three in all");
    assert_eq!(world.create(ROOT, &many[2..]), Err(total));

    let mut world = World::composite(&json!({"structural": {"max_decomposition_rounds_per_node": 2}}));
    world.create(ROOT, &[child("a").of("composite.plan"), child("b")]).expect("the first round");
    world.create(ROOT, &[child("c")]).expect("the second round");
    let rounds = Rejection::Limit(Limit::MaxDecompositionRoundsPerNode);
    assert_eq!(world.create(ROOT, &[child("d")]), Err(rounds));
    world.create("a", &[child("e")]).expect("each node has its own rounds");
    assert_eq!(world.extension(ROOT, "decomposition_rounds"), Some(json!(2)));

    let mut world = World::composite(&json!({"structural": {"max_depth": 1}}));
    world.create(ROOT, &[child("a").of("composite.plan")]).expect("depth 1");
    assert_eq!(world.create("a", &[child("b")]), Err(Rejection::Limit(Limit::MaxDepth)));
}

#[test]
fn a_request_that_is_too_large_as_a_whole_is_refused_as_a_whole() {
    let mut world = World::composite(&json!({"structural": {"max_children_per_composite": 2}}));
    world.create(ROOT, &[child("a")]).expect("the first");
    let events = world.events.len();
    assert!(world.create(ROOT, &[child("b"), child("c")]).is_err());
    assert_eq!((world.nodes.len(), world.run().nodes, world.events.len()), (2, 2, events));
    world.create(ROOT, &[child("b")]).expect("there is still room for one");
}

#[test]
fn children_inherit_constraints_and_can_only_narrow_them() {
    let mut world =
        World::composite(&json!({"structural": {"max_depth": 5}, "gates": {"side_effect_class": "write"}}));
    let of_type = parse(json!({"candidates": {"denied_node_type_ids": ["z"]}}));
    let facts = NodeTypeFacts {
        estimated_usage: None,
        retry: None,
        kind: Some(NodeKind::Composite),
        constraints: Some(of_type),
        side_effect: Some(SideEffectClass::Read),
        idempotent: true,
    };
    world.types.insert("planner".into(), facts);
    let of_spec = json!({"structural": {"max_depth": 9, "max_children_per_composite": 1},
        "gates": {"side_effect_class": "irreversible"}});
    world.create(ROOT, &[child("a").of("planner").with("constraints", of_spec)]).expect("a child");
    let stored = json!({
        "structural": {"max_depth": 5, "max_children_per_composite": 1},
        "gates": {"side_effect_class": "write"},
        "candidates": {"denied_node_type_ids": ["z"]}
    });
    assert_eq!(world.extension("a", "constraints"), Some(stored));
    assert_eq!(
        (world.node("a").side_effect, world.node("a").idempotent),
        (Some(SideEffectClass::Read), true)
    );

    let wider =
        json!({"structural": {"max_children_per_composite": 7}, "gates": {"side_effect_class": "read"}});
    world.create("a", &[child("b").with("constraints", wider)]).expect("a grandchild");
    let stored = json!({
        "structural": {"max_depth": 5, "max_children_per_composite": 1},
        "gates": {"side_effect_class": "read"},
        "candidates": {"denied_node_type_ids": ["z"]}
    });
    assert_eq!(world.extension("b", "constraints"), Some(stored), "the parent's own are inherited (G10)");
    let children = Rejection::Limit(Limit::MaxChildrenPerComposite);
    assert_eq!(world.create("a", &[child("c")]), Err(children), "the parent's own limit counts");
}

#[test]
fn events_of_a_round_follow_the_order_of_the_request() {
    let mut world = World::composite(&Value::Null);
    let mark = world.events.len();
    let binding = json!({"subtask_id": "S1", "candidate_set_id": "set-1", "rationale": "best",
        "chosen_node_type_ref": node_type("atomic.echo")});
    let children = [
        child("z").with("binding_decision", binding.clone()),
        child("a").with("candidate_set_id", json!("set-2")),
        child("m"),
    ];
    let answer = world.create(ROOT, &children).expect("three children");
    assert_eq!(answer.iter().map(|node| node.node_run_id.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
    assert_eq!(
        world.events_since(mark),
        [
            json!(["composite_decomposed", ROOT, {"node_run_count": 3}]),
            json!(["node_run_assigned", "z", {"parent_node_run_id": ROOT}]),
            json!(["subtask_mapped", "z", binding]),
            json!(["candidate_set_generated", "z", {"candidate_set_id": "set-1", "subtask_id": "S1"}]),
            json!(["node_run_assigned", "a", {"parent_node_run_id": ROOT}]),
            json!(["candidate_set_generated", "a", {"candidate_set_id": "set-2", "subtask_id": null}]),
            json!(["node_run_assigned", "m", {"parent_node_run_id": ROOT}]),
        ]
    );
    let stored = world.node("z").node.extensions.clone().map(Value::from);
    assert_eq!(stored, Some(json!({"binding_decision": binding, "candidate_set_id": "set-1"})));
    assert_eq!(world.node("m").node.extensions, None);
}

#[test]
fn a_new_child_is_queued_and_due_at_once() {
    let mut world = World::composite(&Value::Null);
    let spec = child("a")
        .with("inputs", json!({"text": null}))
        .with("metadata", json!({"labels": {"l": "1"}}))
        .with("requested_executor_instance_id", json!("executor-9"))
        .with("extensions", json!({"acme.note": {"kept": null}}));
    let [answer] = <[_; 1]>::try_from(world.create(ROOT, &[spec]).expect("a child")).expect("one");
    let stored = world.node("a");
    assert_eq!(answer, stored.node);
    assert_eq!(
        serde_json::to_value(&answer).expect("serializes"),
        json!({
            "node_run_id": "a", "run_id": RUN, "parent_node_run_id": ROOT, "kind": "atomic", "state": "queued",
            "node_type_ref": node_type("atomic.echo"), "inputs": {"text": null}, "created_at": world.now.to_string(),
            "extensions": {"acme.note": {"kept": null}, "jarvis.metadata": {"labels": {"l": "1"}},
                "jarvis.requested_executor_instance_id": "executor-9"}
        })
    );
    let wake = stored.wake.as_ref().expect("a wake-up");
    assert_eq!(
        (wake.job, wake.at, &wake.claimed_by, wake.tries),
        (Job::Dispatch, world.now, &world.worker, 0)
    );
    assert_eq!((stored.path.clone(), stored.deadline), (NodePath::root().child(2), world.run().deadline));
}

#[test]
fn the_binding_must_agree_with_type_and_candidate_set() {
    let bound = |type_ref: Value, set: Option<&str>| json!({"subtask_id": "S", "chosen_node_type_ref": type_ref, "candidate_set_id": set});
    let echo = || node_type("atomic.echo");
    let newer = json!({"node_type_id": "atomic.echo", "version": "2"});
    for (binding, set, expected) in [
        (bound(echo(), None), None, None),
        (bound(echo(), Some("s")), None, None),
        (bound(echo(), None), Some("s"), None),
        (bound(echo(), Some("s")), Some("s"), None),
        (bound(echo(), Some("t")), Some("s"), Some("binding_decision does not agree with candidate_set_id")),
        (bound(newer, None), None, Some("binding_decision does not agree with node_type_ref")),
    ] {
        let mut world = World::composite(&Value::Null);
        let spec = child("a").with("binding_decision", binding.clone()).with("candidate_set_id", json!(set));
        let message = world.create(ROOT, &[spec]).err().map(|rejection| rejection.message());
        assert_eq!(message.as_deref(), expected, "{binding} {set:?}");
    }
}

#[test]
fn queued_composite_may_have_children() {
    let mut world = World::new();
    world.start(Value::Null).expect("a start");
    world.create(ROOT, &[child("").key("k")]).expect("a child");
    assert_eq!(
        (world.state(ROOT), world.state(&keyed(ROOT, "k"))),
        (NodeRunState::Queued, NodeRunState::Queued)
    );
    assert_eq!(world.count(RunEventType::CompositeDecomposed), 1);
}
