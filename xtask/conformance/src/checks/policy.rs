//! Policy (§10). The options name what the policy denies.

use serde_json::{Value, json};

use crate::{
    bench::{Bench, Run},
    check::{Check, Need},
    values::{own, types},
    verdict::{Verdict, ensure, equal, fail},
};
use scripted_executor::Behaviour::Echo;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "core/10/both-checkpoints",
        "Start and execution are decided, each with an event",
        checkpoints,
    )
    .needs(&[Need::Atomic]),
    Check::new(
        "core/10/denied-start",
        "A denied start is 200 and a failed run with all its events",
        denied_start,
    )
    .needs(&[Need::DeniedTenant]),
    Check::new("core/10/denied-execution", "A denied node fails as policy_denied", denied_execution)
        .needs(&[Need::DeniedType]),
    Check::new("core/10/denied-is-not-executed", "An executor hears nothing of what is denied", not_executed)
        .needs(&[Need::DeniedType, Need::Executors]),
];

/// The policy decisions: action and decision, in order.
fn decided(events: &[Value]) -> Vec<(Value, Value)> {
    let decisions = events.iter().filter(|event| event["type"] == "policy_decided");
    decisions.map(|event| (event["data"]["action"].clone(), event["data"]["decision"].clone())).collect()
}

fn same_decisions(run: &Run, events: &[Value], wanted: &[(&str, &str)]) -> Verdict {
    let wanted: Vec<_> = wanted.iter().map(|(action, decision)| (json!(action), json!(decision))).collect();
    let seen = decided(events);
    ensure(seen == wanted, || format!("{}: {seen:?}, not {wanted:?}", run.id))
}

fn checkpoints(b: &Bench) -> Verdict {
    let run = b.atomic(Echo)?;
    let events = b.ended_events(&run)?;
    same_decisions(&run, &events, &[("run.start", "allow"), ("node.run.execute", "allow")])?;
    let about = events.iter().filter(|event| event["type"] == "policy_decided");
    about.map(|event| &event["node_run_id"]).try_for_each(|node| equal("node_run_id", node, &json!(run.root)))
}

fn denied_start(b: &Bench) -> Verdict {
    let Some(tenant) = &b.setup.denied_tenant else { return fail("no tenant") };
    let run = b.started(&b.atomic_request(Echo, json!({"run_context": {"tenant_id": tenant}})))?;
    equal("state", &run.body["state"], &json!("failed"))?;
    let events = b.events(&run)?;
    same_decisions(&run, &events, &[("run.start", "deny")])?;
    let wanted = ["run_started", "node_run_assigned", "policy_decided", "atomic_executed", "run_completed"];
    let seen = types(&events);
    ensure(seen == wanted, || format!("{seen:?}, not {wanted:?}"))?;
    let root = b.node(&run.root)?;
    equal("the root's state", &root["state"], &json!("failed"))?;
    let error = own(&root, "completion_error");
    equal("code", &error["code"], &json!("policy_denied"))?;
    equal("message", &error["message"], &json!("Run start denied by policy"))
}

/// A run of the denied type, after it is over.
fn denied_run(b: &Bench) -> Verdict<Run> {
    let Some(denied) = &b.setup.denied_type else { return fail("no type") };
    let run = b.started(&json!({"root_node_type_ref": denied.to_ref(), "input": {}}))?;
    equal("the run's state", &b.run_ended(&run)?["state"], &json!("failed"))?;
    Ok(run)
}

fn denied_execution(b: &Bench) -> Verdict {
    let run = denied_run(b)?;
    let events = b.ended_events(&run)?;
    same_decisions(&run, &events, &[("run.start", "allow"), ("node.run.execute", "deny")])?;
    let root = b.node(&run.root)?;
    let error = own(&root, "completion_error");
    equal("code", &error["code"], &json!("policy_denied"))?;
    equal("message", &error["message"], &json!("NodeRun denied by policy"))
}

fn not_executed(b: &Bench) -> Verdict {
    let run = denied_run(b)?;
    let executions = b.executors()?.executions(&run.root);
    ensure(executions == 0, || format!("executed {executions} times"))
}
