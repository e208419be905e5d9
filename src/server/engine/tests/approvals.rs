//! Nodes that wait for approvals (contract §9.2, D-08).

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    invariants,
    support::{ROOT, RUN, World, answered, binding, call_failed, child, decided, parse},
};
use crate::{
    engine::{ApprovalVerdict, Approvals, BeginOutcome, PolicyDecided, PolicyOutcome, Work},
    record::{Actor, ApprovalOutcome, AuditOutcome, Identity, Job},
    types::{NodeRunState, RunState},
};

/// Acts, and checks the step.
pub(super) fn checked<T>(world: &mut World, act: impl FnOnce(&mut World) -> T) -> T {
    let before = world.clone();
    let answer = act(world);
    invariants::check(&before, world);
    answer
}

#[test]
fn gated_node_waits_until_it_is_approved() {
    let mut world = World::with_gate();
    let mark = world.events.len();
    let BeginOutcome::Waits(approval) = checked(&mut world, |world| world.dispatch("a")) else {
        panic!("it waits")
    };
    assert_eq!(*approval, world.approval("a"));
    assert_eq!(approval.expires_at, world.now + Duration::from_secs(900));
    let node = world.node("a").clone();
    assert_eq!((node.node.state, node.attempt, node.retries), (NodeRunState::Queued, 0, 0));
    let wake = node.wake.expect("a wake-up");
    // Nothing is asked until then: no policy demands it.
    assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Approval, approval.expires_at, None));
    let shown = json!({"approval_id": "a.1", "demanded_by": "gate", "requested_at": world.now,
                       "expires_at": approval.expires_at});
    assert_eq!(world.extension("a", "jarvis.approval"), Some(shown.clone()));
    let reference = json!({"approval_id": "a.1"});
    assert_eq!(
        world.events_since(mark),
        [
            json!(["policy_decided", "a", {"action": "node.run.execute", "decision": "allow"}]),
            json!(["policy_decided", "a", {"action": "node.run.approval", "decision": "require_approval",
                   "reason_code": "gate_require_approval", "approval_ref": reference,
                   "message": "The constraints of the node demand an approval"}]),
            json!(["recovery_applied", "a", {"type": "ask_user", "target_node_run_id": "a",
                   "message": "The node waits for an approval", "extensions": {"jarvis.approval": shown}}]),
        ]
    );
    let mark = world.events.len();
    let granted =
        checked(&mut world, |world| world.decide("a", 1, ApprovalVerdict::Approve)).expect("decided");
    assert_eq!(granted.outcome(), Some(ApprovalOutcome::Approved));
    let wake = world.node("a").wake.clone().expect("a wake-up");
    assert_eq!((wake.job, wake.at, &wake.claimed_by), (Job::Dispatch, world.now, &world.worker));
    assert_eq!(
        world.events_since(mark),
        [json!(["policy_decided", "a", {"action": "node.run.approval", "decision": "allow",
                "reason_code": "approval_granted", "message": "as agreed", "approval_ref": reference}])]
    );
    let audited = world.audit.last().expect("a record");
    assert_eq!((audited.operation.as_str(), audited.detail()), ("approve_node_run", Some("as agreed")));
    let begun = checked(&mut world, |world| world.dispatch("a"));
    assert!(matches!(begun, BeginOutcome::Started { .. }), "{begun:?}");
}

#[test]
fn root_waits_if_policy_demands_it_at_the_start() {
    let mut world = World::new();
    world.rules.gates.approvals = Approvals::Park { timeout: Duration::from_secs(900) };
    let before = world.clone();
    let run = world.start_as(RUN, ROOT, Value::Null, PolicyOutcome::RequireApproval).expect("a start");
    invariants::check(&before, &world);
    assert_eq!((run.state, world.job(ROOT)), (RunState::Running, Some(Job::Approval)));
    let audited = world.audit.last().expect("a record");
    assert_eq!((audited.operation.as_str(), audited.outcome), ("start_run", AuditOutcome::Applied));
    // Policy is asked again long before it expires.
    let wait = world.node(ROOT).wake.clone().expect("a wake-up").at.since(world.now);
    assert!((30..=60).contains(&wait.as_secs()), "{wait:?}");
    checked(&mut world, |world| world.decide(ROOT, 1, ApprovalVerdict::Approve)).expect("decided");
    // The grant covers the next checkpoint.
    let mark = world.events.len();
    let begun = checked(&mut world, |world| world.begin_demanded(ROOT));
    assert!(matches!(begun, BeginOutcome::Started { .. }), "{begun:?}");
    let event = json!(["policy_decided", ROOT, {"action": "node.run.execute", "decision": "require_approval",
                       "approval_ref": {"approval_id": "root.1"}}]);
    assert_eq!(world.events_since(mark), [event]);
}

