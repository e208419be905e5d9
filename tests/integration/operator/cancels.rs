//! Cancels with a report of what became of each node, and nodes that are tried now.

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use serde_json::{Value, json};

use super::{LISTEN, get, post};
use crate::support::{Answer, TestServer, spec};

/// Makes a wake-up due in a distant future.
const LATER: &str = "UPDATE node_runs SET wake_at = 4000000000000000, deadline = 4000000000000000,
                     body = json_set(body, '$.deadline', '2096-10-02T07:06:40.000000Z') WHERE node_run_id = ?";
const PARKED: &str = "INSERT INTO parked SELECT run_id, node_run_id, 'dispatch', 'it broke', 1, wake_at, 5
                      FROM node_runs WHERE node_run_id = ?";

#[tokio::test]
async fn waiting_node_is_tried_now() {
    let idle = [LISTEN, TestServer::IDLE[0]];
    for parked in [false, true] {
        let t = TestServer::start_with(&idle).await;
        let run = t.run_start("atomic.echo", json!({})).await;
        let root = run.root_node_run_id.to_string();
        let edits = if parked { vec![(LATER, &*root), (PARKED, &*root)] } else { vec![(LATER, &*root)] };
        let t = t.tampered(&[LISTEN], &edits).await;
        let reason =
            get(&t, &format!("/x/node-runs/{root}/explain")).await.ok()["reasons"][0]["cause"].clone();
        assert_eq!(reason["code"], if parked { "parked" } else { "postponed" });
        let wake = format!("/x/node-runs/{root}:wake");
        let woken = post(&t, &wake, &json!({"reason": "it is repaired"})).await.ok();
        assert_eq!((&woken["node_run_id"], &woken["run_id"]), (&json!(root), &json!(run.run_id)));
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
        assert_eq!(t.executors.executions(&root), 1);
        let node = t.node_run(&run.root_node_run_id).await;
        assert_eq!(node.recovery_actions, None);
        // What does not wait for a time says where it is.
        let refused = post(&t, &wake, &json!({"reason": "again"})).await.refused(409, "node_run_not_waiting");
        assert!(refused.to_string().contains("The node has ended: succeeded"), "{refused}");
        let audited = t.audit_trail().into_iter().filter(|record| record["operation"] == "wake_node_run");
        let details: Vec<Value> = audited.map(|record| record["detail"].clone()).collect();
        assert_eq!(details, ["it is repaired"]);
        t.stop().await;
    }
}

#[tokio::test]
async fn node_at_its_executor_is_not_woken() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let run = t.run_start("atomic.hang", json!({})).await;
    t.executors.called(":execute", 1).await;
    let wake = format!("/x/node-runs/{}:wake", run.root_node_run_id);
    let refused = post(&t, &wake, &json!({"reason": "go"})).await.refused(409, "node_run_not_waiting");
    assert!(refused.to_string().contains("Attempt 1 is at the executor"), "{refused}");
    post(&t, "/x/node-runs/none:wake", &json!({"reason": "go"})).await.refused(404, "node_run_not_found");
    t.cancel(&run.run_id).await;
    t.stop().await;
}

/// The fate of each node in a report, by its path.
fn fates(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let nodes = report["node_runs"].as_array().expect("nodes");
    nodes.iter().map(|node| (text(&node["path"]), text(&node["fate"]))).collect()
}

#[tokio::test]
async fn cancel_reports_what_became_of_each_node() {
    let t = TestServer::start_with(&[LISTEN, ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1")]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    let specs = [spec("atomic.hang"), spec("atomic.echo")];
    let children = t.children(&run.run_id, &run.root_node_run_id, &specs).await;
    t.executors.called(":execute", 1).await;
    t.executors.refuse_cancels(true);
    let path = format!("/x/runs/{}", run.run_id);
    post(&t, &format!("{path}:cancel"), &json!({"reason": ""})).await.refused(400, "invalid_request");
    get(&t, &format!("{path}/cancel-report")).await.refused(409, "run_not_canceled");
    let report = post(&t, &format!("{path}:cancel"), &json!({"reason": "not needed"})).await.ok();
    assert_eq!((&report["state"], &report["canceled"]["reason"]), (&json!("canceled"), &json!("not needed")));
    let waiting = [("1", "notified"), ("1.2", "notified"), ("1.3", "never_started")];
    let owned = |fates: [(&str, &str); 3]| fates.map(|(path, fate)| (path.to_owned(), fate.to_owned()));
    assert_eq!(fates(&report), owned(waiting));
    assert_eq!(report["counts"], json!({"never_started": 1, "notified": 2}));
    assert_eq!(report["node_runs"][2]["node_run_id"], json!(children[1].node_run_id));
    // It is on the Run, and in the audit trail.
    let shown = t.run(&run.run_id).await.extensions.expect("extensions").value("jarvis.canceled");
    assert_eq!((&shown["reason"], &shown["by"]["subject"]), (&json!("not needed"), &json!("dev")));
    let audited = t.audit_trail().into_iter().find(|record| record["operation"] == "cancel_run_with_report");
    assert_eq!(audited.expect("a record")["detail"], "live node runs: 3: not needed");
    // Later the same report has gone on; a caller may wait for that.
    t.executors.refuse_cancels(false);
    let request = t.operator_request("GET", &format!("{path}/cancel-report")).header("Prefer", "wait=30");
    let answer = Answer::of(request).await;
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    let acknowledged = [("1", "acknowledged"), ("1.2", "acknowledged"), ("1.3", "never_started")];
    assert_eq!(fates(&answer.ok()), owned(acknowledged));
    // A repetition is answered with the report, and changes nothing.
    let again = post(&t, &format!("{path}:cancel"), &json!({"reason": "again"})).await.ok();
    assert_eq!(again, answer.ok());
    t.stop().await;
}
