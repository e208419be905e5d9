//! Handing a node over again: when, how often, and what is on record of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, call_failed, child, failed_call};
use crate::{
    engine::{Applied, AttemptResult, BeginOutcome, FailedCall, NodeTypeFacts, Work},
    record::{AttemptOutcome, Job},
    types::{Error, NodeKind, NodeRunState, RunState, SideEffectClass},
};

/// A world with a child `a` at its executor, which does this to the world.
fn started(side_effect: SideEffectClass, idempotent: bool) -> World {
    let mut world = World::composite(&Value::Null);
    let facts = NodeTypeFacts {
        estimated_usage: None,
        retry: None,
        kind: Some(NodeKind::Atomic),
        side_effect: Some(side_effect),
        idempotent,
        constraints: None,
    };
    world.types.insert("t".into(), facts);
    world.create(ROOT, &[child("a").of("t")]).expect("a child");
    world.begin("a");
    world
}

/// What the NodeRun says about its attempts.
fn attempts(world: &World, node: &str) -> Value {
    json!(world.node(node).node.recovery_actions)
}

#[test]
fn failed_call_is_retried_by_its_work_and_the_nodes_effects() {
    use SideEffectClass::{Irreversible, Read, Write};
    use Work::{NotStarted, Rejected, Unanswered, Uncertain};
    let unknown = Some("executor_outcome_unknown");
    let unavailable = Some("atomic_executor_unavailable");
    for (side_effect, idempotent, work, fails_with) in [
        (Read, false, NotStarted, None),
        (Read, false, Unanswered, None),
        (Read, false, Uncertain, None),
        (Read, false, Rejected, unavailable),
        (Write, true, Unanswered, None),
        (Write, false, NotStarted, None),
        (Write, false, Unanswered, unknown),
        (Write, false, Uncertain, unavailable),
        (Irreversible, false, NotStarted, None),
        (Irreversible, false, Unanswered, unknown),
        (Irreversible, true, Uncertain, None),
        (Irreversible, true, Rejected, unavailable),
    ] {
        let case = format!("{side_effect} {idempotent} {work:?}");
        let mut world = started(side_effect, idempotent);
        assert_eq!(world.finish("a", 1, call_failed(work)), Applied::Yes, "{case}");
        match fails_with {
            None => {
                assert_eq!(
                    (world.state("a"), world.job("a")),
                    (NodeRunState::Running, Some(Job::Dispatch)),
                    "{case}"
                );
                assert_eq!(world.node("a").retries, 1, "{case}");
            }
            Some(code) => {
                assert_eq!(world.state("a"), NodeRunState::Failed, "{case}");
                assert_eq!(world.failure("a")[0], code, "{case}");
                // It may be at work all the same.
                let tell = work != Rejected;
                assert_eq!(world.job("a"), tell.then_some(Job::CancelExecutor), "{case}");
            }
        }
    }
}

#[test]
fn failed_attempt_is_in_the_log_the_events_and_the_node() {
    let mut world = started(SideEffectClass::Read, false);
    let (mark, began) = (world.events.len(), world.node("a").node.started_at);
    world.finish("a", 1, call_failed(Work::Unanswered));
    let at = world.node("a").wake.as_ref().expect("a wake-up").at;
    assert!(at > world.now && at < world.now + Duration::from_millis(251));
    let entry = world.attempts.last().expect("an entry");
    let error = Error::new("atomic_executor_unavailable", "no answer");
    assert_eq!(
        (entry.attempt, &entry.outcome),
        (1, &AttemptOutcome::Failed { error, retry_at: at, may_have_begun: true })
    );
    let action = json!({
        "type": "retry", "target_node_run_id": "a", "message": "no answer",
        "extensions": {
            "jarvis.attempt": 1, "jarvis.code": "atomic_executor_unavailable", "jarvis.started_at": began,
            "jarvis.retry_at": at, "jarvis.applied": true,
        },
    });
    assert_eq!(world.events_since(mark), [json!(["recovery_applied", "a", &action])]);
    assert_eq!(attempts(&world, "a"), json!([action]));

    // The next attempt ends it: the event of the end says how many there were.
    let BeginOutcome::Started { attempt, .. } = world.dispatch("a") else { panic!("a second attempt") };
    assert_eq!(attempt.number, 2);
    world.answer("a", NodeRunState::Succeeded);
    let end = world.events_since(mark).pop().expect("an event");
    assert_eq!(end, json!(["atomic_executed", "a", {"state": "succeeded", "attempts": 2}]));
    assert_eq!(attempts(&world, "a"), json!([action]));
}

#[test]
fn failed_call_reported_twice_counts_once() {
    let mut world = started(SideEffectClass::Read, false);
    world.finish("a", 1, call_failed(Work::Unanswered));
    let before = world.clone();
    for work in [Work::Unanswered, Work::Rejected] {
        assert_eq!(world.finish("a", 1, call_failed(work)), Applied::Yes);
        assert_eq!(
            (&world.nodes, &world.events, &world.attempts),
            (&before.nodes, &before.events, &before.attempts)
        );
    }
}

