//! Runs that an operator holds, and dispatches that are set aside.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, call_failed, child};
use crate::{
    engine::{BeginOutcome, Work},
    record::{Job, Operation},
    types::{NodeRunState, RunState},
};

const HOUR: Duration = Duration::from_secs(3600);

/// A composite with a child at its executor, one that waits for a retry, and one that
/// waits for its dispatch.
fn busy() -> World {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("at work"), child("again"), child("queued")]).expect("children");
    world.begin("at work");
    world.begin("again");
    world.finish("again", 1, call_failed(Work::NotStarted));
    world
}

fn jobs(world: &World) -> [Option<Job>; 3] {
    ["at work", "again", "queued"].map(|node| world.job(node))
}

#[test]
fn held_run_starts_nothing_and_loses_nothing() {
    let mut world = busy();
    assert_eq!(jobs(&world), [Some(Job::Deadline), Some(Job::Dispatch), Some(Job::Dispatch)]);
    let before = (world.node("again").clone(), world.events.len());
    let held = world.hold_run(None).expect("it is held");
    let hold = held.hold.expect("a hold");
    assert_eq!(
        (hold.since, &hold.by, &*hold.reason, hold.until),
        (world.now, &world.caller, "look at it", None)
    );
    assert_eq!(jobs(&world), [Some(Job::Deadline), Some(Job::SetAside), Some(Job::SetAside)]);
    let shown = world.run().run.extensions.as_ref().and_then(|extensions| extensions.get("jarvis.held"));
    assert_eq!(shown, Some(json!(hold)));
    assert_eq!(world.run().run.state, RunState::Running);
    // The wake-up is the deadline: nothing is left without one.
    for node in ["again", "queued"] {
        let (wake, deadline) = (world.node(node).wake.clone().expect("a wake-up"), world.node(node).deadline);
        assert_eq!((Some(wake.at), wake.claimed_by), (deadline, None));
        assert_eq!(world.begin(node), BeginOutcome::Superseded);
    }
    // What goes on: an executor answers, fails, and makes children.
    world.answer("at work", NodeRunState::Succeeded);
    world.create(ROOT, &[child("new")]).expect("a child");
    assert_eq!((world.job("new"), world.begin("new")), (Some(Job::SetAside), BeginOutcome::Superseded));
    let released = world.release_run().expect("it is released");
    assert_eq!(released.hold, None);
    assert!(
        !world.run().run.extensions.as_ref().is_some_and(|extensions| extensions.contains_key("jarvis.held"))
    );
    for node in ["again", "queued", "new"] {
        let wake = world.node(node).wake.clone().expect("a wake-up");
        assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Dispatch, world.now, None), "{node}");
    }
    // No attempt, no retry, no event of its own.
    let (again, events) = before;
    let now = world.node("again");
    assert_eq!((now.attempt, now.retries, now.deadline), (again.attempt, again.retries, again.deadline));
    assert!(world.events.len() > events);
    let started = |outcome| matches!(outcome, BeginOutcome::Started { .. });
    assert!(["again", "queued", "new"].into_iter().all(|node| started(world.begin(node))));
}

/// The journal itself resumes what a pause has set aside, unless the run is held. A hold
/// that is decided before and committed after that has to be a conflict.
#[test]
fn hold_is_decided_on_what_a_pause_has_set_aside() {
    let mut world = busy();
    world.set_aside("queued");
    let version = |world: &World| world.node("queued").version;
    let before = version(&world);
    world.hold_run(None).expect("it is held");
    assert_eq!((world.job("queued"), version(&world)), (Some(Job::SetAside), before + 1));
    // Nothing is resumed of a held run: a change of the hold need not look.
    world.hold_run(Some(world.now + HOUR)).expect("the hold is changed");
    assert_eq!((world.job("queued"), version(&world)), (Some(Job::SetAside), before + 1));
}

#[test]
fn failure_under_a_hold_is_repeated_after_it() {
    let mut world = busy();
    world.hold_run(None).expect("it is held");
    world.finish("at work", 1, call_failed(Work::NotStarted));
    let node = world.node("at work");
    assert_eq!(
        (world.job("at work"), node.retries, node.node.state),
        (Some(Job::SetAside), 1, NodeRunState::Running)
    );
    // The process dies with the composite's call open.
    world.due(ROOT);
    world.lost(ROOT);
    assert_eq!(world.job(ROOT), Some(Job::Deadline), "it has children");
    world.release_run().expect("it is released");
    assert!(matches!(world.begin("at work"), BeginOutcome::Started { .. }));
}

