//! Requests to executors, and their answers (§9).

use serde_json::{Value, json};

use crate::{
    bench::Bench,
    check::{Check, Need},
    executors::inputs,
    http::As,
    values::{id_of, nodes_of, own, text},
    verdict::{Verdict, ensure, equal, equal_but_nulls, skip},
};
use scripted_executor::Behaviour::{Echo, Fail, Hang, Reject};

const EXECUTORS: &[Need] = &[Need::Executors];

pub(super) const CHECKS: &[Check] = &[
    Check::new("core/9.1/unknown-kind", "A node of unknown kind fails with a message", unknown_kind),
    Check::new("core/9.2/running-with-binding", "A node at its executor is running, and says where", binding)
        .needs(EXECUTORS),
    Check::new(
        "core/9.3/execute",
        "The Atomic Executor gets the node with its type and inputs, once",
        execute,
    )
    .needs(EXECUTORS),
    Check::new("core/9.3/execute-in-full", "It gets run_context and constraints as well", execute_in_full)
        .needs(EXECUTORS)
        .differs("G26"),
    Check::new("core/9.3/result", "A result becomes evaluation, outputs and end of the node", result)
        .needs(EXECUTORS),
    Check::new("core/9.3/failure", "A failure becomes the node's, with the executor's own words", failure)
        .needs(EXECUTORS),
    Check::new("core/9.4/begin", "The Composite Executor gets the node and where to call back", begin)
        .needs(EXECUTORS),
    Check::new("core/9.4/rejected", "A composite that is not accepted fails as composite_rejected", rejected)
        .needs(EXECUTORS),
    Check::new("core/9.4/assignment-token", "A composite gets a token with which it can do its work", token)
        .needs(&[Need::Executors, Need::Token])
        .differs("G01"),
    Check::new("core/9.4/token-is-for-its-subtree", "That token is good for nothing else: 403", token_scope)
        .needs(&[Need::Executors, Need::Token])
        .differs("G01, D-19"),
];

fn unknown_kind(b: &Bench) -> Verdict {
    let neither = json!({"node_type_id": "conformance.neither", "version": "1.0.0"});
    let run = b.started(&json!({"root_node_type_ref": neither, "input": {}}))?;
    equal("the run's state", &b.run_ended(&run)?["state"], &json!("failed"))?;
    let root = b.node(&run.root)?;
    let error = own(&root, "completion_error");
    if error["code"] == "policy_denied" {
        return skip("the policy allows no type that is not registered");
    }
    equal("code", &error["code"], &json!("unknown_node_kind"))?;
    equal("message", &error["message"], &json!("Unable to resolve node kind"))
}

fn binding(b: &Bench) -> Verdict {
    let run = b.atomic(Hang)?;
    let root = b.node_in(&run.root, "running")?;
    text(&root, "started_at")?;
    let binding = &root["executor_binding"];
    equal("executor_instance_id", &binding["executor_instance_id"], &json!("arp-jarvis-atomic-executor"))?;
    let endpoint = text(binding, "endpoint")?;
    let wanted = b.executors()?.url();
    ensure(endpoint.trim_end_matches('/') == wanted, || format!("endpoint {endpoint}, not {wanted}"))
}

fn execute(b: &Bench) -> Verdict {
    let inputs = json!({"a": [1, null, "x"], "b": {}});
    let run = b.started(&b.atomic_request(Echo, json!({ "input": inputs })))?;
    let call = b.work(&run.root)?;
    equal("path", &json!(call.path), &json!("/v1/atomic-node-runs:execute"))?;
    equal("run_id", &call.body["run_id"], &json!(run.id))?;
    equal("inputs", &call.body["inputs"], &inputs)?;
    equal_but_nulls("node_type_ref", &call.body["node_type_ref"], &b.atomic_type())?;
    b.run_ended(&run)?;
    let executions = b.executors()?.executions(&run.root);
    ensure(executions == 1, || format!("executed {executions} times"))
}

fn execute_in_full(b: &Bench) -> Verdict {
    let (context, constraints) = (json!({"tenant_id": "t"}), json!({"structural": {"max_depth": 4}}));
    let more = json!({"run_context": context, "constraints": constraints});
    let run = b.started(&b.atomic_request(Echo, more))?;
    let call = b.work(&run.root)?;
    equal_but_nulls("run_context", &call.body["run_context"], &context)?;
    equal("max_depth", &call.body["constraints"]["structural"]["max_depth"], &json!(4))
}