#[test]
fn node_fails_with_its_last_error_after_the_last_retry() {
    let mut world = started(SideEffectClass::Write, false);
    for attempt in 1..=world.rules.max_retries {
        world.finish("a", attempt, call_failed(Work::NotStarted));
        assert_eq!(world.job("a"), Some(Job::Dispatch));
        world.begin("a");
    }
    world.finish("a", 3, call_failed(Work::NotStarted));
    assert_eq!(
        (world.state("a"), world.failure("a")[0].clone()),
        (NodeRunState::Failed, json!("atomic_executor_unavailable"))
    );
    assert_eq!(attempts(&world, "a").as_array().map(Vec::len), Some(2));

    let mut world = started(SideEffectClass::Read, false);
    world.rules.max_retries = 0;
    world.finish("a", 1, call_failed(Work::NotStarted));
    assert_eq!(world.state("a"), NodeRunState::Failed, "never, if that is what the settings say");
}

#[test]
fn backoff_grows_and_an_executor_may_ask_for_more() {
    let mut world = started(SideEffectClass::Read, false);
    world.rules.max_retries = 10;
    let mut longest = Duration::ZERO;
    for attempt in 1..=5 {
        world.finish("a", attempt, call_failed(Work::NotStarted));
        let wait = world.node("a").wake.as_ref().expect("a wake-up").at.since(world.now);
        let full = Duration::from_millis(250 << (attempt - 1));
        assert!(wait >= full / 2 && wait <= full, "{attempt}: {wait:?}");
        longest = longest.max(wait);
        world.begin("a");
    }
    let asked = FailedCall { retry_after: Some(Duration::from_secs(20)), ..failed_call(Work::NotStarted) };
    world.finish("a", 6, AttemptResult::Failed(asked));
    let wait = world.node("a").wake.as_ref().expect("a wake-up").at.since(world.now);
    assert_eq!(wait, Duration::from_secs(20));
}

#[test]
fn node_fails_now_if_its_deadline_comes_before_the_retry() {
    let mut world = started(SideEffectClass::Read, false);
    let beyond = world.rules.node_timeout;
    let asked = FailedCall { retry_after: Some(beyond), ..failed_call(Work::NotStarted) };
    world.finish("a", 1, AttemptResult::Failed(asked));
    assert_eq!(
        (world.state("a"), world.failure("a")[0].clone()),
        (NodeRunState::Failed, json!("atomic_executor_unavailable"))
    );
}

#[test]
fn superseded_attempt_is_cancelled_when_the_node_ends() {
    for (work, notifies) in [(Work::Unanswered, true), (Work::Uncertain, true), (Work::NotStarted, false)] {
        let mut world = started(SideEffectClass::Read, false);
        world.finish("a", 1, call_failed(work));
        world.begin("a");
        world.answer("a", NodeRunState::Succeeded);
        assert_eq!(world.state("a"), NodeRunState::Succeeded);
        assert_eq!(world.job("a"), notifies.then_some(Job::CancelExecutor), "{work:?}");
    }
}

#[test]
fn cancel_beats_backoff() {
    let mut world = started(SideEffectClass::Read, false);
    world.finish("a", 1, call_failed(Work::Unanswered));
    assert_eq!(world.job("a"), Some(Job::Dispatch));
    world.cancel(RUN);
    assert_eq!((world.state("a"), world.run().run.state), (NodeRunState::Canceled, RunState::Canceled));
    // An executor that gave no response may be at work.
    assert_eq!(world.job("a"), Some(Job::CancelExecutor));
    assert_eq!(world.begin("a"), BeginOutcome::Superseded);
}

#[test]
fn composite_with_children_survives_a_failed_begin() {
    for (work, waited_for) in [
        (Work::Unanswered, true),
        (Work::Uncertain, true),
        (Work::NotStarted, false),
        (Work::Rejected, false),
    ] {
        let mut world = World::composite(&Value::Null);
        world.create(ROOT, &[child("a")]).expect("a child");
        let before = world.node(ROOT).clone();
        assert_eq!(world.finish(ROOT, 1, call_failed(work)), Applied::Yes);
        assert_eq!(*world.node(ROOT) == before, waited_for, "{work:?}");
        assert_eq!(world.run().is_terminal(), work == Work::Rejected, "{work:?}");
    }
}

#[test]
fn deferred_node_spends_no_retries_until_its_deadline() {
    let mut world = World::composite(&Value::Null);
    world.create(ROOT, &[child("a")]).expect("a child");
    let (events, attempts) = (world.events.len(), world.attempts.len());
    for tries in 1..=20 {
        world.defer("a", Duration::from_secs(3));
        let wake = world.node("a").wake.clone().expect("a wake-up");
        assert_eq!(
            (wake.job, wake.at, wake.claimed_by, wake.tries),
            (Job::Dispatch, world.now + Duration::from_secs(3), None, tries)
        );
        assert_eq!((world.state("a"), world.node("a").retries), (NodeRunState::Queued, 0));
    }
    assert_eq!((world.events.len(), world.attempts.len()), (events, attempts), "it was no attempt");
    // At the latest at its deadline, when it fails.
    let deadline = world.node("a").deadline.expect("a deadline");
    world.defer("a", world.rules.run_timeout * 2);
    assert_eq!(world.node("a").wake.as_ref().map(|wake| wake.at), Some(deadline));
    world.wait(world.rules.run_timeout);
    world.defer("a", Duration::from_secs(3));
    assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Failed, None));
    assert_eq!(world.failure("a")[0], "deadline_exceeded");
    let before = world.node("a").clone();
    world.defer("a", Duration::from_secs(3));
    assert_eq!(*world.node("a"), before);
}
