//! Nodes about which the policy point cannot be asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, World, child};
use crate::{
    engine::{BeginOutcome, PolicyOutcome},
    record::Job,
    types::{NodeRunState, RunEventType},
};

const WAIT: Duration = Duration::from_secs(2);

fn queued() -> World {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("a")]).expect("a child");
    world.claim("a");
    world
}

#[test]
fn held_node_spends_no_retries_and_is_reported_once() {
    let mut world = queued();
    let mark = world.events.len();
    assert!(world.hold("a", WAIT));
    let since = world.now;
    for tries in 2..5 {
        world.wait(WAIT);
        assert!(!world.hold("a", WAIT), "it is held already");
        let wake = world.node("a").wake.clone().expect("a wake-up");
        assert_eq!((wake.job, wake.claimed_by, wake.tries), (Job::Dispatch, None, tries));
        assert_eq!(wake.at, world.now + WAIT);
    }
    let node = world.node("a").clone();
    assert_eq!((node.node.state, node.retries, node.attempt), (NodeRunState::Assigned, 0, 0));
    assert_eq!(node.waits.held_since, Some(since));
    let events = world.events_since(mark);
    assert_eq!(
        (events.len(), &events[0][0], &events[0][2]["type"]),
        (1, &json!("recovery_applied"), &json!("retry"))
    );
    assert_eq!(events[0][2]["extensions"]["jarvis.code"], "pdp_unavailable");
    assert_eq!(json!(node.node.recovery_actions), json!([events[0][2]]));
}

#[test]
fn second_outage_after_a_decision_is_reported_again() {
    let mut world = queued();
    assert!(world.hold("a", WAIT));
    let BeginOutcome::Started { attempt, .. } = world.begin("a") else { panic!("an attempt") };
    assert_eq!((attempt.number, world.node("a").waits.held_since), (1, None));

    let mut world = queued();
    assert!(world.hold("a", WAIT));
    assert_eq!(
        world.begin_with("a", PolicyOutcome::Deny, Ok(super::support::binding())),
        BeginOutcome::Failed
    );
    assert_eq!(world.failure("a")[0], "policy_denied");

    // A node that waits for a retry is held as well.
    let mut world = World::composite(&Value::Null);
    world.lost(ROOT);
    assert!(world.hold(ROOT, WAIT));
    world.begin(ROOT);
    world.lost(ROOT);
    assert!(world.hold(ROOT, WAIT));
    assert_eq!(world.count(RunEventType::RecoveryApplied), 4);
}

#[test]
fn held_node_fails_at_its_deadline_and_says_why_it_waited() {
    let mut world = queued();
    world.hold("a", Duration::from_secs(9999));
    let since = world.now;
    let deadline = world.node("a").deadline.expect("a deadline");
    assert_eq!(world.node("a").wake.as_ref().map(|wake| wake.at), Some(deadline), "no later");
    world.wait(deadline.since(world.now));
    world.expire_node("a");
    let error = world.extension("a", "completion_error").expect("an error");
    assert_eq!(error["code"], "deadline_exceeded");
    assert_eq!(
        (&error["details"]["code"], &error["details"]["held_since"]),
        (&json!("pdp_unavailable"), &json!(since))
    );
}

#[test]
fn node_that_awaits_no_dispatch_is_not_held() {
    let mut world = queued();
    world.begin("a");
    let before = world.clone();
    assert!(!world.hold("a", WAIT));
    world.now = before.now;
    assert_eq!(world, before);
}
