//! Composites whose executor is silent: when the check is due, and what it decides.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, call_failed, child};
use crate::{
    engine::{BeginOutcome, Contact, DueReason, SilenceOutcome, Work, due_reason},
    record::{AttemptOutcome, Job, Wake},
    time::Timestamp,
    types::{NodeRunState, RunState},
};

const SILENCE: Duration = Duration::from_secs(600);

fn wake_of(world: &World, node: &str) -> Wake {
    world.node(node).wake.clone().expect("a wake-up")
}

/// Time passes until the node's wake-up is due.
fn until_due(world: &mut World, node: &str) {
    let wait = wake_of(world, node).at.since(world.now);
    world.wait(wait);
}

/// Checks the root, whose executor had its last contact that long ago.
fn check(world: &mut World, ago: Duration, live_below: bool) -> SilenceOutcome {
    let heard = Contact { last: world.now - ago, live_below };
    world.check(ROOT, heard)
}

/// A composite root with a child that has ended.
fn with_a_child_that_is_over() -> World {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("a")]).expect("a child");
    world.complete("a", json!({"state": "succeeded"})).expect("completed");
    world
}

#[test]
fn composite_at_its_executor_has_a_check_for_silence() {
    let world = World::composite(&Value::Null);
    let check_at = world.now + SILENCE;
    assert_eq!(world.node(ROOT).waits.check_at, Some(check_at));
    let wake = wake_of(&world, ROOT);
    assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Deadline, check_at, world.worker));

    // A create is a sign of life; after it no lost worker restarts the composite.
    let mut world = with_a_child_that_is_over();
    let wake = wake_of(&world, ROOT);
    assert_eq!(Some(wake.at), world.node(ROOT).waits.check_at);
    assert_eq!((wake.job, wake.claimed_by), (Job::Deadline, None));
    assert!(wake.at > check_at);

    world.cancel(RUN);
    assert_eq!(world.job(ROOT), Some(Job::CancelExecutor));
}

#[test]
fn atomic_nodes_and_short_composites_have_no_check() {
    let world = World::atomic();
    assert_eq!(
        (wake_of(&world, ROOT).at, world.node(ROOT).waits.check_at),
        (world.node(ROOT).deadline.expect("a deadline"), None)
    );
    let world = World::composite(&json!({"budgets": {"max_wall_time_ms": 600_000}}));
    assert_eq!(
        (Some(wake_of(&world, ROOT).at), world.node(ROOT).waits.check_at),
        (world.node(ROOT).deadline, None)
    );
    let mut world = World::new();
    world.rules.composite_silence = None;
    world.start(json!({})).expect("a start");
    world.begin(ROOT);
    assert_eq!(
        (Some(wake_of(&world, ROOT).at), world.node(ROOT).waits.check_at),
        (world.node(ROOT).deadline, None)
    );
}

#[test]
fn record_tells_why_a_wake_up_is_due() {
    let world = World::composite(&Value::Null);
    let (node, now) = (world.node(ROOT).clone(), world.now);
    let check = node.waits.check_at.expect("a check");
    let deadline = node.deadline.expect("a deadline");
    let moved = |to: Timestamp| {
        let mut node = node.clone();
        let wake = node.wake.as_mut().expect("a wake-up");
        (wake.at, wake.claimed_by) = (to, None);
        node
    };
    assert_eq!(due_reason(&node, check), DueReason::Silence);
    assert_eq!(due_reason(&node, check + SILENCE), DueReason::Silence, "claimed late");
    assert_eq!(due_reason(&node, deadline), DueReason::Deadline);
    // A dead process' wake-up is moved to when its death was noticed.
    assert_eq!(due_reason(&moved(now), now), DueReason::Lost);
    let noticed_late = check + Duration::from_secs(1);
    assert_eq!(due_reason(&moved(noticed_late), noticed_late), DueReason::Lost);
    assert_eq!(due_reason(&moved(deadline), deadline), DueReason::Deadline);
    // The attempt of this process that came to no end.
    assert_eq!(due_reason(&node, now), DueReason::Lost);
}

#[test]
fn recent_contact_postpones_the_check() {
    for children in [false, true] {
        let mut world = match children {
            true => with_a_child_that_is_over(),
            false => World::composite(&Value::Null),
        };
        until_due(&mut world, ROOT);
        let mark = world.events.len();
        let heard = world.now - Duration::from_secs(10);
        assert_eq!(check(&mut world, Duration::from_secs(10), false), SilenceOutcome::Postponed);
        let wake = wake_of(&world, ROOT);
        assert_eq!((wake.job, wake.at), (Job::Deadline, heard + SILENCE));
        // Without children it is lost with the process that has it.
        assert_eq!(wake.claimed_by, world.worker.clone().filter(|_| !children));
        assert_eq!((world.events_since(mark).len(), world.attempts.len()), (0, 0));
    }
}

#[test]
fn live_descendant_postpones_the_check() {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("a")]).expect("a child");
    until_due(&mut world, ROOT);
    assert_eq!(check(&mut world, SILENCE * 3, true), SilenceOutcome::Postponed);
    assert_eq!(wake_of(&world, ROOT).at, world.now + SILENCE);
}

