//! Evaluations and completions (§6.8, §6.9).

use serde_json::{Value, json};

use crate::{
    bench::{Bench, Run},
    check::{Check, Need},
    values::{count, id_of, own, types},
    verdict::{Verdict, ensure, equal, equal_but_nulls, same_list},
};
use scripted_executor::Behaviour::Hang;

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "core/6.8/evaluation",
        "An evaluation is 204, stored, an event, and changes no state",
        evaluation,
    )
    .needs(EXECUTORS),
    Check::new(
        "core/6.8/last-evaluation-counts",
        "A later evaluation takes the place of the one before",
        replaced,
    )
    .needs(EXECUTORS),
    Check::new(
        "core/6.8/recovery-actions-add-up",
        "A report without a recovery action erases none",
        recovery,
    )
    .needs(EXECUTORS)
    .differs("G25"),
    Check::new(
        "core/6.9/complete",
        "A completion is 204; outputs and artifacts are stored with the time",
        complete,
    )
    .needs(EXECUTORS),
    Check::new(
        "core/6.9/completion-error",
        "The error of a completion is kept with the node",
        completion_error,
    )
    .needs(EXECUTORS),
    Check::new("core/6.9/root-ends-run", "The run ends as its root, whichever way", root_ends_run)
        .needs(EXECUTORS),
    Check::new(
        "core/6.9/child-leaves-run",
        "A child that ends leaves its run and parent alive",
        child_leaves_run,
    )
    .needs(EXECUTORS),
    Check::new("core/6.9/same-end-again", "The same end again is 204 and changes nothing", same_again)
        .needs(EXECUTORS)
        .differs("D-06, G04"),
    Check::new("core/6.9/other-end-refused", "Another end of a NodeRun that is over is 409", other_end)
        .needs(EXECUTORS)
        .differs("D-06, G04"),
    Check::new("core/6.9/no-state-but-an-end", "A completion names an end; anything else is 400", no_end)
        .needs(EXECUTORS),
    Check::new(
        "core/6.9/parent-takes-children-along",
        "A finished parent cancels what lives below it",
        takes_along,
    )
    .needs(EXECUTORS)
    .differs("D-17, G42"),
];

fn report(b: &Bench, node: &str, body: &Value) -> Verdict {
    b.post(&format!("/v1/node-runs/{node}:evaluation"), body)?.no_content()
}

fn evaluation(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let result = json!({"status": "fail", "reason_code": "r", "message": "m", "details": {"keep": null},
        "confidence": 0.5});
    report(b, &run.root, &json!({ "evaluation_result": result }))?;
    let root = b.node(&run.root)?;
    let stored = &root["evaluation_result"];
    for member in ["status", "reason_code", "message", "details", "confidence"] {
        equal(member, &stored[member], &result[member])?;
    }
    equal("state", &root["state"], &json!("running"))?;
    let events = b.events(&run)?;
    let seen = events.iter().find(|event| event["type"] == "node_evaluated");
    let seen = seen.map(|event| event["data"].clone()).unwrap_or_default();
    equal("the event's status", &seen["status"], &json!("fail"))
}

fn replaced(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    report(b, &run.root, &json!({"evaluation_result": {"status": "fail", "reason_code": "r"}}))?;
    report(b, &run.root, &json!({"evaluation_result": {"status": "unknown"}}))?;
    let root = b.node(&run.root)?;
    equal_but_nulls("evaluation_result", &root["evaluation_result"], &json!({"status": "unknown"}))
}

fn recovery(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let (retry, abort) = (json!({"type": "retry", "message": "again"}), json!({"type": "abort"}));
    let success = json!({"status": "success"});
    report(b, &run.root, &json!({"evaluation_result": success, "recovery_action": retry}))?;
    report(b, &run.root, &json!({ "evaluation_result": success }))?;
    report(b, &run.root, &json!({"evaluation_result": success, "recovery_action": abort}))?;
    let mut recorded = b.node(&run.root)?["recovery_actions"].clone();
    // An implementation may note what became of them.
    for action in recorded.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        action.remove("extensions");
    }
    equal_but_nulls("recovery_actions", &recorded, &json!([retry, abort]))?;
    let seen = count(&b.events(&run)?, "recovery_applied");
    ensure(seen == 2, || format!("{seen} times recovery_applied"))
}

