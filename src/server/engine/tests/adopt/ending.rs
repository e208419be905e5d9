//! Adopted runs and nodes that end, and their events.

use serde_json::{Value, json};

use super::*;

#[test]
fn detached_nodes_are_canceled_and_executors_notified() {
    let nodes = [
        node(ROOT, None, "composite", "running"),
        node("done", Some(ROOT), "composite", "failed"),
        node("below", Some("done"), "composite", "running"),
        node("deep", Some("below"), "atomic", "queued"),
        node("orphan", Some("absent"), "atomic", "running"),
        node("loose", None, "atomic", "queued"),
        node("x", Some("y"), "atomic", "assigned"),
        node("y", Some("x"), "composite", "queued"),
        node("self", Some("self"), "atomic", "queued"),
        node("fine", Some(ROOT), "atomic", "queued"),
    ];
    let (world, changes) = adopted(&stored(&run(json!({})), &nodes, &[]));
    for (id, job, path) in [
        ("below", Some(Job::CancelExecutor), "1.2.3"),
        ("deep", None, "1.2.3.4"),
        ("orphan", Some(Job::CancelExecutor), "1.5"),
        ("loose", None, "1.6"),
        ("x", None, "1.7"),
        ("y", None, "1.7.8"),
        ("self", None, "1.9"),
    ] {
        assert_eq!((world.state(id), world.job(id)), (NodeRunState::Canceled, job), "{id}");
        assert_eq!(world.node(id).path.as_str(), path, "{id}");
        assert!(owes_node(&changes, &id.into()), "in the outbox");
    }
    assert_eq!((world.state("fine"), world.job("fine")), (NodeRunState::Queued, Some(Job::Dispatch)));
    let events = added(&changes);
    assert_eq!(events.len(), 5, "one for each atomic node: {events:?}");
    assert_eq!(events[0], json!(["atomic_executed", "deep", {"state": "canceled", "executed": false}]));
}

#[test]
fn run_ends_with_its_root_or_without_one() {
    let (queued, running) =
        (node(ROOT, None, "composite", "queued"), node(ROOT, None, "composite", "running"));
    let ended = |state: &str| node(ROOT, None, "composite", state);
    let child = node("a", Some(ROOT), "composite", "running");
    let elsewhere = merged(running.clone(), json!({"run_id": "another"}));
    for (case, run_state, nodes, state, completed_by) in [
        ("started", "queued", vec![queued], "running", None),
        ("alive", "running", vec![running.clone(), child.clone()], "running", None),
        ("root done", "running", vec![ended("succeeded"), child.clone()], "succeeded", Some(json!(ROOT))),
        ("root failed", "queued", vec![ended("failed")], "failed", Some(json!(ROOT))),
        ("root canceled", "running", vec![ended("canceled")], "canceled", Some(json!(ROOT))),
        ("no root", "running", vec![child.clone()], "failed", Some(Value::Null)),
        ("no nodes", "running", vec![], "failed", Some(Value::Null)),
        ("root elsewhere", "running", vec![elsewhere], "failed", Some(Value::Null)),
        ("two roots", "running", vec![running.clone(), ended("succeeded")], "running", None),
        ("over", "succeeded", vec![ended("succeeded"), child.clone()], "succeeded", None),
        ("over, but alive", "canceled", vec![running, child], "canceled", None),
    ] {
        let (world, changes) = adopted(&stored(&run(json!({"state": run_state})), &nodes, &[]));
        assert_eq!(world.run().run.state.to_string(), state, "{case}");
        let events = added(&changes);
        let completed: Vec<_> = events.iter().filter(|event| event[0] == "run_completed").collect();
        assert_eq!(completed.first().map(|event| event[1].clone()), completed_by, "{case}");
        assert_eq!(
            events.last().is_some_and(|last| last[0] == "run_completed"),
            completed_by.is_some(),
            "{case}"
        );
        let nothing = ["no nodes", "root elsewhere"].contains(&case);
        assert_eq!(events.iter().any(|event| event[0] == "run_started"), nothing, "{case}");
    }
}

#[test]
fn end_of_a_run_has_one_event() {
    let began = event(1, "run_started", None, json!({}));
    let over = |state: Value| event(9, "run_completed", None, json!({"state": state}));
    let nodes = [node(ROOT, None, "composite", "running")];
    for (run_state, events, state, expected) in [
        // An event, but no record of the end.
        ("running", vec![began.clone(), over(json!("succeeded"))], "succeeded", json!([])),
        ("running", vec![over(json!("running"))], "failed", json!([])),
        ("queued", vec![over(json!(7))], "failed", json!([])),
        // A record, but no event of the end.
        (
            "canceled",
            vec![began.clone()],
            "canceled",
            json!([["run_completed", null, {"state": "canceled"}]]),
        ),
        ("succeeded", vec![began.clone(), over(json!("canceled"))], "succeeded", json!([])),
        // The events of an ended run are gone.
        ("succeeded", vec![], "succeeded", json!([])),
        ("succeeded", vec![event(5, "node_evaluated", Some(ROOT), json!({}))], "succeeded", json!([])),
    ] {
        let (world, changes) = adopted(&stored(&run(json!({"state": run_state})), &nodes, &events));
        assert_eq!(world.run().run.state.to_string(), state, "{run_state} {events:?}");
        assert_eq!(json!(added(&changes)), expected, "{run_state} {events:?}");
        assert_eq!((world.state(ROOT), world.job(ROOT)), (NodeRunState::Canceled, Some(Job::CancelExecutor)));
    }
    let done = [node(ROOT, None, "composite", "succeeded")];
    let (_, changes) = adopted(&stored(&run(json!({"state": "succeeded"})), &done, &[began]));
    assert_eq!(added(&changes), [json!(["run_completed", ROOT, {"state": "succeeded"}])]);
}

#[test]
fn events_keep_their_numbers_and_new_ones_follow() {
    let mut elsewhere = event(3, "run_completed", None, json!({}));
    elsewhere["run_id"] = json!("another");
    let events = [
        event(7, "node_evaluated", Some(ROOT), json!({"status": "fail"})),
        event(0, "run_completed", None, json!({})),
        event(2, "node_evaluated", Some("absent"), json!({"status": "fail"})),
        event(7, "run_completed", None, json!({})),
        elsewhere,
        event(u64::MAX, "run_completed", None, json!({})),
        event(4, "run_started", None, json!({})),
    ];
    let (mut world, changes) =
        adopted(&stored(&run(json!({})), &[node(ROOT, None, "composite", "running")], &events));
    let kept: Vec<_> =
        changes.events.iter().map(|event| (event.event.seq, event.event.type_.to_string())).collect();
    let expected = [(2, "node_evaluated"), (4, "run_started"), (7, "node_evaluated")];
    assert_eq!(kept, expected.map(|(seq, name)| (seq, name.to_owned())));
    world.cancel(RUN);
    assert_eq!(world.events.last().map(|event| event.event.seq), Some(8));
}

#[test]
fn no_start_request_repeats_an_adopted_run() {
    let (mut world, _) = adopted(&stored(&run(json!({})), &[node(ROOT, None, "composite", "running")], &[]));
    assert_eq!(world.start(json!({})).expect_err("it is there").code(), "run_already_exists");
}
