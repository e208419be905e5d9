//! Runs of node types that the JARVIS node pack has, and of types that it does not have.

use jarvis_run_coordinator::types::{NodeKind, NodeRunState, RunState};
use jarvis_stack::Part;
use serde_json::{Value, json};

use crate::support::{TestStack, completion_error, echo_type, sleep_type, types};

/// The events of a run whose atomic root was executed.
pub const ATOMIC_RUN: [&str; 7] = [
    "run_started",
    "node_run_assigned",
    "policy_decided",
    "policy_decided",
    "node_evaluated",
    "atomic_executed",
    "run_completed",
];

#[tokio::test]
async fn echo_run_succeeds_with_the_executors_outputs() {
    let t = TestStack::embedded();
    let registry = t.registry();
    // Without a version, the newest one is meant.
    let node_type = registry.get_node_type("jarvis.core.echo", None).await.expect("a type").into_inner();
    let node_type = json!({"node_type_id": node_type.node_type_id, "version": node_type.version});

    let run = t.coordinator.run_start(&node_type, json!({"echo": "hello"})).await;
    assert_eq!(run.state, RunState::Running);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    assert_eq!(root.kind, Some(NodeKind::Atomic), "the registry says so; the id has no prefix");
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"echo": "hello"}));
    assert_eq!(types(&events), ATOMIC_RUN);
    t.executed(&root.node_run_id, 1);
}

#[tokio::test]
async fn unexecutable_node_fails_with_the_reason() {
    let t = TestStack::embedded();
    let cases = [
        // The registry does not know the type, and its prefix names no kind.
        ("jarvis.core.nothing", "unknown_node_kind", "Unable to resolve node kind", 0),
        // The prefix names the kind; the executor has no handler.
        ("atomic.nothing", "unknown_node_type", "Unknown node_type_id: atomic.nothing", 1),
        // The registry says that the type is a composite.
        (
            "jarvis.composite.planner.general",
            "composite_executor_unconfigured",
            "Composite Executor is not configured",
            0,
        ),
    ];
    for (id, code, message, executions) in cases {
        let node_type = json!({"node_type_id": id, "version": "0.3.8"});
        let run = t.coordinator.run_start(&node_type, json!({"goal": "none"})).await;
        let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
        assert_eq!((run.state, root.state), (RunState::Failed, NodeRunState::Failed), "{id}");
        let error = completion_error(&root);
        assert_eq!((&error["code"], &error["message"]), (&json!(code), &json!(message)), "{id}");
        assert_eq!(types(&events).last().expect("events"), "run_completed", "{id}");
        t.executed(&root.node_run_id, executions);
    }
}

#[tokio::test]
async fn failing_handler_fails_the_run_with_its_error() {
    let t = TestStack::embedded();
    let run = t.coordinator.run_start(&echo_type(), json!({"echo": 5})).await;
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Failed, NodeRunState::Failed));
    let error = completion_error(&root);
    assert_eq!(error["code"], "handler_error", "{error}");
    assert_eq!(error["message"], "Atomic handler failed", "{error}");
    assert_eq!(types(&events), ATOMIC_RUN);
}

#[tokio::test]
async fn cancel_stops_the_node_at_the_executor() {
    let t = TestStack::embedded();
    let inputs = json!({"seconds": 600, "duration_seconds": null});
    let run = t.coordinator.run_start(&sleep_type(), inputs).await;
    let root = run.root_node_run_id.clone();
    t.executor_has(&root);

    let canceled = t.coordinator.cancel(&run.run_id).await;
    assert_eq!(canceled.state, RunState::Canceled);
    t.said(Part::AtomicExecutor, "Atomic execute canceled", &root);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Canceled, NodeRunState::Canceled));
    assert_eq!(types(&events).iter().filter(|name| *name == "run_completed").count(), 1);
    t.executed(&root.node_run_id, 1);
}

#[tokio::test]
async fn disallowed_node_type_never_reaches_the_executor() {
    let t = TestStack::embedded();
    let candidates = |list: &str| json!({"constraints": {"candidates": {list: ["jarvis.core.uuid4"]}}});
    let start = async |node_type: &Value, more: Value| {
        let run = t.coordinator.run_start_with(node_type, json!({"echo": "hello"}), more).await;
        t.coordinator.run_ended(&run.run_id).await
    };
    let (run, root, _) = start(&echo_type(), candidates("allowed_node_type_ids")).await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(completion_error(&root)["code"], "node_type_not_allowed");
    assert!(root.executor_binding.is_none());

    let uuid = json!({"node_type_id": "jarvis.core.uuid4", "version": "0.3.8"});
    let (run, denied, _) = start(&uuid, candidates("denied_node_type_ids")).await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(completion_error(&denied)["code"], "node_type_denied");

    // The same lists allow other types. By their end, the log of the executor has all
    // earlier executions.
    let (run, ..) = start(&uuid, candidates("allowed_node_type_ids")).await;
    assert_eq!(run.state, RunState::Succeeded);
    let (run, other, _) = start(&echo_type(), candidates("denied_node_type_ids")).await;
    assert_eq!(run.state, RunState::Succeeded);
    t.said(Part::AtomicExecutor, "Atomic execute succeeded", &other.node_run_id);
    for never in [root, denied] {
        t.executed(&never.node_run_id, 0);
    }
}