#[test]
fn silent_composite_without_children_restarts_once_then_fails() {
    let mut world = World::composite(&Value::Null);
    until_due(&mut world, ROOT);
    let mark = world.events.len();
    assert_eq!(check(&mut world, SILENCE, false), SilenceOutcome::Restarted);
    let wake = wake_of(&world, ROOT);
    assert_eq!((wake.job, wake.claimed_by, world.state(ROOT)), (Job::Dispatch, None, NodeRunState::Running));
    let attempt = world.attempts.last().expect("it is recorded");
    let AttemptOutcome::Failed { error, .. } = &attempt.outcome else { panic!("{attempt:?}") };
    assert_eq!((attempt.attempt, &*error.code), (1, "composite_executor_silent"));
    let events = world.events_since(mark);
    assert_eq!(
        (events.len(), &events[0][0], &events[0][2]["type"]),
        (1, &json!("recovery_applied"), &json!("retry"))
    );
    assert_eq!(events[0][2]["extensions"]["jarvis.code"], "composite_executor_silent");
    assert_eq!(world.node(ROOT).retries, 0, "what a busy executor may cost is not spent");

    let BeginOutcome::Started { attempt, .. } = world.begin(ROOT) else { panic!("a second attempt") };
    assert_eq!(attempt.number, 2);
    until_due(&mut world, ROOT);
    let mark = world.events.len();
    assert_eq!(check(&mut world, SILENCE, false), SilenceOutcome::Failed);
    assert_eq!((world.state(ROOT), world.job(ROOT)), (NodeRunState::Failed, Some(Job::CancelExecutor)));
    assert_eq!(world.failure(ROOT)[0], "composite_executor_silent");
    assert_eq!(world.run().run.state, RunState::Failed);
    let events = world.events_since(mark);
    assert_eq!([&events[0][2]["type"], &events[1][0]], [&json!("abort"), &json!("run_completed")]);
    assert_eq!(json!(world.node(ROOT).node.recovery_actions)[1], events[0][2]);
    let details = &world.extension(ROOT, "completion_error").expect("an error")["details"];
    assert_eq!((&details["attempt"], &details["children"]), (&json!(2), &json!(0)));
    assert!(details["silent_for_seconds"].as_u64() >= Some(600), "{details}");
}

#[test]
fn silent_composite_without_retries_fails_at_once() {
    let mut with_children = with_a_child_that_is_over();
    let mut without_retries = World::composite(&Value::Null);
    without_retries.rules.max_retries = 0;
    for world in [&mut with_children, &mut without_retries] {
        until_due(world, ROOT);
        assert_eq!(check(world, SILENCE, false), SilenceOutcome::Failed);
        assert_eq!((world.state(ROOT), world.job(ROOT)), (NodeRunState::Failed, Some(Job::CancelExecutor)));
        assert_eq!(world.attempts.len(), 0);
    }
}

#[test]
fn children_created_before_a_restart_cancel_the_restart() {
    let mut world = World::composite(&Value::Null);
    until_due(&mut world, ROOT);
    assert_eq!(check(&mut world, SILENCE, false), SilenceOutcome::Restarted);
    world.create(ROOT, &[child("a")]).expect("a child");
    assert_eq!((world.job(ROOT), wake_of(&world, ROOT).at), (Some(Job::Deadline), world.now + SILENCE));
    assert_eq!(world.begin(ROOT), BeginOutcome::Superseded);
}

#[test]
fn lost_worker_resets_the_check_and_is_no_silence() {
    let mut world = with_a_child_that_is_over();
    until_due(&mut world, ROOT);
    world.due(ROOT);
    assert_eq!(check(&mut world, SILENCE * 3, false), SilenceOutcome::Superseded, "its owner died");
    world.lost(ROOT);
    let wake = wake_of(&world, ROOT);
    assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Deadline, world.now + SILENCE, None));
}

#[test]
fn composite_waits_for_its_deadline_if_checks_are_off() {
    let mut world = World::composite(&Value::Null);
    until_due(&mut world, ROOT);
    world.rules.composite_silence = None;
    assert_eq!(check(&mut world, SILENCE * 3, false), SilenceOutcome::Postponed);
    assert_eq!(Some(wake_of(&world, ROOT).at), world.node(ROOT).deadline);
    assert_eq!(wake_of(&world, ROOT).claimed_by, world.worker);
}

#[test]
fn check_that_is_not_due_changes_nothing() {
    let mut world = World::composite(&Value::Null);
    for step in ["too early", "awaiting a retry", "past its deadline", "over"] {
        match step {
            "awaiting a retry" => {
                _ = world.finish(ROOT, 1, call_failed(Work::NotStarted));
                world.wait(SILENCE);
            }
            "past its deadline" => {
                world.begin(ROOT);
                world.wait(Duration::from_secs(4000));
            }
            "over" => world.expire_node(ROOT),
            _ => {}
        }
        let before = world.clone();
        assert_eq!(check(&mut world, SILENCE * 3, false), SilenceOutcome::Superseded, "{step}");
        world.now = before.now;
        assert_eq!(world, before, "{step}");
    }
}
