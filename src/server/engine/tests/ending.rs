//! Completing, evaluating, canceling, and time that is up (contract §6.5, §6.8,
//! §6.9, D-06, D-11, D-17).

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, child};
use crate::{
    engine::Rejection,
    record::Job,
    types::{NodeRunState, RunEventType, RunState},
};

use NodeRunState::{Assigned, Canceled, Failed, Queued, Running, Succeeded};

/// A tree with nodes in every state:
///
/// ```text
/// root (running) ─┬─ plan (running) ─┬─ deep (queued composite) ── leaf (queued)
///                 │                  ├─ busy (running)
///                 │                  └─ taken (assigned)
///                 ├─ done (succeeded)
///                 └─ odd (queued, of unknown kind)
/// ```
fn tree() -> World {
    let mut world = World::composite(&Value::Null);
    let odd = child("odd").of("unknown");
    world.create(ROOT, &[child("plan").of("composite.plan"), child("done"), odd]).expect("children");
    world.begin("plan");
    let deep = child("deep").of("composite.plan");
    world.create("plan", &[deep, child("busy"), child("taken")]).expect("grandchildren");
    world.create("deep", &[child("leaf")]).expect("a leaf");
    world.begin("busy");
    world.claim("taken");
    world.begin("done");
    world.answer("done", Succeeded);
    assert_eq!(states(&world), [Running, Running, Queued, Queued, Running, Assigned, Succeeded, Queued]);
    world
}

fn states(world: &World) -> Vec<NodeRunState> {
    [ROOT, "plan", "deep", "leaf", "busy", "taken", "done", "odd"].map(|node| world.state(node)).into()
}

fn called_off(node: &str, executed: bool) -> Value {
    match executed {
        true => json!(["atomic_executed", node, {"state": "canceled"}]),
        false => json!(["atomic_executed", node, {"state": "canceled", "executed": false}]),
    }
}

#[test]
fn a_canceled_run_takes_everything_alive_with_it_deepest_first() {
    let mut world = tree();
    let mark = world.events.len();
    let run = world.cancel(RUN);
    assert_eq!((run.state, run.ended_at), (RunState::Canceled, Some(world.now)));
    assert_eq!(
        states(&world),
        [Canceled, Canceled, Canceled, Canceled, Canceled, Canceled, Succeeded, Canceled]
    );
    assert_eq!(
        world.events_since(mark),
        [
            called_off("leaf", false),
            called_off("busy", true),
            called_off("taken", false),
            json!(["run_completed", null, {"state": "canceled"}]),
        ]
    );
    // Only nodes at an executor have one to notify.
    let notified: Vec<&str> =
        world.nodes.values().filter(|node| node.wake.is_some()).map(|node| node.id().as_str()).collect();
    assert_eq!(notified, ["busy", "plan", ROOT]);
    for node in notified {
        let wake = world.node(node).wake.as_ref().expect("a wake-up");
        assert_eq!((wake.job, wake.at, &wake.claimed_by), (Job::CancelExecutor, world.now, &world.worker));
    }
    assert_eq!(world.run().deadline, None);
}

#[test]
fn a_run_that_is_over_is_canceled_no_more() {
    let mut world = tree();
    world.complete(ROOT, json!({"state": "succeeded"})).expect("completed");
    let before = world.clone();
    let answer = world.cancel(RUN);
    assert_eq!((answer.state, &answer), (RunState::Succeeded, &before.run().run));
    world.now = before.now;
    assert_eq!(world, before);
}

#[test]
fn completed_parent_cancels_its_live_descendants_only() {
    let mut world = tree();
    let mark = world.events.len();
    world.complete("plan", json!({"state": "succeeded", "outputs": {"x": null}})).expect("completed");
    assert_eq!(
        states(&world),
        [Running, Succeeded, Canceled, Canceled, Canceled, Canceled, Succeeded, Queued]
    );
    assert_eq!(
        world.events_since(mark),
        [called_off("leaf", false), called_off("busy", true), called_off("taken", false)]
    );
    assert_eq!(
        (world.job("busy"), world.job("plan")),
        (Some(Job::CancelExecutor), None),
        "plan reports for itself"
    );
    assert_eq!(json!(world.node("plan").node.outputs), json!({"x": null}));
    assert_eq!(world.run().run.state, RunState::Running);

    let mark = world.events.len();
    world
        .complete(ROOT, json!({"state": "failed", "error": {"code": "child_failed", "message": "m"}}))
        .expect("done");
    assert_eq!(world.events_since(mark), [json!(["run_completed", ROOT, {"state": "failed"}])]);
    assert_eq!((world.state("odd"), world.run().run.state), (Canceled, RunState::Failed));
    assert_eq!(world.failure(ROOT), json!(["child_failed", "m"]));
}