#[test]
fn grant_covers_every_later_demand_but_no_denial() {
    let approved = || {
        let mut world = World::with_gate();
        world.dispatch("a");
        world.decide("a", 1, ApprovalVerdict::Approve).expect("decided");
        world
    };
    let mut world = approved();
    for attempt in 1..=2 {
        let begun = checked(&mut world, |world| world.begin_demanded("a"));
        assert!(matches!(begun, BeginOutcome::Started { .. }), "attempt {attempt}: {begun:?}");
        checked(&mut world, |world| world.finish("a", attempt, call_failed(Work::NotStarted)));
    }
    world.wait(Duration::from_secs(5));
    checked(&mut world, |world| world.dispatch("a"));
    checked(&mut world, |world| world.finish("a", 3, answered(NodeRunState::Succeeded)));
    assert_eq!(world.state("a"), NodeRunState::Succeeded);

    let mut world = approved();
    checked(&mut world, |world| world.begin_with("a", PolicyOutcome::Deny, Ok(binding())));
    assert_eq!(world.failure("a")[0], "policy_denied");
    // Also after the setting has changed.
    let mut world = approved();
    world.rules.gates.approvals = Approvals::Fail;
    let begun = checked(&mut world, |world| world.dispatch("a"));
    assert!(matches!(begun, BeginOutcome::Started { .. }), "{begun:?}");
}

#[test]
fn retry_that_needs_an_approval_waits_while_running() {
    let mut world = World::parking();
    world.create(ROOT, &[child("a")]).expect("a child");
    world.begin("a");
    world.finish("a", 1, call_failed(Work::NotStarted));
    world.wait(Duration::from_secs(1));
    checked(&mut world, |world| world.begin_demanded("a"));
    let node = world.node("a");
    assert_eq!((node.node.state, node.attempt, node.retries), (NodeRunState::Running, 1, 1));
    assert_eq!(world.job("a"), Some(Job::Approval));
    // Its deadline is that of its first attempt.
    assert_eq!(Some(world.approval("a").expires_at), node.deadline);
    checked(&mut world, |world| world.cancel(RUN));
    assert_eq!(world.job("a"), Some(Job::CancelExecutor), "as for any node that was at an executor");
}

#[test]
fn composite_at_work_overtakes_its_approval() {
    let mut world = World::parking();
    world.create(ROOT, &[child("a").of("composite.plan")]).expect("a child");
    world.begin("a");
    world.due("a");
    world.lost("a");
    checked(&mut world, |world| world.begin_demanded("a"));
    assert_eq!(world.job("a"), Some(Job::Approval));
    // The executor of the attempt before has begun its plan.
    checked(&mut world, |world| world.create("a", &[child("b")])).expect("a child");
    assert_eq!(
        (world.job("a"), world.approval("a").outcome()),
        (Some(Job::Deadline), Some(ApprovalOutcome::Lifted))
    );
    assert_eq!(world.decide("a", 1, ApprovalVerdict::Deny).expect_err("ended").code(), "approval_ended");
}

#[test]
fn approval_expires_within_every_deadline() {
    let hour = Duration::from_secs(3600);
    for (timeout, expected) in [(Duration::from_secs(60), Duration::from_secs(60)), (2 * hour, hour)] {
        let mut world = World::new();
        world.rules.gates.approvals = Approvals::Park { timeout };
        world.start(json!({"constraints": {"gates": {"require_approval": true}}})).expect("a start");
        let started = world.now;
        world.dispatch(ROOT);
        let expires_at = world.approval(ROOT).expires_at;
        let allowed = expires_at.since(started).saturating_sub(expected);
        assert!(allowed <= Duration::from_millis(1), "{timeout:?}: {allowed:?}");
    }
    // A deadline that comes first says what the node waited for.
    let mut world = World::with_gate();
    world.dispatch("a");
    world.wait(2 * hour);
    checked(&mut world, |world| world.expire_node("a"));
    assert_eq!(world.failure("a")[0], "deadline_exceeded");
    let details = world.extension("a", "completion_error").expect("an error")["details"].clone();
    assert_eq!(
        (&details["code"], &details["approval"]["approval_id"]),
        (&json!("approval_required"), &json!("a.1"))
    );
}