#[test]
fn claim_from_before_a_hold_finds_nothing_to_do() {
    let mut world = busy();
    world.claim("queued");
    assert_eq!(world.state("queued"), NodeRunState::Assigned);
    world.hold_run(None).expect("it is held");
    let held = world.clone();
    world.retry("queued", Duration::from_secs(1));
    world.defer("queued", Duration::from_secs(1));
    assert!(!world.hold("queued", Duration::from_secs(1)));
    assert_eq!(world.begin("queued"), BeginOutcome::Superseded);
    assert_eq!((&world.nodes, &world.runs), (&held.nodes, &held.runs));
}

#[test]
fn hold_is_changed_by_another_and_repeated_without_a_trace() {
    let mut world = busy();
    let first = world.hold_run(None).expect("it is held").hold.expect("a hold");
    let audited = world.audit.len();
    assert_eq!(world.hold_run(None).expect("as it was").hold, Some(first.clone()));
    assert_eq!(world.audit.len(), audited);
    let until = world.now + HOUR;
    let changed = world.hold_run(Some(until)).expect("it is changed").hold.expect("a hold");
    assert_eq!((changed.since, changed.until), (first.since, Some(until)));
    assert_eq!(world.audit.len(), audited + 1);
    let record = world.audit.last().expect("a record");
    assert_eq!(
        (record.operation.as_str(), record.detail()),
        (Operation::HoldRun.as_str(), Some("look at it"))
    );
    world.release_run().expect("it is released");
    world.release_run().expect("it is not held");
    assert_eq!(world.audit.len(), audited + 2);
}

#[test]
fn hold_ends_by_itself() {
    let mut world = busy();
    let until = world.now + HOUR / 4;
    world.hold_run(Some(until)).expect("it is held");
    assert_eq!(world.run().due_at(), Some(until), "the run's wake-up");
    assert!(!world.elapse());
    world.wait(HOUR / 4);
    let audited = world.audit.len();
    assert!(world.elapse());
    assert_eq!((world.run().hold.clone(), world.job("queued")), (None, Some(Job::Dispatch)));
    assert_eq!(world.run().due_at(), world.run().deadline);
    assert_eq!(world.audit.len(), audited, "the coordinator's own rule");
    assert!(!world.elapse());
}

#[test]
fn held_run_ends_as_any_other() {
    type End = fn(&mut World);
    let ends: [(&str, End); 3] = [
        ("canceled", |world| _ = world.cancel(RUN)),
        ("overdue", |world| {
            world.wait(HOUR);
            world.expire_run(RUN);
        }),
        ("completed", |world| world.complete(ROOT, json!({"state": "succeeded"})).expect("completed")),
    ];
    for (name, end) in ends {
        let mut world = busy();
        world.hold_run(None).expect("it is held");
        end(&mut world);
        let run = world.run();
        assert!(run.is_terminal(), "{name}");
        let shown =
            run.run.extensions.as_ref().is_some_and(|extensions| extensions.contains_key("jarvis.held"));
        assert_eq!((run.hold.clone(), shown, run.due_at()), (None, false, None), "{name}");
        assert_eq!((world.job("again"), world.job("queued")), (Some(Job::CancelExecutor), None), "{name}");
        let refused =
            [world.hold_run(None), world.release_run()].map(|again| again.expect_err("it has ended").code());
        assert_eq!(refused, ["run_terminal", "run_terminal"], "{name}");
    }
}

#[test]
fn node_of_a_held_run_ends_at_its_deadline() {
    let mut world = busy();
    world.hold_run(None).expect("it is held");
    world.wait(Duration::from_secs(61));
    world.expire_node("again");
    assert_eq!(world.failure("again")[0], "deadline_exceeded");
}

#[test]
fn paused_dispatch_keeps_its_place_and_costs_nothing() {
    let mut world = busy();
    for node in ["at work", "again", "queued"] {
        let before = world.node(node).clone();
        world.set_aside(node);
        let after = world.node(node);
        assert_eq!((after.attempt, after.retries), (before.attempt, before.retries));
        assert_eq!(after.wake.as_ref().map(|wake| wake.tries), before.wake.as_ref().map(|wake| wake.tries));
    }
    assert_eq!(jobs(&world), [Some(Job::Deadline), Some(Job::SetAside), Some(Job::SetAside)]);
    // A hold that begins and ends meanwhile makes them due: the dispatcher finds
    // the pause again.
    world.hold_run(None).expect("it is held");
    world.resume();
    assert_eq!(world.job("queued"), Some(Job::SetAside), "a held run is not resumed");
    world.release_run().expect("it is released");
    assert_eq!(world.job("queued"), Some(Job::Dispatch));
}
