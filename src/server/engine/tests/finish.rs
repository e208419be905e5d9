//! Results of attempts: applied, or too late (contract §9.3, §9.4).

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, answered, call_failed, failed_call, parse};
use crate::{
    engine::{Applied, AttemptResult, FailedCall, Work},
    record::{AttemptOutcome, Job},
    types::{Error, NodeRunState, RunEventType, RunState},
};

fn executed(state: &str) -> Value {
    json!(["atomic_executed", "a", {"state": state}])
}

#[test]
fn answer_is_evaluated_before_the_node_ends() {
    for (state, status) in [
        (NodeRunState::Succeeded, "success"),
        (NodeRunState::Failed, "fail"),
        (NodeRunState::Canceled, "fail"),
    ] {
        let mut world = World::with_child(&Value::Null);
        world.begin("a");
        let mark = world.events.len();
        let error = Error::new("c", "m");
        let artifacts = parse(json!([{"type": "file", "id": "f"}]));
        let AttemptResult::Answered { outputs, .. } = answered(state) else { unreachable!("it is one") };
        let result = AttemptResult::Answered {
            state,
            outputs,
            output_artifacts: Some(artifacts),
            error: Some(error),
            usage: None,
            violations: None,
        };
        assert_eq!(world.finish("a", 1, result), Applied::Yes);
        let evaluation = json!({"status": status, "reason_code": "atomic_completed"});
        let expected = [json!(["node_evaluated", "a", evaluation]), executed(&state.to_string())];
        assert_eq!(world.events_since(mark), expected);
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
fn atomic_root_ends_its_run() {
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
        let last = world.events_since(6);
        assert_eq!(last, [json!(["run_completed", ROOT, {"state": run_state.to_string()}])]);
        assert_eq!((world.run().run.state, world.run().run.ended_at), (run_state, Some(world.now)));
        assert_eq!(world.run().deadline, None);
    }
}

#[test]
fn rejected_call_fails_the_node_without_an_evaluation() {
    for (work, tell) in [(Work::Rejected, false), (Work::Uncertain, true)] {
        let mut world = World::with_child(&Value::Null);
        world.begin("a");
        let mark = world.events.len();
        assert_eq!(world.finish("a", 1, call_failed(work)), Applied::Yes);
        assert_eq!(world.events_since(mark), [executed("failed")]);
        assert_eq!(world.failure("a"), json!(["atomic_executor_unavailable", "no answer"]));
        assert_eq!(world.job("a"), tell.then_some(Job::CancelExecutor), "it may be at work all the same");
        assert_eq!(world.node("a").node.evaluation_result, None);
    }
}

#[test]
fn rejected_composite_cancels_its_children() {
    let mut world = World::with_child(&Value::Null);
    let rejected = Error::new("composite_rejected", "Composite assignment rejected");
    let rejected = FailedCall { error: rejected, ..failed_call(Work::Rejected) };
    world.finish(ROOT, 1, AttemptResult::Failed(rejected));
    assert_eq!((world.state("a"), world.state(ROOT)), (NodeRunState::Canceled, NodeRunState::Failed));
    assert_eq!(world.run().run.state, RunState::Failed);
}

#[test]
fn newest_evaluation_stands_and_events_have_all() {
    let mut world = World::with_child(&Value::Null);
    world.begin("a");
    world.answer("a", NodeRunState::Succeeded);
    world.evaluate("a", json!({"evaluation_result": {"status": "unknown", "confidence": 0.25}}));
    assert_eq!(json!(world.node("a").node.evaluation_result)["status"], json!("unknown"));
    assert_eq!(world.count(RunEventType::NodeEvaluated), 2);
}

#[test]
fn late_result_is_kept_in_the_attempt_log_only() {
    let mut world = World::with_child(&Value::Null);
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