fn result(b: &Bench) -> Verdict {
    let inputs = json!({"kept": [null, 1.5, {"x": "y"}]});
    let run = b.started(&b.atomic_request(Echo, json!({ "input": inputs })))?;
    b.run_ended(&run)?;
    let root = b.node(&run.root)?;
    equal("state", &root["state"], &json!("succeeded"))?;
    equal("outputs", &root["outputs"], &inputs)?;
    let evaluation = json!({"status": "success", "reason_code": "atomic_completed"});
    equal_but_nulls("evaluation_result", &root["evaluation_result"], &evaluation)?;
    ensure(root["started_at"].is_string() && root["ended_at"].is_string(), || format!("no times: {root}"))
}

fn failure(b: &Bench) -> Verdict {
    let run = b.atomic(Fail)?;
    equal("the run's state", &b.run_ended(&run)?["state"], &json!("failed"))?;
    let root = b.node(&run.root)?;
    equal("status", &root["evaluation_result"]["status"], &json!("fail"))?;
    let error = own(&root, "completion_error");
    equal("code", &error["code"], &json!("handler_error"))?;
    equal("message", &error["message"], &json!("it went wrong"))?;
    equal("details", &error["details"], &json!({"why": "on purpose"}))
}

fn begin(b: &Bench) -> Verdict {
    let (context, inputs) = (json!({"tenant_id": "t"}), json!({"goal": "g"}));
    let constraints = json!({"structural": {"max_depth": 4}});
    let more = json!({"input": inputs, "run_context": context, "constraints": constraints,
        "extensions": {"conformance.key": "x"}});
    let run = b.composite_with(more)?;
    let call = b.work(&run.root)?;
    equal("path", &json!(call.path), &json!("/v1/composite-node-runs:begin"))?;
    equal("run_id", &call.body["run_id"], &json!(run.id))?;
    equal("inputs", &call.body["inputs"], &inputs)?;
    equal_but_nulls("run_context", &call.body["run_context"], &context)?;
    equal("max_depth", &call.body["constraints"]["structural"]["max_depth"], &json!(4))?;
    equal("the extension", &call.body["extensions"]["conformance.key"], &json!("x"))?;
    let endpoint = text(&call.body, "coordinator_endpoint")?;
    ensure(endpoint.starts_with("http"), || format!("coordinator_endpoint {endpoint}"))?;
    let binding = &b.node(&run.root)?["executor_binding"];
    equal("executor_instance_id", &binding["executor_instance_id"], &json!("arp-jarvis-composite-executor"))
}

fn rejected(b: &Bench) -> Verdict {
    let run = b.started(&b.composite_request(json!({"input": inputs(Reject)})))?;
    equal("the run's state", &b.run_ended(&run)?["state"], &json!("failed"))?;
    let root = b.node(&run.root)?;
    let error = own(&root, "completion_error");
    equal("code", &error["code"], &json!("composite_rejected"))?;
    equal("message", &error["message"], &json!("no room"))
}

/// The header with which the executor of a composite calls back.
fn bearer(b: &Bench, node: &str) -> Verdict<String> {
    let call = b.work(node)?;
    Ok(format!("Bearer {}", text(&call.body, "assignment_token")?))
}

fn token(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let bearer = bearer(b, &run.root)?;
    let calls = As::Header(&bearer);
    let send = |path: &str, body: Value| {
        b.http.send("POST", path, calls, Some("application/json"), &body.to_string())
    };
    let create = json!({"run_id": run.id, "parent_node_run_id": run.root,
        "node_runs": [b.atomic_spec(Echo, json!({}))]});
    let child = nodes_of(&send("/v1/node-runs", create)?)?.remove(0);
    b.http.send("GET", &format!("/v1/node-runs/{}", id_of(&child)?), calls, None, "")?.ok()?;
    let report = json!({"evaluation_result": {"status": "success"}});
    send(&format!("{}:evaluation", run.root_path()), report)?.no_content()?;
    b.node_ended(&id_of(&child)?)?;
    send(&format!("{}:complete", run.root_path()), json!({"state": "succeeded"}))?.no_content()?;
    equal("the run's state", &b.run(&run)?["state"], &json!("succeeded"))
}

fn token_scope(b: &Bench) -> Verdict {
    let run = b.composite(json!({}))?;
    let other = b.composite(json!({}))?;
    let inner = id_of(&b.children(&run, &[b.composite_spec(json!({}))])?[0])?;
    let bearer = bearer(b, &inner)?;
    let calls = As::Header(&bearer);
    let done = json!({"state": "succeeded"}).to_string();
    for path in [format!("{}:complete", run.root_path()), format!("{}:complete", other.root_path())] {
        b.http.send("POST", &path, calls, Some("application/json"), &done)?.refused(403, "forbidden")?;
    }
    b.http.send("GET", &other.root_path(), calls, None, "")?.refused(403, "forbidden")?;
    Ok(())
}