#[test]
fn the_same_end_again_is_no_news_and_another_one_is_refused() {
    for state in ["succeeded", "failed", "canceled"] {
        let mut world = World::composite(&Value::Null);
        world.create(ROOT, &[child("a")]).expect("a child");
        world.complete("a", json!({"state": state, "outputs": {"first": true}})).expect("completed");
        let before = world.clone();
        for again in ["succeeded", "failed", "canceled"] {
            let error = json!({"code": "c", "message": "m"});
            let answer =
                world.complete("a", json!({"state": again, "outputs": {"first": false}, "error": error}));
            if again == state {
                assert_eq!(answer, Ok(()));
            } else {
                let rejection = answer.expect_err("another end");
                assert_eq!(rejection, Rejection::NodeRunTerminal(world.state("a")));
                assert_eq!(rejection.code(), "node_run_terminal");
                assert_eq!(rejection.message(), format!("NodeRun is already {state}"));
            }
        }
        world.now = before.now;
        assert_eq!(world, before);
    }
}

#[test]
fn a_node_may_be_completed_in_every_live_state() {
    for prepare in
        [|_: &mut World| {}, |world: &mut World| world.claim("a"), |world: &mut World| _ = world.begin("a")]
    {
        let mut world = World::composite(&Value::Null);
        world.create(ROOT, &[child("a").of("composite.plan")]).expect("a child");
        prepare(&mut world);
        world.complete("a", json!({"state": "succeeded"})).expect("completed");
        assert_eq!((world.state("a"), world.job("a")), (Succeeded, None));
        assert_eq!(world.node("a").node.ended_at, Some(world.now));
    }
}

#[test]
fn atomic_node_completed_by_a_caller_notifies_its_executor() {
    let mut world = tree();
    let mark = world.events.len();
    world.complete("busy", json!({"state": "failed"})).expect("completed");
    assert_eq!(world.job("busy"), Some(Job::CancelExecutor));
    world.complete("taken", json!({"state": "failed"})).expect("completed");
    assert_eq!(world.job("taken"), None, "no executor has it");
    world.complete("odd", json!({"state": "failed"})).expect("completed");
    assert_eq!(
        world.events_since(mark),
        [
            json!(["atomic_executed", "busy", {"state": "failed"}]),
            json!(["atomic_executed", "taken", {"state": "failed", "executed": false}]),
        ],
        "a node of unknown kind is not atomic"
    );
}

#[test]
fn a_completion_says_all_there_is_to_say() {
    let mut world = World::composite(&Value::Null);
    world.complete(ROOT, json!({"state": "succeeded", "extensions": {"acme.x": 1}})).expect("completed");
    let node = &world.node(ROOT).node;
    assert_eq!((&node.outputs, &node.output_artifacts), (&None, &None));
    let extensions = node.extensions.clone().map(Value::from);
    assert_eq!(extensions, Some(json!({"jarvis.owner": {"subject": "caller"}})));
}

#[test]
fn a_late_completion_in_a_canceled_run_is_refused() {
    let mut world = tree();
    world.cancel(RUN);
    assert_eq!(
        world.complete(ROOT, json!({"state": "succeeded"})),
        Err(Rejection::NodeRunTerminal(Canceled))
    );
    assert_eq!(world.complete(ROOT, json!({"state": "canceled"})), Ok(()));
    assert_eq!(world.run().run.state, RunState::Canceled);
    assert_eq!(world.count(RunEventType::RunCompleted), 1);
}

#[test]
fn evaluation_is_recorded_in_every_state() {
    let mut world = tree();
    world.cancel(RUN);
    let mark = world.events.len();
    let not_applied = json!({"jarvis.applied": false});
    let retry = json!({"type": "retry", "target_node_run_id": "busy", "extensions": not_applied});
    let judged = json!({"status": "fail", "reason_code": "r", "details": {"why": null}, "confidence": 0.5});
    world.evaluate("plan", json!({"evaluation_result": judged, "recovery_action": retry}));
    world.evaluate("plan", json!({"evaluation_result": {"status": "success"}, "extensions": {"acme.x": 1}}));
    let abort = json!({"type": "abort", "message": "enough", "extensions": not_applied});
    world.evaluate("plan", json!({"evaluation_result": {"status": "unknown"}, "recovery_action": abort}));
    assert_eq!(
        world.events_since(mark),
        [
            json!(["node_evaluated", "plan", judged]),
            json!(["recovery_applied", "plan", retry]),
            json!(["node_evaluated", "plan", {"status": "success"}]),
            json!(["node_evaluated", "plan", {"status": "unknown"}]),
            json!(["recovery_applied", "plan", abort]),
        ]
    );
    let node = world.node("plan");
    assert_eq!(json!(node.node.evaluation_result), json!({"status": "unknown"}));
    assert_eq!(json!(node.node.recovery_actions), json!([retry, abort]));
    assert_eq!(
        (node.node.state, world.job("plan")),
        (Canceled, Some(Job::CancelExecutor)),
        "nothing else changes"
    );
    let keys: Vec<String> = node.node.extensions.iter().flat_map(|own| own.keys()).collect();
    assert_eq!(keys, ["decomposition_rounds", "jarvis.evaluations"]);
}