#[test]
fn node_that_waits_has_reserved_nothing() {
    let mut world = World::new();
    world.rules.gates.approvals = Approvals::Park { timeout: Duration::from_secs(900) };
    world.start(json!({"constraints": {"budgets": {"max_steps": 2}}})).expect("a start");
    world.begin(ROOT);
    let gated = child("a").with("constraints", json!({"gates": {"require_approval": true}}));
    world.create(ROOT, &[gated, child("b")]).expect("children");
    let account = |world: &World| world.run().account.expect("an account");
    let before = account(&world);
    checked(&mut world, |world| world.dispatch("a"));
    assert_eq!(account(&world), before);
    // Another node takes the last step: the approval comes too late.
    world.dispatch("b");
    checked(&mut world, |world| world.decide("a", 1, ApprovalVerdict::Approve)).expect("decided");
    checked(&mut world, |world| world.dispatch("a"));
    assert_eq!(world.failure("a")[0], "budget_exceeded");
}

#[test]
fn reference_of_policy_is_kept_beside_ours() {
    let mut world = World::parking();
    world.create(ROOT, &[child("a")]).expect("a child");
    let mark = world.events.len();
    let theirs = json!({"approval_id": "ticket-7", "uri": "https://approvals.example/7"});
    world.begin_decided("a", json!({"approval_ref": theirs}));
    assert_eq!(world.extension("a", "jarvis.approval").expect("shown")["approval_ref"], theirs);
    let event = &world.events_since(mark)[0][2];
    assert_eq!(
        event["approval_ref"],
        json!({"approval_id": "a.1", "extensions": {"jarvis.policy_approval_ref": theirs}})
    );
}

/// A node that waits for nothing, although policy names an approval.
#[test]
fn approval_of_policy_alone_is_not_ours() {
    let mut world = World::parking();
    world.rules.gates.approvals = Approvals::Fail;
    world.create(ROOT, &[child("a")]).expect("a child");
    world.begin_decided("a", json!({"approval_ref": {"approval_id": "ticket.7"}}));
    assert_eq!(
        world.extension("a", "completion_error").expect("an error")["details"]["code"],
        "approval_required"
    );
    invariants::each_run(&world);
}

#[test]
fn grant_satisfies_every_checkpoint_of_a_dispatch() {
    let mut world = World::with_gate();
    world.dispatch("a");
    world.decide("a", 1, ApprovalVerdict::Approve).expect("decided");
    let mark = world.events.len();
    let theirs = json!({"approval_ref": {"approval_id": "ticket-7"}});
    let before = PolicyDecided {
        evidence: parse(theirs),
        ..decided("node.run.execute", PolicyOutcome::RequireApproval)
    };
    let last = decided("node.run.irreversible", PolicyOutcome::RequireApproval);
    let begun = checked(&mut world, |world| {
        world.begin_verdict("a", PolicyDecided { after: Some(Box::new(before)), ..last })
    });
    assert!(matches!(begun, BeginOutcome::Started { .. }), "{begun:?}");
    let events = world.events_since(mark);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event[2]["approval_ref"]["approval_id"] == "a.1"), "{events:?}");
}

#[test]
fn numbers_go_on_where_another_coordinator_stopped() {
    let mut world = World::with_gate();
    let shown = json!({"approval_id": "a.7", "demanded_by": "gate", "requested_at": world.now,
                       "expires_at": world.now, "decision": {"outcome": "approved", "at": world.now,
                       "by": {"kind": "coordinator"}}});
    let node = world.nodes.get_mut(&"a".into()).expect("a node");
    node.node.extensions.get_or_insert_default().insert("jarvis.approval".into(), shown);
    // What a store says is no grant.
    let BeginOutcome::Waits(approval) = world.dispatch("a") else { panic!("it waits") };
    assert_eq!(approval.approval_id.to_string(), "a.8");
}

#[test]
fn event_of_a_decision_names_who_made_it() {
    let mut world = World::with_gate();
    world.dispatch("a");
    world.decide("a", 1, ApprovalVerdict::Approve).expect("decided");
    let event = &world.events.last().expect("an event").event;
    let actor = event.extensions.as_ref().and_then(|own| own.get("jarvis.actor"));
    assert_eq!(actor, Some(json!(Actor::Caller(Identity::bare("operator")))));
}
