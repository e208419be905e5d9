//! Nodes that wait for approvals (contract §9.6), from the demand to the end, across
//! restarts. `operator` has the operator API itself.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jarvis_run_coordinator::types::{NodeRunId, NodeRunState, RunEvent, RunEventType, RunState};
use serde_json::{Value, json};

use crate::{
    operator::{LISTEN, PARK, listed, post},
    support::{
        FakeExecutors, FakeService, Program, TestMachine, TestServer, process::start_request, soon, spec,
    },
};

fn gated() -> Value {
    json!({"constraints": {"gates": {"require_approval": true}}})
}

async fn approval_of(t: &TestServer, node: &NodeRunId) -> Value {
    t.node_run(node).await.extensions.map_or(Value::Null, |own| own.value("jarvis.approval"))
}

/// Waits until the node has an approval; returns it.
async fn waits(t: &TestServer, node: &NodeRunId) -> Value {
    t.node_run_until(node, |node| {
        node.extensions.as_ref().is_some_and(|own| own.contains_key("jarvis.approval"))
    })
    .await;
    approval_of(t, node).await
}

async fn decide(t: &TestServer, approval: &Value, verb: &str) -> Value {
    let id = approval["approval_id"].as_str().expect("an id");
    post(t, &format!("/x/approvals/{id}:{verb}"), &json!({"reason": "as agreed"})).await.ok()
}

async fn error_of(t: &TestServer, node: &NodeRunId) -> Value {
    t.node_run(node).await.extensions.expect("an error").value("completion_error")
}

/// The number of approvals that wait, as health says.
async fn in_health(t: &TestServer) -> Value {
    let health = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let work = checks.iter().find(|check| check["name"] == "work").unwrap_or_else(|| panic!("{health}"));
    work["details"]["approvals"].clone()
}

