//! The coordinator is killed while a node is at its executor. The node's type in the
//! registry says whether the node may be executed twice.
//!
//! The Composite Executor 0.3.8 repeats only its polls, so a plan survives only a crash
//! that happens while a step is at work.

use jarvis_run_coordinator::{
    clients::node_registry::types::NodeTypePublishRequest,
    types::{NodeRunState, RunState},
};
use jarvis_stack::{Part, Profile};
use serde_json::json;

use crate::{
    plans::TWO_STEPS,
    support::{TestStack, completion_error, in_both_profiles, sleep_type, types},
};

in_both_profiles! {
    plan_continues_after_a_crash_in_the_middle
}

async fn plan_continues_after_a_crash_in_the_middle(profile: Profile) {
    let t = TestStack::beside(profile, &[Part::Coordinator], |same| same);
    let run = t.coordinator.plan("echo one; sleep 1").await;
    let step = t.executes(&run.run_id, "jarvis.core.sleep");
    // It creates a step only once. Its first poll shows that it has the answer.
    t.said(Part::CompositeExecutor, "HTTP Request: GET", &step);

    t.start(Part::Coordinator);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    let mut expected = TWO_STEPS.to_vec();
    // The attempt is lost, and policy is asked again before the second step is executed
    // again.
    let again = expected.len() - 4;
    expected.splice(again..again, ["recovery_applied", "policy_decided"]);
    assert_eq!(types(&events), expected);
    // The type only reads, and the result of the first execution was lost.
    t.executed(&step, 2);
    t.copies_agree(&run.run_id).await;
}

#[tokio::test]
async fn reading_node_is_executed_again_after_a_crash() {
    let t = TestStack::embedded();
    let seconds = 3.0;
    let inputs = json!({"seconds": seconds, "duration_seconds": null});
    let run = t.coordinator.run_start(&sleep_type(), inputs).await;
    t.executor_has(&run.root_node_run_id);

    t.start(Part::Coordinator);
    let (run, root, events) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON"), json!({"slept_seconds": seconds}));
    t.executed(&root.node_run_id, 2);
    let last = types(&events);
    assert_eq!(last[last.len() - 3..], ["node_evaluated", "atomic_executed", "run_completed"]);
    for once in ["run_started", "node_evaluated", "atomic_executed", "run_completed"] {
        assert_eq!(last.iter().filter(|name| *name == once).count(), 1, "{once}");
    }
}

#[tokio::test]
async fn writing_node_is_not_executed_twice_after_a_crash() {
    let t = TestStack::embedded();
    // The same handler under an older version, which declares that it writes.
    let registry = t.registry();
    let sleeper = registry.get_node_type("jarvis.core.sleep", None).await.expect("a type").into_inner();
    let mut writer = serde_json::to_value(sleeper).expect("JSON");
    writer["version"] = json!("0.0.1");
    writer["extensions"]["jarvis.side_effect"] = json!("write");
    let publication: NodeTypePublishRequest =
        serde_json::from_value(json!({"node_type": writer})).expect("a publication");
    registry.publish_node_type(&publication).await.expect("it is published");

    let node_type = json!({"node_type_id": "jarvis.core.sleep", "version": "0.0.1"});
    let inputs = json!({"seconds": 600, "duration_seconds": null});
    let run = t.coordinator.run_start(&node_type, inputs).await;
    t.executor_has(&run.root_node_run_id);

    t.start(Part::Coordinator);
    let (run, root, _) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Failed, NodeRunState::Failed));
    assert_eq!(completion_error(&root)["code"], "executor_outcome_unknown");
    t.said(Part::AtomicExecutor, "Atomic execute canceled", &root.node_run_id);
    t.executed(&root.node_run_id, 1);
}
