//! Attempts whose process is gone, notifications of their executors, and answers of
//! superseded attempts.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, answered, binding, call_failed, child};
use crate::{
    engine::{Applied, BeginOutcome, CancelNotification, NodeTypeFacts, PolicyOutcome, Work},
    record::{AttemptOutcome, Job, Wake},
    types::{NodeKind, NodeRunState, RunState, SideEffectClass},
};

/// A world with a child `a` of type `t`, at its executor.
fn started(facts: NodeTypeFacts) -> World {
    let mut world = World::composite(&Value::Null);
    world.types.insert("t".into(), facts);
    world.create(ROOT, &[child("a").of("t")]).expect("a child");
    world.begin("a");
    world
}

fn facts(kind: NodeKind, side_effect: Option<SideEffectClass>, idempotent: bool) -> NodeTypeFacts {
    NodeTypeFacts { kind: Some(kind), side_effect, idempotent, ..NodeTypeFacts::default() }
}

fn read_only() -> NodeTypeFacts {
    facts(NodeKind::Atomic, Some(SideEffectClass::Read), false)
}

#[test]
fn lost_attempt_is_repeated_only_if_harmless() {
    use NodeKind::{Atomic, Composite};
    use SideEffectClass::{Irreversible, Read, Write};
    for (kind, side_effect, idempotent, again) in [
        (Atomic, Some(Read), false, true),
        (Atomic, Some(Read), true, true),
        (Atomic, Some(Write), false, false),
        (Atomic, Some(Write), true, true),
        (Atomic, Some(Irreversible), false, false),
        (Atomic, Some(Irreversible), true, true),
        (Atomic, None, false, false),
        (Atomic, None, true, true),
        (Composite, None, false, true),
        (Composite, Some(Irreversible), false, true),
    ] {
        let case = format!("{kind} {side_effect:?} {idempotent}");
        let mut world = started(facts(kind, side_effect, idempotent));
        let mark = world.events.len();
        world.lost("a");
        let lost = world.attempts.last().expect("it is recorded");
        assert_eq!((lost.attempt, &lost.outcome), (1, &AttemptOutcome::Lost), "{case}");
        if again {
            assert_eq!(
                (world.state("a"), world.job("a")),
                (NodeRunState::Running, Some(Job::Dispatch)),
                "{case}"
            );
            let recorded = world.events_since(mark);
            assert_eq!(
                (recorded.len(), &recorded[0][0], &recorded[0][2]["type"]),
                (1, &json!("recovery_applied"), &json!("retry"))
            );
            let BeginOutcome::Started { attempt, .. } = world.dispatch("a") else { panic!("{case}") };
            assert_eq!((attempt.number, world.node("a").attempt), (2, 2));
        } else {
            assert_eq!(
                (world.state("a"), world.job("a")),
                (NodeRunState::Failed, Some(Job::CancelExecutor)),
                "{case}"
            );
            assert_eq!(world.failure("a")[0], "executor_outcome_unknown");
            assert_eq!(world.events_since(mark), [json!(["atomic_executed", "a", {"state": "failed"}])]);
        }
    }
}

#[test]
fn lost_attempts_count_as_retries() {
    let mut world = started(read_only());
    for lost in 1..=world.rules.max_retries {
        world.lost("a");
        assert_eq!((world.job("a"), world.node("a").retries), (Some(Job::Dispatch), lost));
        world.begin("a");
    }
    world.lost("a");
    assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Failed, Some(Job::CancelExecutor)));
    assert_eq!(world.failure("a")[0], "executor_outcome_unknown");
    assert_eq!(world.attempts.last().map(|lost| lost.attempt), Some(world.rules.max_retries + 1));

    // A composite does not fail for this: its executor may be at work.
    let mut world = started(facts(NodeKind::Composite, None, false));
    world.rules.max_retries = 0;
    let (mark, attempts) = (world.events.len(), world.attempts.len());
    world.lost("a");
    assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Running, Some(Job::Deadline)));
    assert_eq!(world.node("a").wake.as_ref().and_then(|wake| wake.claimed_by.clone()), None);
    assert_eq!((world.events.len(), world.attempts.len()), (mark, attempts));
}

#[test]
fn only_an_attempt_under_way_can_be_lost() {
    let mut world = World::composite(&Value::Null);
    world.types.insert("t".into(), read_only());
    world.create(ROOT, &[child("a").of("t")]).expect("a child");
    for step in ["queued", "assigned", "lost already", "over"] {
        match step {
            "assigned" => world.claim("a"),
            "lost already" => {
                world.begin("a");
                world.lost("a");
            }
            "over" => world.complete("a", json!({"state": "canceled"})).expect("completed"),
            _ => {}
        }
        let before = world.clone();
        world.lost("a");
        world.now = before.now;
        assert_eq!(world, before, "{step}");
    }
}

#[test]
fn node_keeps_the_start_time_of_its_first_attempt() {
    let mut world = started(read_only());
    let started_at = world.node("a").node.started_at;
    world.lost("a");
    world.wait(Duration::from_secs(5));
    world.begin("a");
    assert_eq!(world.node("a").node.started_at, started_at);
    let began = started_at.expect("it began");
    assert_eq!(world.node("a").deadline, Some(began + world.rules.node_timeout));
}