#[tokio::test]
async fn gated_child_waits_while_its_siblings_work() {
    // One call at a time: what waits must not hold it.
    let one = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1");
    let t = TestServer::start_with(&[LISTEN, PARK, one]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    t.executors.called(":begin", 1).await;
    let mut gated_spec = spec("atomic.echo");
    gated_spec["constraints"] = json!({"gates": {"require_approval": true}});
    let specs = [gated_spec, spec("atomic.echo"), spec("atomic.fail")];
    let children = t.children(&run.run_id, &run.root_node_run_id, &specs).await;
    let ids: Vec<NodeRunId> = children.into_iter().map(|child| child.node_run_id).collect();
    let approval = waits(&t, &ids[0]).await;
    assert_eq!((&approval["demanded_by"], &approval["decision"]), (&json!("gate"), &Value::Null));
    t.node_run_in(&ids[1], NodeRunState::Succeeded).await;
    t.node_run_in(&ids[2], NodeRunState::Failed).await;
    let waiting = t.node_run(&ids[0]).await;
    assert_eq!((waiting.state, waiting.started_at), (NodeRunState::Queued, None));
    assert_eq!(waiting.recovery_actions.map(|actions| actions.len()), Some(1));
    soon("the count in health", async {
        while in_health(&t).await != json!(1) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(t.executors.executions(ids[0].as_str()), 0);
    decide(&t, &approval, "approve").await;
    t.node_run_in(&ids[0], NodeRunState::Succeeded).await;
    assert_eq!(t.executors.executions(ids[0].as_str()), 1);
    t.complete(&run.root_node_run_id, "succeeded").await;
    let events = t.events(&run.run_id).await;
    let of_child = |event: &&RunEvent| event.node_run_id.as_ref() == Some(&ids[0]);
    let types: Vec<String> = events.iter().filter(of_child).map(|event| event.type_.to_string()).collect();
    let expected = [
        "node_run_assigned",
        "policy_decided",
        "policy_decided",
        "recovery_applied",
        "policy_decided",
        "policy_decided",
        "node_evaluated",
        "atomic_executed",
    ];
    assert_eq!(types, expected);
    t.stop().await;
}

#[tokio::test]
async fn denied_node_fails_with_the_reason_of_the_caller() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    let run = t.run_start_with("atomic.echo", json!({}), gated()).await;
    let approval = waits(&t, &run.root_node_run_id).await;
    let denied = decide(&t, &approval, "deny").await;
    assert_eq!(denied["decision"]["outcome"], "denied");
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    let error = error_of(&t, &run.root_node_run_id).await;
    let decision = &error["details"]["approval"]["decision"];
    assert_eq!((&error["code"], &decision["reason"]), (&json!("approval_denied"), &json!("as agreed")));
    assert_eq!(decision["by"], json!({"kind": "caller", "subject": "dev"}));
    assert!(t.executors.calls().is_empty());
    t.stop().await;
}

/// A PDP that answers what it is set to; `null`: it is down.
fn pdp(answer: &Arc<Mutex<Value>>) -> FakeService {
    let answer = Arc::clone(answer);
    FakeService::start_with_status(move |_, _| match answer.lock().expect("a value").clone() {
        Value::Null => (503, json!("<html>no upstream</html>")),
        decision => (200, json!({"decision": decision, "approval_ref": {"approval_id": "ticket-7"}})),
    })
}

/// Lets time pass until the PDP has been asked so often.
async fn asked(machine: &TestMachine, pdp: &FakeService, count: usize) {
    soon("the next question", async {
        while pdp.requests().len() < count {
            machine.pass(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn policy_that_is_asked_again_lets_the_node_go_on() {
    let (answer, machine) = (Arc::new(Mutex::new(json!("require_approval"))), TestMachine::default());
    let pdp = pdp(&answer);
    let t =
        TestServer::start_with_clock(machine.clone(), &[LISTEN, PARK, ("JARVIS_PDP_URL", pdp.url())]).await;
    let run = t.run_start("atomic.echo", json!({"secret": 1})).await;
    assert_eq!(run.state, RunState::Running);
    let root = &run.root_node_run_id;
    let approval = approval_of(&t, root).await;
    assert_eq!((&approval["demanded_by"], &approval["action"]), (&json!("policy"), &json!("run.start")));
    assert_eq!(approval["approval_ref"], json!({"approval_id": "ticket-7"}));
    let events = t.events(&run.run_id).await.len();

    // It demands it still, and then is down, which is no denial.
    asked(&machine, &pdp, 3).await;
    *answer.lock().expect("a value") = Value::Null;
    asked(&machine, &pdp, 5).await;
    assert_eq!(approval_of(&t, root).await["decision"], Value::Null);
    assert_eq!(t.events(&run.run_id).await.len(), events, "questions are no events");
    // It is the same question each time.
    let requests = pdp.requests();
    assert!(requests.iter().all(|request| *request == requests[0]), "{requests:#?}");
    assert_eq!(requests[0]["action"], "run.start");

    *answer.lock().expect("a value") = json!("allow");
    soon("the end of the run", async {
        while !t.run(&run.run_id).await.state.is_terminal() {
            machine.pass(Duration::from_secs(5));
        }
    })
    .await;
    assert_eq!(t.run(&run.run_id).await.state, RunState::Succeeded);
    assert_eq!(approval_of(&t, root).await["decision"]["outcome"], "lifted");
    let actions: Vec<Value> = pdp.requests().iter().map(|request| request["action"].clone()).collect();
    assert_eq!(actions.last(), Some(&json!("node.run.execute")), "the root passes that checkpoint, too");
    t.stop().await;
}

#[tokio::test]
async fn policy_that_is_asked_again_may_deny() {
    let (answer, machine) = (Arc::new(Mutex::new(json!("require_approval"))), TestMachine::default());
    let pdp = pdp(&answer);
    let t =
        TestServer::start_with_clock(machine.clone(), &[LISTEN, PARK, ("JARVIS_PDP_URL", pdp.url())]).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    *answer.lock().expect("a value") = json!("deny");
    soon("the end of the run", async {
        while !t.run(&run.run_id).await.state.is_terminal() {
            machine.pass(Duration::from_secs(5));
        }
    })
    .await;
    assert_eq!(error_of(&t, &run.root_node_run_id).await["code"], "policy_denied");
    assert!(t.executors.calls().is_empty());
    t.stop().await;
}

#[tokio::test]
async fn grant_holds_at_every_checkpoint_of_the_node() {
    let answer = Arc::new(Mutex::new(json!("require_approval")));
    let pdp = pdp(&answer);
    let t = TestServer::start_with(&[LISTEN, PARK, ("JARVIS_PDP_URL", pdp.url())]).await;
    let run = t.run_start_with("atomic.echo", json!({}), gated()).await;
    let approval = waits(&t, &run.root_node_run_id).await;
    decide(&t, &approval, "approve").await;
    // Policy demands it at the dispatch as well, and so does the gate.
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let decided: Vec<Value> = t
        .events(&run.run_id)
        .await
        .iter()
        .filter(|event| event.type_ == RunEventType::PolicyDecided)
        .map(|event| {
            let data = event.data.as_ref().expect("data");
            json!([data.value("action"), data.value("decision"), data.value("approval_ref")["approval_id"]])
        })
        .collect();
    let id = &approval["approval_id"];
    assert_eq!(
        decided,
        [
            json!(["run.start", "require_approval", id]),
            json!(["node.run.approval", "allow", id]),
            json!(["node.run.execute", "require_approval", id]),
        ]
    );
    t.stop().await;
}

#[tokio::test]
async fn approval_expires_while_no_process_runs() {
    let machine = TestMachine::default();
    let vars = [LISTEN, PARK, ("JARVIS_RUN_COORDINATOR_APPROVAL_TIMEOUT", "1h")];
    let t = TestServer::start_with_clock(machine.clone(), &vars).await;
    let run = t.run_start_with("atomic.echo", json!({}), gated()).await;
    let approval = waits(&t, &run.root_node_run_id).await;
    let (journal, executors) = t.stop().await;
    machine.pass(Duration::from_secs(3601));
    let t = TestServer::try_start_with_clock(machine.clone(), journal, executors, &vars).await;
    let t = t.expect("the server starts");
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    let error = error_of(&t, &run.root_node_run_id).await;
    assert_eq!(error["code"], "approval_expired");
    assert_eq!(error["details"]["approval"]["decision"]["by"], json!({"kind": "coordinator"}));
    // It is too late for any decision, and it is decided once.
    let id = approval["approval_id"].as_str().expect("an id");
    for verb in ["approve", "deny"] {
        let late = post(&t, &format!("/x/approvals/{id}:{verb}"), &json!({"reason": "x"})).await;
        late.refused(409, "approval_ended");
    }
    let ends = |event: &&RunEvent| {
        let code = event.data.as_ref().and_then(|data| data.text("reason_code"));
        code.as_deref() == Some("approval_expired")
    };
    assert_eq!(t.events(&run.run_id).await.iter().filter(ends).count(), 1);
    t.stop().await;
}

#[tokio::test]
async fn cancel_ends_what_waits_for_an_approval() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    let run = t.run_start_with("composite.accept", json!({}), gated()).await;
    let approval = waits(&t, &run.root_node_run_id).await;
    assert_eq!(listed(&t, 1).await[0]["approval_id"], approval["approval_id"]);
    assert_eq!(t.cancel(&run.run_id).await.state, RunState::Canceled);
    let list = crate::operator::get(&t, "/x/approvals").await.ok();
    assert_eq!(list, json!({"items": []}), "it is not listed any more");
    let id = approval["approval_id"].as_str().expect("an id");
    let late = post(&t, &format!("/x/approvals/{id}:approve"), &json!({"reason": "x"})).await;
    late.refused(409, "approval_ended");
    t.at_rest().await;
    assert!(t.executors.calls().is_empty(), "its executor never heard of it");
    t.stop().await;
}

/// The real program is killed while a node waits, and after the decision.
#[tokio::test]
async fn approved_node_goes_on_after_a_kill() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var(LISTEN.0, LISTEN.1).var(PARK.0, PARK.1);
    let process = program.start().await;
    let mut request = start_request("r", "atomic.echo");
    request["constraints"] = json!({"gates": {"require_approval": true}});
    assert_eq!(process.post("/v1/runs", &request).await.0, 200);
    let waits = process.logged("node waits for an approval", 1).await;
    let id = waits["approval_id"].as_str().expect("an id").to_owned();
    process.kill().await;

    // Killed between the decision and the dispatch.
    let program = program.var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "false");
    let process = program.start().await;
    let line = process.logged("listening for operators", 1).await;
    let path = format!("http://{}/x/approvals", line["address"].as_str().expect("an address"));
    let http = reqwest::Client::new();
    let list: Value = http.get(&path).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&list["items"][0]["approval_id"], &list["items"][1]), (&json!(id), &Value::Null));
    assert_eq!(executors.executions(waits["node_run_id"].as_str().expect("an id")), 0);
    let approve = http.post(format!("{path}/{id}:approve")).json(&json!({"reason": "as agreed"}));
    assert_eq!(approve.send().await.expect("an answer").status(), 200);
    process.kill().await;

    let program = program.var("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "true");
    let process = program.start().await;
    assert_eq!(process.run_ended("r").await, "succeeded");
    process.terminate().await;
    let checked = program.command(&["journal", "check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}
