//! Error envelopes (§3.6), and the two endpoints without authentication (§6.1,
//! §6.2).

use serde_json::{Value, json};

use crate::{
    bench::Bench,
    check::Check,
    http::As,
    values::text,
    verdict::{Verdict, ensure, equal, same},
};
use scripted_executor::Behaviour::Echo;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "core/3.6/places-of-errors",
        "A validation error says where and what kind, all at once",
        places,
    ),
    Check::new("core/3.6/no-input-echo", "What the caller sent does not come back in errors", no_echo)
        .differs("G46"),
    Check::new("core/3.6/broken-json", "A body that is no JSON, or no object, is 400", broken),
    Check::new(
        "core/3.6/unknown-run",
        "What is not known of a run is 404 run_not_found, by name",
        unknown_run,
    ),
    Check::new(
        "core/3.6/unknown-node-run",
        "What is not known of a NodeRun is 404 node_run_not_found",
        unknown_node,
    ),
    Check::new("core/3.6/unknown-route", "A route that is not there is 404 in an envelope", unknown_route)
        .differs("G44"),
    Check::new("core/3.6/wrong-method", "A wrong method is 405 in an envelope", wrong_method).differs("G44"),
    Check::new("core/6.1/health", "Health is 200 without a token, with a status and a time", health),
    Check::new("core/6.1/health-checks", "Health has a check for each dependency", health_checks)
        .differs("G38"),
    Check::new(
        "core/6.2/version",
        "Version is 200 without a token, names the service, and lists v1",
        version,
    ),
];

fn places(b: &Bench) -> Verdict {
    let body = json!({"input": "x", "run_id": ["x"], "alpha": 1});
    let error = b.start(&body)?.refused(400, "invalid_request")?;
    equal("message", &error["message"], &json!("Request validation failed"))?;
    let errors = error["details"]["errors"].as_array().cloned().unwrap_or_default();
    for (kind, place) in [
        ("dict_type", json!(["body", "input"])),
        ("missing", json!(["body", "root_node_type_ref"])),
        ("string_type", json!(["body", "run_id"])),
        ("extra_forbidden", json!(["body", "alpha"])),
    ] {
        let seen = errors.iter().any(|error| error["type"] == kind && error["loc"] == place);
        ensure(seen, || format!("no {kind} at {place} in {error}"))?;
    }
    Ok(())
}

fn no_echo(b: &Bench) -> Verdict {
    let secret = b.fresh("secret");
    let answer = b.start(&json!({"input": secret, "run_id": [secret], "alpha": {"b": secret}}))?;
    answer.refused(400, "invalid_request")?;
    if answer.text.contains(&secret) { answer.wrong("has the input in it") } else { Ok(()) }
}

fn broken(b: &Bench) -> Verdict {
    for body in ["{", "", "[]", "\"x\"", "null", "{\"a\": x}", "{} {}"] {
        let answer = b.start_text(body)?;
        if answer.refused(400, "invalid_request").is_err() {
            return answer.wrong(&format!("is not 400 invalid_request, for {body:?}"));
        }
    }
    Ok(())
}

fn unknown_run(b: &Bench) -> Verdict {
    let id = b.fresh("nowhere");
    let message = format!("Run '{id}' not found");
    b.get(&format!("/v1/runs/{id}"))?.says(404, "run_not_found", &message)?;
    b.post(&format!("/v1/runs/{id}:cancel"), &json!({}))?.says(404, "run_not_found", &message)?;
    let specs = json!([b.atomic_spec(Echo, json!({}))]);
    let create = json!({"run_id": id, "parent_node_run_id": "x", "node_runs": specs});
    b.post("/v1/node-runs", &create)?.says(404, "run_not_found", &message)
}

fn unknown_node(b: &Bench) -> Verdict {
    let id = b.fresh("unknown");
    let message = format!("NodeRun '{id}' not found");
    let path = format!("/v1/node-runs/{id}");
    b.get(&path)?.says(404, "node_run_not_found", &message)?;
    b.get(&format!("{path}/events"))?.says(404, "node_run_not_found", &message)?;
    let report = json!({"evaluation_result": {"status": "success"}});
    b.post(&format!("{path}:evaluation"), &report)?.says(404, "node_run_not_found", &message)?;
    b.complete(&id, "succeeded")?.says(404, "node_run_not_found", &message)
}

fn unknown_route(b: &Bench) -> Verdict {
    for path in ["/v1/nothing", "/nothing", "/v1/runs/a/b/c"] {
        b.get(path)?.says(404, "http_error", "Not Found")?;
    }
    Ok(())
}

fn wrong_method(b: &Bench) -> Verdict {
    for (method, path) in [("GET", "/v1/runs"), ("PUT", "/v1/node-runs"), ("DELETE", "/v1/runs/a")] {
        let answer = b.http.send(method, path, As::Caller, None, "")?;
        answer.says(405, "http_error", "Method Not Allowed")?;
    }
    Ok(())
}

fn health(b: &Bench) -> Verdict {
    let health = b.http.send("GET", "/v1/health", As::Anonymous, None, "")?.ok()?;
    text(&health, "time")?;
    let status = text(&health, "status")?;
    ensure(["ok", "degraded", "down"].contains(&status.as_str()), || format!("status {status}"))
}

fn health_checks(b: &Bench) -> Verdict {
    let health = b.get("/v1/health")?.ok()?;
    let checks = health["checks"].as_array().cloned().unwrap_or_default();
    ensure(!checks.is_empty(), || format!("no checks in {health}"))?;
    checks.iter().try_for_each(|check: &Value| text(check, "name").and(text(check, "status")).map(|_| ()))
}

fn version(b: &Bench) -> Verdict {
    let version = b.http.send("GET", "/v1/version", As::Anonymous, None, "")?.ok()?;
    same("service_name", &text(&version, "service_name")?, &"arp-jarvis-run-coordinator".to_owned())?;
    text(&version, "service_version")?;
    let spoken = version["supported_api_versions"].as_array().cloned().unwrap_or_default();
    ensure(spoken.contains(&json!("v1")), || format!("v1 is not in {spoken:?}"))
}
