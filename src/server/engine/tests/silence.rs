//! Composites whose executor has gone: when that is asked, and what comes of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, call_failed, child};
use crate::{
    engine::{Begun, Checked, Due, Heard, Work, why_due},
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

/// The check of the root, whose executor was last heard so long ago.
fn check(world: &mut World, ago: Duration, live_below: bool) -> Checked {
    let heard = Heard { at: world.now - ago, live_below };
    world.check(ROOT, heard)
}

/// A composite root with a child that is over.
fn with_a_child_that_is_over() -> World {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("a")]).expect("a child");
    world.complete("a", json!({"state": "succeeded"})).expect("completed");
    world
}

#[test]
fn a_composite_at_its_executor_is_looked_at_when_that_may_have_been_silent() {
    let world = World::composite(&Value::Null);
    let check_at = world.now + SILENCE;
    assert_eq!(world.node(ROOT).waits.check_at, Some(check_at));
    let wake = wake_of(&world, ROOT);
    assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Deadline, check_at, world.lease));

    // A create is a sign of life, and whoever dies, it is waited for.
    let mut world = with_a_child_that_is_over();
    let wake = wake_of(&world, ROOT);
    assert_eq!(Some(wake.at), world.node(ROOT).waits.check_at);
    assert_eq!((wake.job, wake.claimed_by), (Job::Deadline, None));
    assert!(wake.at > check_at);

    world.cancel(RUN);
    assert_eq!(world.job(ROOT), Some(Job::CancelExecutor));
}

#[test]
fn atomic_nodes_and_composites_that_end_before_it_are_never_asked_about() {
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
fn why_a_wake_up_is_due_the_record_says() {
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
    assert_eq!(why_due(&node, check), Due::Silence);
    assert_eq!(why_due(&node, check + SILENCE), Due::Silence, "claimed late");
    assert_eq!(why_due(&node, deadline), Due::Deadline);
    // A dead process' wake-up is moved to when its death was noticed.
    assert_eq!(why_due(&moved(now), now), Due::Lost);
    let noticed_late = check + Duration::from_secs(1);
    assert_eq!(why_due(&moved(noticed_late), noticed_late), Due::Lost);
    assert_eq!(why_due(&moved(deadline), deadline), Due::Deadline);
    // The attempt of this process that came to no end.
    assert_eq!(why_due(&node, now), Due::Lost);
}

#[test]
fn what_was_heard_in_time_puts_the_check_off_until_that_is_old() {
    for children in [false, true] {
        let mut world = match children {
            true => with_a_child_that_is_over(),
            false => World::composite(&Value::Null),
        };
        until_due(&mut world, ROOT);
        let mark = world.events.len();
        let heard = world.now - Duration::from_secs(10);
        assert_eq!(check(&mut world, Duration::from_secs(10), false), Checked::PutOff);
        let wake = wake_of(&world, ROOT);
        assert_eq!((wake.job, wake.at), (Job::Deadline, heard + SILENCE));
        // Without children it is lost with the process that has it.
        assert_eq!(wake.claimed_by, world.lease.clone().filter(|_| !children));
        assert_eq!((world.told_since(mark).len(), world.attempts.len()), (0, 0));
    }
}

#[test]
fn while_something_below_it_lives_nothing_need_be_heard() {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("a")]).expect("a child");
    until_due(&mut world, ROOT);
    assert_eq!(check(&mut world, SILENCE * 3, true), Checked::PutOff);
    assert_eq!(wake_of(&world, ROOT).at, world.now + SILENCE);
}

