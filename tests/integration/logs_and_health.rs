//! What an operator sees who has the log and health, and nothing else (contract §6.1,
//! §12): a run that starts and ends, work that waits, a service that goes and returns,
//! why a run has failed.

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use serde_json::{Value, json};

use crate::support::{
    FakeExecutors, FakeService, Program, TestServer,
    process::{Process, start_request},
    soon,
};

const TWO_SLOTS: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "2");
const OPERATOR: (&str, &str) = ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");

/// Waits until a health check is as wanted; returns it.
async fn check_until(process: &Process, name: &str, done: impl Fn(&Value) -> bool) -> Value {
    soon(name, async {
        loop {
            let (status, health) = process.get("/v1/health").await;
            assert_eq!(status, 200, "{health}");
            let checks = health["checks"].as_array().expect("checks");
            let check = checks.iter().find(|check| check["name"] == name).expect("the check");
            if done(check) {
                return check.clone();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Both slots are held by nodes that hang, and others wait for them.
#[tokio::test]
async fn full_executor_is_in_health_log_and_explain() {
    const RUNS: usize = 12;
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors)
        .var(TWO_SLOTS.0, TWO_SLOTS.1)
        .var(OPERATOR.0, OPERATOR.1)
        .var("JARVIS_RUN_COORDINATOR_WAITING_DEGRADED_SECS", "1");
    let process = program.start().await;
    let operators = process.logged("listening for operators", 1).await;
    let started = process.logged("started", 1).await;
    assert_eq!((&started["profile"], &started["runs_live"]), (&json!("dev-insecure"), &json!(0)));
    let executor = started["atomic_executor"].as_str().expect("an executor");
    assert!(executor.contains("127.0.0.1:") && executor.ends_with("(2 slots each)"), "{started}");

    for number in 0..RUNS {
        process.run_start(&format!("r{number}"), "atomic.deaf").await;
    }
    let line = process.logged("run started", RUNS).await;
    assert_eq!(line["run_id"], format!("r{}", RUNS - 1));
    assert_eq!((&line["node_type_id"], &line["level"]), (&json!("atomic.deaf"), &json!("INFO")));
    assert!(line["subject"].is_string(), "{line}");

    let work = check_until(&process, "work", |work| work["status"] == "degraded").await;
    let message = work["message"].as_str().expect("a message");
    assert!(message.starts_with("10 node runs wait, the oldest for "), "{message}");
    let cause = "at atomic_executor: waiting_for_slot, 2 of 2 slots are in use";
    assert!(message.ends_with(cause), "{message}");
    assert_eq!((&work["details"]["waiting"], &work["details"]["executing"]), (&json!(10), &json!(2)));
    let atomic = &work["details"]["executors"]["atomic_executor"];
    assert_eq!(
        (&atomic["slots"], &atomic["slots_in_use"], &atomic["waiting_for_slot"]),
        (&json!(2), &json!(2), &json!(10))
    );
    assert_eq!(process.get("/readyz").await.0, 200, "an executor that is full does not stop the rest");

    // `explain` says the same of a node that waits.
    let at_executor: Vec<String> =
        executors.calls().iter().map(|call| call.body["run_id"].to_string()).collect();
    let mut waits = (0..RUNS).map(|number| format!("r{number}"));
    let waits = waits.find(|run| !at_executor.contains(&format!("\"{run}\""))).expect("one waits");
    let root = process.run_get(&waits).await["root_node_run_id"].as_str().expect("an id").to_owned();
    let operators = operators["address"].as_str().expect("an address");
    let explained = reqwest::get(format!("http://{operators}/x/node-runs/{root}/explain")).await;
    let explained: Value = explained.expect("an answer").json().await.expect("JSON");
    assert_eq!(explained["reasons"][0]["cause"]["code"], "waiting_for_slot", "{explained}");

    for number in 0..RUNS {
        let (status, answer) = process.post(&format!("/v1/runs/r{number}:cancel"), &json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let line = process.logged("run ended", RUNS).await;
    assert_eq!((&line["state"], &line["node_runs"]), (&json!("canceled"), &json!(1)));
    let work = check_until(&process, "work", |work| work["status"] == "ok").await;
    assert_eq!((&work["details"]["waiting"], &work["details"]["longest_wait"]), (&json!(0), &Value::Null));
    process.kill().await;
}

#[tokio::test]
async fn log_has_no_lines_about_runs_if_they_are_off() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_LOG_RUNS", "off");
    let process = program.start().await;
    process.run_start("r", "atomic.echo").await;
    assert_eq!(process.run_ended("r").await, "succeeded");
    let ended = process.terminate().await;
    assert!(
        ended.stdout.contains("\"stopped\"") && !ended.stdout.contains("\"run ended\""),
        "{}",
        ended.stdout
    );
}

/// An executor that cannot serve has a line when it goes and when it returns.
#[tokio::test]
async fn executor_that_goes_and_returns_is_in_the_log() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    executors.overload(true);
    for number in 0..5 {
        process.run_start(&format!("r{number}"), "atomic.echo").await;
    }
    let gone = process.logged("a service is unavailable", 1).await;
    assert_eq!((&gone["level"], &gone["service"]), (&json!("WARNING"), &json!("atomic_executor")));
    let host = executors.url().trim_start_matches("http://");
    assert_eq!((gone["host"].as_str(), &gone["failures"]), (Some(host), &json!(5)));
    assert!(
        gone["since"].is_string() && gone["error"].as_str().is_some_and(|error| !error.is_empty()),
        "{gone}"
    );
    let check = check_until(&process, "atomic_executor", |check| check["status"] == "degraded").await;
    assert!(check["message"].as_str().is_some_and(|message| message.contains("breaker is open")), "{check}");
    executors.overload(false);
    let back = process.logged("a service is available again", 1).await;
    assert_eq!((&back["service"], &back["since"]), (&gone["service"], &gone["since"]));
    assert!(back["failures"].as_u64() >= Some(5) && back["after_seconds"].is_u64(), "{back}");
    for number in 0..5 {
        assert_eq!(process.run_ended(&format!("r{number}")).await, "succeeded");
    }
    process.terminate().await;
}

/// A PDP and a registry that do not answer are in health; what is not configured says
/// so.
#[tokio::test]
async fn services_that_do_not_answer_are_in_health() {
    let pdp = FakeService::start_with_status(|_, _| (503, json!({})));
    let registry = FakeService::start_with_status(|_, _| (500, json!({})));
    let t = TestServer::start_with(&[
        ("JARVIS_PDP_URL", pdp.url()),
        ("JARVIS_NODE_REGISTRY_URL", registry.url()),
    ])
    .await;
    let checks = async || {
        let health: Value = t.get("/v1/health").await.ok();
        let of = |name: &str| {
            let found =
                health["checks"].as_array().expect("checks").iter().find(|check| check["name"] == name);
            found.expect("the check").clone()
        };
        (of("pdp"), of("node_registry"), of("token_service"))
    };
    let (pdp_check, registry_check, tokens) = checks().await;
    assert_eq!((&pdp_check["status"], &registry_check["status"]), (&json!("ok"), &json!("ok")));
    assert_eq!((&tokens["status"], &tokens["message"]), (&json!("ok"), &json!("Not used")));
    let refused = t.post("/v1/runs", &start_request("r", "custom.type")).await;
    refused.refused(503, "node_registry_unavailable");
    let registry_check = checks().await.1;
    assert_eq!(registry_check["status"], "degraded", "{registry_check}");
    assert!(!registry_check.to_string().contains("127.0.0.1"), "health is public");
    assert_eq!(registry_check["details"]["failures"], 1, "{registry_check}");
    t.stop().await;
}

/// One look at a failed run, or at its last event, says what happened.
#[tokio::test]
async fn failed_run_and_its_last_events_say_why() {
    let t = TestServer::start().await;
    let run = t.run_start("atomic.fail", json!({})).await;
    let ended = t.run_ended(&run.run_id).await;
    assert_eq!(ended.state, RunState::Failed);
    let root = t.node_run(&run.root_node_run_id).await;
    let whole = root.extensions.expect("extensions").value("completion_error");
    let shown = ended.extensions.expect("extensions").value("jarvis.error");
    let expected =
        json!({"code": whole["code"], "message": whole["message"], "node_run_id": run.root_node_run_id});
    assert_eq!(shown, expected);
    let events = t.events(&run.run_id).await;
    for event in events.iter().rev().take(2) {
        let extensions = event.extensions.clone().expect("extensions");
        assert_eq!(extensions.value("jarvis.error"), expected, "{}", event.type_);
    }
    let earlier = events[0].extensions.clone().expect("extensions");
    assert!(!earlier.contains_key("jarvis.error"));
    // Not one that succeeded, whatever its caller sends.
    let request = json!({"extensions": {"jarvis.error": {"code": "made_up"}}});
    let fine = t.run_start_with("atomic.echo", json!({}), request).await;
    let fine = t.run_ended(&fine.run_id).await;
    assert!(!fine.extensions.is_some_and(|extensions| extensions.contains_key("jarvis.error")));
    t.stop().await;
}

/// The error of a node past its deadline says whether it ever left the queue.
#[tokio::test]
async fn node_past_its_deadline_says_where_it_was() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1")]).await;
    let holds = t.run_start("atomic.hang", json!({})).await;
    t.executors.called(":execute", 1).await;
    let short = json!({"constraints": {"budgets": {"max_wall_time_ms": 300}}});
    let waits = t.run_start_with("atomic.echo", json!({}), short).await;
    let node = t.node_run_in(&waits.root_node_run_id, NodeRunState::Failed).await;
    let error = node.extensions.expect("extensions").value("completion_error");
    let message = "NodeRun exceeded its deadline: it was never handed to an executor; it waited 0 s for a free \
                   slot of the atomic executor";
    assert_eq!((&error["code"], &error["message"]), (&json!("deadline_exceeded"), &json!(message)));
    let details = &error["details"];
    assert_eq!((&details["handed_over"], &details["waited_for"]), (&json!(false), &json!("slot")));
    assert!(details["queued_since"].is_string(), "{error}");
    t.executors.release(holds.root_node_run_id.as_str());
    t.run_ended(&holds.run_id).await;
    t.stop().await;
}