#[test]
fn answer_of_an_earlier_attempt_is_recorded_not_applied() {
    let mut world = started(read_only());
    world.lost("a");
    world.begin("a");
    let before = world.clone();
    assert_eq!(world.finish("a", 1, answered(NodeRunState::Failed)), Applied::Late);
    assert_eq!(world.attempts.last().map(|late| late.attempt), Some(1));
    assert_eq!((&world.nodes, &world.events), (&before.nodes, &before.events));
    assert_eq!(world.finish("a", 2, answered(NodeRunState::Succeeded)), Applied::Yes);
    assert_eq!(world.state("a"), NodeRunState::Succeeded);
}

#[test]
fn answer_of_a_lost_attempt_counts_until_the_next_one_starts() {
    let mut world = started(read_only());
    world.lost("a");
    assert_eq!(world.finish("a", 1, answered(NodeRunState::Succeeded)), Applied::Yes);
    assert_eq!(world.begin("a"), BeginOutcome::Superseded, "it is not executed a second time");
}

#[test]
fn lost_node_that_may_not_repeat_is_cancelled_at_its_executor() {
    for outcome in [PolicyOutcome::Deny, PolicyOutcome::RequireApproval] {
        let mut world = started(facts(NodeKind::Composite, None, false));
        world.lost("a");
        assert_eq!(world.begin_with("a", outcome, Ok(binding())), BeginOutcome::Failed);
        assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Failed, Some(Job::CancelExecutor)));
    }
}

#[test]
fn lost_composite_is_assigned_again_while_it_has_no_children() {
    let mut world = World::composite(&Value::Null);
    let silence = world.rules.composite_silence.expect("it is asked about");
    let wake = world.node(ROOT).wake.clone().expect("a wake-up");
    let check_at = world.now + silence;
    assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Deadline, check_at, world.worker.clone()));

    world.create(ROOT, &[child("a")]).expect("a child");
    let waiting = world.node(ROOT).wake.clone().expect("a wake-up");
    assert_eq!(
        (waiting.job, waiting.at, &waiting.claimed_by),
        (Job::Deadline, world.now + silence, &None),
        "unclaimed"
    );

    // Its worker was taken for dead although it lived.
    let recorded = world.attempts.len();
    world.due(ROOT);
    world.lost(ROOT);
    let again = Wake { at: world.now + silence, ..waiting };
    assert_eq!(world.node(ROOT).wake, Some(again), "the silence starts again");
    assert_eq!((world.state(ROOT), world.attempts.len()), (NodeRunState::Running, recorded));
    assert_eq!(world.begin(ROOT), BeginOutcome::Superseded);
}

#[test]
fn lost_composite_is_not_assigned_again_once_it_has_children() {
    let mut world = World::composite(&Value::Null);
    world.lost(ROOT);
    assert_eq!(world.job(ROOT), Some(Job::Dispatch));
    world.create(ROOT, &[child("a")]).expect("a child");
    let wake = world.node(ROOT).wake.clone().expect("a wake-up");
    assert_eq!(
        (wake.job, Some(wake.at), wake.claimed_by),
        (Job::Deadline, world.node(ROOT).waits.check_at, None)
    );
    assert_eq!(world.begin(ROOT), BeginOutcome::Superseded);
}

#[test]
fn executor_is_notified_until_it_acknowledges() {
    let mut world = started(read_only());
    world.cancel(RUN);
    for tries in 1..=3 {
        world.notify("a", Some(Duration::from_secs(2)));
        let wake = world.node("a").wake.clone().expect("a wake-up");
        let at = world.now + Duration::from_secs(2);
        assert_eq!((wake.job, wake.at, wake.claimed_by, wake.tries), (Job::CancelExecutor, at, None, tries));
    }
    world.notify("a", None);
    assert_eq!(world.node("a").wake, None);
    let before = world.node("a").clone();
    world.notify("a", Some(Duration::from_secs(2)));
    assert_eq!(*world.node("a"), before, "there is nothing to tell any more");
    assert_eq!(world.run().run.state, RunState::Canceled);
}

#[test]
fn abandoned_notification_is_in_the_attempt_log() {
    let mut world = started(read_only());
    world.cancel(RUN);
    world.notified("a", CancelNotification::Abandoned("no answer".into()));
    assert_eq!((world.job("a"), world.state("a")), (None, NodeRunState::Canceled));
    let entry = world.attempts.last().expect("an entry");
    assert_eq!((entry.attempt, &entry.outcome), (1, &AttemptOutcome::Fenced));
}

#[test]
fn live_node_has_no_notification() {
    let mut world = started(read_only());
    let before = world.node("a").clone();
    world.notify("a", None);
    assert_eq!(*world.node("a"), before);
    world.finish("a", 1, call_failed(Work::Rejected));
    world.notify("a", Some(Duration::ZERO));
    assert_eq!(world.job("a"), None);
}