#[test]
fn a_silent_composite_without_children_is_begun_again_once_and_then_fails() {
    let mut world = World::composite(&Value::Null);
    until_due(&mut world, ROOT);
    let mark = world.events.len();
    assert_eq!(check(&mut world, SILENCE, false), Checked::BegunAgain);
    let wake = wake_of(&world, ROOT);
    assert_eq!((wake.job, wake.claimed_by, world.state(ROOT)), (Job::Dispatch, None, NodeRunState::Running));
    let attempt = world.attempts.last().expect("it is recorded");
    let AttemptOutcome::Failed { error, .. } = &attempt.outcome else { panic!("{attempt:?}") };
    assert_eq!((attempt.attempt, &*error.code), (1, "composite_executor_silent"));
    let told = world.told_since(mark);
    assert_eq!(
        (told.len(), &told[0][0], &told[0][2]["type"]),
        (1, &json!("recovery_applied"), &json!("retry"))
    );
    assert_eq!(told[0][2]["extensions"]["jarvis.code"], "composite_executor_silent");
    assert_eq!(world.node(ROOT).retries, 0, "what a busy executor may cost is not spent");

    let Begun::Go { attempt, .. } = world.begin(ROOT) else { panic!("it is begun again") };
    assert_eq!(attempt.number, 2);
    until_due(&mut world, ROOT);
    let mark = world.events.len();
    assert_eq!(check(&mut world, SILENCE, false), Checked::Failed);
    assert_eq!((world.state(ROOT), world.job(ROOT)), (NodeRunState::Failed, Some(Job::CancelExecutor)));
    assert_eq!(world.failure(ROOT)[0], "composite_executor_silent");
    assert_eq!(world.run().run.state, RunState::Failed);
    let told = world.told_since(mark);
    assert_eq!([&told[0][2]["type"], &told[1][0]], [&json!("abort"), &json!("run_completed")]);
    assert_eq!(json!(world.node(ROOT).node.recovery_actions)[1], told[0][2]);
    let details = &world.extension(ROOT, "completion_error").expect("an error")["details"];
    assert_eq!((&details["attempt"], &details["children"]), (&json!(2), &json!(0)));
    assert!(details["silent_for_seconds"].as_u64() >= Some(600), "{details}");
}

#[test]
fn a_silent_composite_that_may_not_be_begun_again_fails_at_once() {
    let mut with_children = with_a_child_that_is_over();
    let mut without_retries = World::composite(&Value::Null);
    without_retries.rules.max_retries = 0;
    for world in [&mut with_children, &mut without_retries] {
        until_due(world, ROOT);
        assert_eq!(check(world, SILENCE, false), Checked::Failed);
        assert_eq!((world.state(ROOT), world.job(ROOT)), (NodeRunState::Failed, Some(Job::CancelExecutor)));
        assert_eq!(world.attempts.len(), 0);
    }
}

#[test]
fn one_whose_executor_shows_up_while_it_waits_to_be_begun_again_is_waited_for() {
    let mut world = World::composite(&Value::Null);
    until_due(&mut world, ROOT);
    assert_eq!(check(&mut world, SILENCE, false), Checked::BegunAgain);
    world.create(ROOT, &[child("a")]).expect("a child");
    assert_eq!((world.job(ROOT), wake_of(&world, ROOT).at), (Some(Job::Deadline), world.now + SILENCE));
    assert_eq!(world.begin(ROOT), Begun::Stale);
}

#[test]
fn a_lost_process_begins_the_silence_anew_and_is_no_silence() {
    let mut world = with_a_child_that_is_over();
    until_due(&mut world, ROOT);
    world.due(ROOT);
    assert_eq!(check(&mut world, SILENCE * 3, false), Checked::Stale, "its owner died");
    world.lost(ROOT);
    let wake = wake_of(&world, ROOT);
    assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Deadline, world.now + SILENCE, None));
}

#[test]
fn switched_off_it_waits_for_its_deadline() {
    let mut world = World::composite(&Value::Null);
    until_due(&mut world, ROOT);
    world.rules.composite_silence = None;
    assert_eq!(check(&mut world, SILENCE * 3, false), Checked::PutOff);
    assert_eq!(Some(wake_of(&world, ROOT).at), world.node(ROOT).deadline);
    assert_eq!(wake_of(&world, ROOT).claimed_by, world.lease);
}

#[test]
fn what_is_not_due_or_not_waited_for_is_left_alone() {
    let mut world = World::composite(&Value::Null);
    for step in ["too early", "to be handed over again", "past its deadline", "over"] {
        match step {
            "to be handed over again" => {
                _ = world.finish(ROOT, 1, call_failed(Work::NotBegun));
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
        assert_eq!(check(&mut world, SILENCE * 3, false), Checked::Stale, "{step}");
        world.now = before.now;
        assert_eq!(world, before, "{step}");
    }
}