fn complete(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let outputs = json!({"answer": 42, "deep": {"keep": null}});
    let artifacts = json!([{"type": "artifact", "id": "a"}, {"type": "artifact", "id": "b", "uri": "urn:b"}]);
    let body = json!({"state": "succeeded", "outputs": outputs, "output_artifacts": artifacts});
    b.post(&format!("{}:complete", run.root_path()), &body)?.no_content()?;
    let root = b.node(&run.root)?;
    equal("state", &root["state"], &json!("succeeded"))?;
    equal("outputs", &root["outputs"], &outputs)?;
    equal_but_nulls("output_artifacts", &root["output_artifacts"], &artifacts)?;
    ensure(root["ended_at"].is_string(), || format!("no ended_at: {root}"))
}

fn completion_error(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let error = json!({"code": "child_failed", "message": "m", "details": {"n": 1}, "retryable": true});
    let body = json!({"state": "failed", "error": error});
    b.post(&format!("{}:complete", run.root_path()), &body)?.no_content()?;
    equal_but_nulls("completion_error", own(&b.node(&run.root)?, "completion_error"), &error)
}

fn root_ends_run(b: &Bench) -> Verdict {
    for state in ["succeeded", "failed", "canceled"] {
        let run = b.composite(json!({}))?;
        b.complete(&run.root, state)?.no_content()?;
        let ended = b.run(&run)?;
        equal("the run's state", &ended["state"], &json!(state))?;
        ensure(ended["ended_at"].is_string(), || format!("no ended_at: {ended}"))?;
        let events = b.events(&run)?;
        let last = events.last().cloned().unwrap_or_default();
        equal("the last event", &last["type"], &json!("run_completed"))?;
        equal("its data", &last["data"], &json!({ "state": state }))?;
        equal("its node", &last["node_run_id"], &json!(run.root))?;
    }
    Ok(())
}

fn child_leaves_run(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let child = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    b.complete(&child, "failed")?.no_content()?;
    equal("the run's state", &b.run(&run)?["state"], &json!("running"))?;
    equal("the root's state", &b.node(&run.root)?["state"], &json!("running"))
}

/// A composite that has ended as failed, in a run that goes on.
fn failed_child(b: &Bench) -> Verdict<(Run, String)> {
    let run = b.composite(json!({}))?;
    let child = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    b.node_in(&child, "running")?;
    let error = json!({"code": "c", "message": "m"});
    let body = json!({"state": "failed", "outputs": {"a": 1}, "error": error});
    b.post(&format!("/v1/node-runs/{child}:complete"), &body)?.no_content()?;
    Ok((run, child))
}

fn same_again(b: &Bench) -> Verdict {
    let (run, child) = failed_child(b)?;
    let (node, events) = (b.node(&child)?, b.events(&run)?);
    b.complete(&child, "failed")?.no_content()?;
    equal("the node", &b.node(&child)?, &node)?;
    same_list("the events", &b.events(&run)?, &events)
}

fn other_end(b: &Bench) -> Verdict {
    let (_, child) = failed_child(b)?;
    let node = b.node(&child)?;
    for state in ["succeeded", "canceled"] {
        b.complete(&child, state)?.refused(409, "node_run_terminal")?;
    }
    equal("the node", &b.node(&child)?, &node)
}

fn no_end(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    for state in ["running", "queued", "assigned", "Succeeded", ""] {
        b.complete(&run.root, state)?.refused(400, "invalid_request")?;
    }
    b.post(&format!("{}:complete", run.root_path()), &json!({}))?.refused(400, "invalid_request").map(|_| ())
}

fn takes_along(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let both = b.children(&run, &[b.composite_spec(json!({})), b.atomic_spec(Hang, json!({}))])?;
    let (parent, sibling) = (id_of(&both[0])?, id_of(&both[1])?);
    b.node_in(&parent, "running")?;
    let below = id_of(&b.children_of(&run, &parent, &[b.atomic_spec(Hang, json!({}))])?[0])?;
    b.work(&below)?;
    b.work(&sibling)?;
    b.complete(&parent, "succeeded")?.no_content()?;
    b.node_in(&below, "canceled")?;
    equal("the sibling's state", &b.node_in(&sibling, "running")?["state"], &json!("running"))?;
    let events = b.events(&run)?;
    ensure(!types(&events).contains(&"run_completed"), || "the run is over".into())
}
