//! What a decision leaves in the audit trail.

use serde_json::json;

use super::support::*;
use crate::{
    engine::{BeginOutcome, PolicyOutcome},
    record::{AuditOutcome, AuditRecord},
    types::RunState,
};

/// Operation, node, outcome, reason and detail of each record.
fn shown(world: &World) -> Vec<String> {
    let show = |record: &AuditRecord| {
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let node = text(record.object.node_run_id.as_ref().map(|node| node.as_str()));
        let (reason, detail) = (text(record.reason.as_deref()), text(record.detail()));
        format!("{} {node} {} {reason} {detail}", record.operation, record.outcome)
    };
    world.audit.iter().map(show).collect()
}

#[test]
fn request_that_changes_something_is_audited_once() {
    let mut world = World::composite(&json!({}));
    for _ in 0..2 {
        world.create(ROOT, &[child("a").key("k")]).expect("children");
    }
    world.evaluate(ROOT, json!({"evaluation_result": {"status": "unknown"}}));
    for _ in 0..2 {
        world.complete(ROOT, json!({"state": "succeeded"})).expect("the end");
    }
    assert_eq!(world.cancel(RUN).state, RunState::Succeeded);
    assert_eq!(
        shown(&world),
        [
            "start_run - applied - -",
            "create_node_runs root applied - new node runs: 1",
            "report_node_run_evaluation root applied - unknown",
            "complete_node_run root applied - succeeded",
        ]
    );
}

#[test]
fn denial_by_policy_is_the_outcome_of_its_record() {
    let mut world = World::new();
    world.start_as(RUN, ROOT, json!({}), PolicyOutcome::Deny).expect("a run that has failed");
    assert_eq!(world.audit.len(), 1);
    assert_eq!(
        (world.audit[0].outcome, world.audit[0].reason.as_deref()),
        (AuditOutcome::Refused, Some("policy_denied"))
    );

    let mut world = World::new();
    world.start(json!({})).expect("a start");
    assert_eq!(world.begin_with(ROOT, PolicyOutcome::Deny, Ok(binding())), BeginOutcome::Failed);
    let refused = &shown(&world)[1];
    assert!(refused.starts_with("dispatch_node_run root refused policy_denied "), "{refused}");
}

#[test]
fn node_that_constraints_refuse_is_audited() {
    for (constraints, reason) in [
        (json!({"candidates": {"allowed_node_type_ids": []}}), Some("node_type_not_allowed")),
        (json!({"candidates": {"denied_node_type_ids": ["atomic.echo"]}}), Some("node_type_denied")),
        (json!({"gates": {"side_effect_class": "read"}}), Some("side_effect_not_allowed")),
        (json!({"gates": {"require_approval": true}}), Some("approval_required")),
        (json!({}), None),
    ] {
        let mut world = World::new();
        let members = json!({"root_node_type_ref": node_type("atomic.echo"), "constraints": constraints});
        world.start(members).expect("a start");
        world.dispatch(ROOT);
        let refused: Vec<&str> = world.audit.iter().filter_map(|record| record.reason.as_deref()).collect();
        assert_eq!(refused, reason.into_iter().collect::<Vec<_>>(), "{constraints}");
    }
}

#[test]
fn node_without_an_executor_is_no_refusal() {
    let mut world = World::new();
    world.start(json!({})).expect("a start");
    let missing = crate::types::Error::new("executor_not_configured", "no executor");
    assert_eq!(world.begin_with(ROOT, PolicyOutcome::Allow, Err(missing)), BeginOutcome::Failed);
    assert_eq!(shown(&world), ["start_run - applied - -"]);
}