#[test]
fn overdue_run_fails_with_its_root_and_cancels_the_rest() {
    let mut world = tree();
    let before = world.clone();
    world.expire_run(RUN);
    world.now = before.now;
    assert_eq!(world, before, "not yet");

    world.wait(world.rules.run_timeout);
    let mark = world.events.len();
    world.expire_run(RUN);
    assert_eq!(
        states(&world),
        [Failed, Canceled, Canceled, Canceled, Canceled, Canceled, Succeeded, Canceled]
    );
    assert_eq!(
        world.events_since(mark),
        [
            called_off("leaf", false),
            called_off("busy", true),
            called_off("taken", false),
            json!(["run_completed", ROOT, {"state": "failed"}]),
        ]
    );
    assert_eq!(world.failure(ROOT), json!(["deadline_exceeded", "Run exceeded its deadline"]));
    assert_eq!(world.job(ROOT), Some(Job::CancelExecutor));
    assert_eq!(world.run().run.state, RunState::Failed);

    let before = world.clone();
    world.expire_run(RUN);
    world.now = before.now;
    assert_eq!(world, before, "once");
}

/// Only why it failed is not written on the root.
#[test]
fn run_with_an_unreadable_root_ends_at_its_deadline() {
    let (mut world, mut whole) = (tree(), tree());
    let mark = world.events.len();
    for (world, readable) in [(&mut world, false), (&mut whole, true)] {
        world.wait(world.rules.run_timeout);
        match readable {
            true => world.expire_run(RUN),
            false => world.expire_run_without_root(RUN),
        }
    }
    assert_eq!((world.events_since(mark), world.run()), (whole.events_since(mark), whole.run()));
    assert_eq!(world.extension(ROOT, "completion_error"), None);
    for (id, node) in &whole.nodes {
        assert_eq!(world.nodes[id].head(), node.head());
    }
}

#[test]
fn a_node_whose_time_is_up_fails_with_everything_below_it() {
    let mut world = tree();
    let before = world.clone();
    world.expire_node("busy");
    world.now = before.now;
    assert_eq!(world, before, "not yet");

    world.wait(world.rules.node_timeout);
    let mark = world.events.len();
    world.expire_node("busy");
    assert_eq!(world.events_since(mark), [json!(["atomic_executed", "busy", {"state": "failed"}])]);
    let error = world.extension("busy", "completion_error").expect("an error");
    assert_eq!(error["code"], "deadline_exceeded");
    let message = error["message"].as_str().expect("a message");
    assert!(message.starts_with("NodeRun exceeded its deadline: attempt 1 was at "), "{message}");
    let details = &error["details"];
    assert_eq!((&details["handed_over"], &details["attempt"]), (&json!(true), &json!(1)));
    assert!(details["first_handed_over_at"].is_string() && details["executor_instance_id"].is_string());
    assert_eq!(world.job("busy"), Some(Job::CancelExecutor));

    world.wait(Duration::from_secs(3600));
    world.expire_node("plan");
    assert_eq!(states(&world), [Running, Failed, Canceled, Canceled, Failed, Canceled, Succeeded, Queued]);
    world.expire_node("odd");
    assert_eq!((world.state("odd"), world.job("odd")), (Failed, None), "no executor ever had it");
    let error = world.extension("odd", "completion_error").expect("an error");
    let message = error["message"].as_str().expect("a message");
    let never = "NodeRun exceeded its deadline: it was never handed to an executor; it waited ";
    assert!(message.starts_with(never) && message.ends_with(" for a free slot of its executor"), "{message}");
    let details = &error["details"];
    assert_eq!((&details["handed_over"], &details["waited_for"]), (&json!(false), &json!("slot")));
    world.expire_node(ROOT);
    assert_eq!((world.run().run.state, world.count(RunEventType::RunCompleted)), (RunState::Failed, 1));
    assert_eq!(world.run().error_code().as_deref(), Some("deadline_exceeded"));
    let last = world.events.last().expect("an event").event.extensions.clone().expect("extensions");
    assert_eq!(last.value("jarvis.error")["node_run_id"], ROOT);
}

#[test]
fn a_run_that_has_lost_its_root_still_ends() {
    let mut world = tree();
    world.nodes.get_mut(&ROOT.into()).expect("the root").node.state = Succeeded;
    world.wait(world.rules.run_timeout);
    world.expire_run(RUN);
    assert_eq!((world.run().run.state, world.state("plan")), (RunState::Failed, Canceled));
    assert_eq!(
        world.events_since(world.events.len() - 1),
        [json!(["run_completed", null, {"state": "failed"}])]
    );
}
