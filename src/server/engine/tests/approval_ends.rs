//! How approvals end (contract §9.6).

use std::time::Duration;

use serde_json::json;

use super::{
    approvals::checked,
    invariants,
    support::{ROOT, RUN, World, child},
};
use crate::{
    engine::{ApprovalVerdict, BeginOutcome, PolicyOutcome, Rejection},
    record::{ApprovalOutcome, Job},
    types::NodeRunState,
};

#[test]
fn denied_and_expired_approvals_fail_their_nodes() {
    for (expires, code, message, operation) in [
        (false, "approval_denied", "The approval of the NodeRun was denied", "deny_node_run"),
        (true, "approval_expired", "The approval of the NodeRun was not given in time", "dispatch_node_run"),
    ] {
        let mut world = World::with_gate();
        world.dispatch("a");
        assert!(!checked(&mut world, |world| world.expire_approval("a")), "it has time left");
        if expires {
            world.wait(Duration::from_secs(900));
            assert!(checked(&mut world, |world| world.expire_approval("a")));
        } else {
            checked(&mut world, |world| world.decide("a", 1, ApprovalVerdict::Deny)).expect("decided");
        }
        assert_eq!((world.state("a"), world.job("a")), (NodeRunState::Failed, None), "{code}");
        assert_eq!(world.failure("a"), json!([code, message]));
        let error = world.extension("a", "completion_error").expect("an error");
        assert_eq!(Some(error["details"]["approval"].clone()), world.extension("a", "jarvis.approval"));
        let decision = &error["details"]["approval"]["decision"];
        let by = if expires {
            json!({"kind": "coordinator"})
        } else {
            assert_eq!(decision["reason"], "as agreed");
            json!({"kind": "caller", "subject": "operator"})
        };
        assert_eq!(decision["by"], by);
        let audited = world.audit.last().expect("a record");
        assert_eq!(audited.operation.as_str(), operation);
        assert_eq!(audited.reason.as_deref(), expires.then_some("approval_expired"));
        assert!(!world.expire_approval("a"), "once");
    }
}

#[test]
fn second_decision_is_answered_by_the_first() {
    use ApprovalVerdict::{Approve, Deny};
    for (first, then, code) in [
        (Approve, Approve, None),
        (Deny, Deny, None),
        (Approve, Deny, Some("approval_already_decided")),
        (Deny, Approve, Some("approval_already_decided")),
    ] {
        let mut world = World::with_gate();
        world.dispatch("a");
        let decided = world.decide("a", 1, first).expect("decided");
        let before = World { now: world.now, ..world.clone() };
        let again = world.decide("a", 1, then);
        assert_eq!(again.as_ref().err().map(Rejection::code), code, "{first:?}, {then:?}");
        assert!(again.is_err() || again == Ok(decided));
        assert_eq!(World { now: before.now, ..world }, before, "nothing changes, and nothing is audited");
    }
}

#[test]
fn ended_approval_is_not_decided_any_more() {
    let ended = |act: &dyn Fn(&mut World), number: u32| {
        let mut world = World::with_gate();
        world.dispatch("a");
        act(&mut world);
        for verdict in [ApprovalVerdict::Approve, ApprovalVerdict::Deny] {
            let refused = world.decide("a", number, verdict).expect_err("it has ended");
            assert_eq!(refused.code(), "approval_ended", "{refused:?}");
        }
    };
    ended(&|world| _ = world.cancel(RUN), 1);
    ended(&|world| world.complete("a", json!({"state": "succeeded"})).expect("completed"), 1);
    ended(
        &|world| {
            world.wait(Duration::from_secs(900));
            world.expire_approval("a");
        },
        1,
    );
    // Its wake-up is late: the decision is later.
    ended(&|world| _ = world.wait(Duration::from_secs(900)), 1);
    ended(&|_| {}, 2);
    ended(
        &|world| {
            world.create(ROOT, &[child("b")]).expect("a child");
            let nothing = world.decide("b", 1, ApprovalVerdict::Approve);
            assert_eq!(nothing, Err(Rejection::ApprovalEnded(None)), "it never waited");
            world.cancel(RUN);
        },
        1,
    );
}

#[test]
fn policy_that_is_asked_again_ends_the_approval_or_not() {
    use ApprovalOutcome::{Denied, Lifted};
    for (answer, outcome) in [
        (Some(PolicyOutcome::Allow), Some(Lifted)),
        (Some(PolicyOutcome::Deny), Some(Denied)),
        (Some(PolicyOutcome::RequireApproval), None),
        (None, None),
    ] {
        let mut world = World::parking();
        world.create(ROOT, &[child("a")]).expect("a child");
        checked(&mut world, |world| world.begin_demanded("a"));
        let (mark, audited) = (world.events.len(), world.audit.len());
        assert_eq!(checked(&mut world, |world| world.ask_again("a", answer)), outcome, "{answer:?}");
        assert_eq!(world.approval("a").outcome(), outcome);
        match outcome {
            Some(Lifted) => assert_eq!(world.job("a"), Some(Job::Dispatch)),
            Some(_) => {
                assert_eq!(world.failure("a"), json!(["policy_denied", "NodeRun denied by policy"]));
                assert_eq!(world.audit.len(), audited + 1);
            }
            None => {
                assert_eq!(world.events.len(), mark, "questions that decide nothing leave no trace");
                // With growing pauses, and never later than it expires.
                let mut pauses = Vec::new();
                while world.job("a") == Some(Job::Approval) {
                    let wake = world.node("a").wake.clone().expect("a wake-up");
                    assert!(wake.at <= world.approval("a").expires_at && wake.claimed_by.is_none());
                    pauses.push(wake.at.since(world.now).as_secs());
                    world.wait(wake.at.since(world.now));
                    checked(&mut world, |world| world.ask_again("a", answer));
                }
                assert!(pauses.iter().all(|pause| *pause <= 300) && pauses.len() < 20, "{pauses:?}");
                assert_eq!(world.failure("a")[0], "approval_expired");
            }
        }
    }
}

#[test]
fn lifted_demand_is_no_grant() {
    let mut world = World::parking();
    world.create(ROOT, &[child("a")]).expect("a child");
    world.begin_demanded("a");
    world.ask_again("a", Some(PolicyOutcome::Allow));
    // At the dispatch policy demands it again.
    let BeginOutcome::Waits(second) = checked(&mut world, |world| world.begin_demanded("a")) else {
        panic!("it waits again")
    };
    assert_eq!(second.approval_id.to_string(), "a.2");
    let late = world.decide("a", 1, ApprovalVerdict::Approve);
    assert_eq!(late, Err(Rejection::ApprovalEnded(None)), "a late decision is about the first one only");
    assert_eq!(world.job("a"), Some(Job::Approval));
    world.decide("a", 2, ApprovalVerdict::Approve).expect("decided");
    assert_eq!(world.job("a"), Some(Job::Dispatch));
}

#[test]
fn policy_that_cannot_decide_denies_in_the_end() {
    let mut world = World::parking();
    world.rules.run_timeout = Duration::from_secs(1_000_000);
    world.create(ROOT, &[child("a")]).expect("a child");
    let mut approvals = 0;
    while let BeginOutcome::Waits(_) = world.begin_demanded("a") {
        approvals += 1;
        world.ask_again("a", Some(PolicyOutcome::Allow));
    }
    assert_eq!(approvals, 100);
    assert_eq!(world.failure("a"), json!(["policy_denied", "NodeRun denied by policy"]));
    invariants::each_run(&world);
}
