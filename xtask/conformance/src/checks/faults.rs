//! Faults of executors (§9.3, §9.4, §17.1).

use serde_json::json;

use crate::{
    bench::Bench,
    check::{Check, Need},
    executors::inputs,
    values::{id_of, own, types},
    verdict::{Verdict, ensure, equal, same},
};
use scripted_executor::Behaviour::{
    self, Busy, Deaf, Echo, Full, Garbage, Hang, Mesh, Other, Proxy, Running,
};

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new("deep/9.3/garbage", "A result that is no JSON fails the node: executor unavailable", garbage)
        .needs(EXECUTORS),
    Check::new("deep/9.3/html", "So does a page of a proxy", html).needs(EXECUTORS),
    Check::new(
        "deep/9.3/envelope",
        "An envelope fails the node with its code, message and details",
        envelope,
    )
    .needs(EXECUTORS),
    Check::new("deep/9.3/no-end", "A result that is no end fails the node, which is not stuck", no_end)
        .needs(EXECUTORS)
        .differs("G06"),
    Check::new("deep/9.3/other-node", "The result of another node fails the node", other_node)
        .needs(EXECUTORS)
        .differs("G27"),
    Check::new(
        "deep/9.3/unknown-members",
        "Unknown members and nulls in a result do no harm",
        unknown_members,
    )
    .needs(EXECUTORS)
    .differs("G27"),
    Check::new(
        "deep/9.3/deadline",
        "A run beyond its max_wall_time_ms ends, and its executor gets a cancel",
        deadline,
    )
    .needs(EXECUTORS)
    .differs("G09"),
    Check::new(
        "deep/9.3/completed-by-another",
        "A node that another caller completes is canceled at its executor",
        taken_off,
    )
    .needs(EXECUTORS)
    .differs("G03, G04"),
    Check::new(
        "deep/9.4/begin-faults",
        "A composite whose begin goes wrong fails, with the words of §17.1",
        begin,
    )
    .needs(EXECUTORS),
    Check::new(
        "deep/9.4/child-fails-alone",
        "A child that fails leaves its siblings and parent alone",
        alone,
    )
    .needs(EXECUTORS),
    Check::new(
        "deep/17.1/no-addresses",
        "What callers see of a fault names no internal address",
        no_addresses,
    )
    .needs(EXECUTORS)
    .differs("G45"),
];

/// The error of a root whose executor behaves like this.
fn error_of(b: &Bench, behaviour: Behaviour) -> Verdict<serde_json::Value> {
    let run = b.atomic(behaviour)?;
    equal("the run's state", &b.run_ended(&run)?["state"], &json!("failed"))?;
    let root = b.node(&run.root)?;
    equal("the root's state", &root["state"], &json!("failed"))?;
    let executions = b.executors()?.executions(&run.root);
    // An executor that is busy may be called again, and so may one behind a proxy
    // for a node that may be executed twice.
    if !matches!(behaviour, Busy | Proxy | Mesh) || executions == 0 {
        same("executions", &executions, &1)?;
    }
    // One success closes the circuit breaker: while it is open, nodes wait for
    // their executor until their deadline.
    let well = b.atomic(Echo)?;
    equal("the next run's state", &b.run_ended(&well)?["state"], &json!("succeeded"))?;
    Ok(own(&root, "completion_error").clone())
}

fn unavailable(b: &Bench, behaviour: Behaviour) -> Verdict {
    let error = error_of(b, behaviour)?;
    equal("code", &error["code"], &json!("atomic_executor_unavailable"))?;
    equal("message", &error["message"], &json!("Atomic Executor request failed"))
}

fn garbage(b: &Bench) -> Verdict {
    unavailable(b, Garbage)
}

fn html(b: &Bench) -> Verdict {
    unavailable(b, Proxy)?;
    unavailable(b, Mesh)
}

fn envelope(b: &Bench) -> Verdict {
    let error = error_of(b, Busy)?;
    equal("code", &error["code"], &json!("busy"))?;
    equal("message", &error["message"], &json!("come back later"))?;
    equal("details", &error["details"], &json!({"queue": 7}))
}

fn no_end(b: &Bench) -> Verdict {
    equal("code", &error_of(b, Running)?["code"], &json!("atomic_executor_invalid_result"))
}

fn other_node(b: &Bench) -> Verdict {
    equal("code", &error_of(b, Other)?["code"], &json!("atomic_executor_invalid_result"))
}

fn unknown_members(b: &Bench) -> Verdict {
    let run = b.atomic(Full)?;
    equal("the run's state", &b.run_ended(&run)?["state"], &json!("succeeded"))?;
    equal("outputs", &b.node(&run.root)?["outputs"], &json!({"keep": null}))
}

fn deadline(b: &Bench) -> Verdict {
    let more = json!({"constraints": {"budgets": {"max_wall_time_ms": 500}}});
    let run = b.started(&b.atomic_request(Deaf, more))?;
    b.work(&run.root)?;
    let ended = b.run_ended(&run)?;
    ensure(ended["state"] != "succeeded", || format!("{ended}"))?;
    b.cancel_call(&run.root)?;
    let root = b.node(&run.root)?;
    equal("code", &own(&root, "completion_error")["code"], &json!("deadline_exceeded"))
}

fn taken_off(b: &Bench) -> Verdict {
    let run = b.atomic(Deaf)?;
    b.work(&run.root)?;
    b.node_in(&run.root, "running")?;
    b.complete(&run.root, "failed")?.no_content()?;
    b.cancel_call(&run.root)?;
    b.executors()?.release(&run.root);
    let other = b.atomic(Echo)?;
    b.run_ended(&other)?;
    equal("the root's state", &b.node(&run.root)?["state"], &json!("failed"))
}

fn begin(b: &Bench) -> Verdict {
    for (behaviour, code) in [
        (Busy, "busy"),
        (Proxy, "composite_executor_unavailable"),
        (Garbage, "composite_executor_unavailable"),
    ] {
        let run = b.started(&b.composite_request(json!({"input": inputs(behaviour)})))?;
        equal("the run's state", &b.run_ended(&run)?["state"], &json!("failed"))?;
        equal("code", &own(&b.node(&run.root)?, "completion_error")["code"], &json!(code))?;
        // One accepted composite closes the circuit breaker.
        b.composite(json!({}))?;
    }
    Ok(())
}

fn alone(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let both = b.children(&run, &[b.atomic_spec(Hang, json!({})), b.atomic_spec(Garbage, json!({}))])?;
    let (sibling, broken) = (id_of(&both[0])?, id_of(&both[1])?);
    b.work(&sibling)?;
    equal("state", &b.node_ended(&broken)?["state"], &json!("failed"))?;
    equal("the sibling's state", &b.node_in(&sibling, "running")?["state"], &json!("running"))?;
    let events = b.events(&run)?;
    ensure(!types(&events).contains(&"run_completed"), || "the run is over".into())?;
    b.executors()?.release(&sibling);
    equal("the sibling's end", &b.node_ended(&sibling)?["state"], &json!("succeeded"))
}

fn no_addresses(b: &Bench) -> Verdict {
    let url = b.executors()?.url();
    for behaviour in [Garbage, Proxy] {
        let error = error_of(b, behaviour)?.to_string();
        let address = url.trim_start_matches("http://");
        ensure(!error.contains(address), || format!("the executor's address is in {error}"))?;
    }
    Ok(())
}
