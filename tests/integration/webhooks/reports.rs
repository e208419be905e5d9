//! Each kind of report, as its receiver gets it.

use std::{collections::BTreeSet, time::Duration};

use jarvis_run_coordinator::types::RunState;
use serde_json::json;

use super::{ALL, create, secret, status_until};
use crate::{
    operator::{LISTEN, PARK},
    support::{Receiver, Report, TestMachine, TestServer, soon},
};

/// What holds for every report.
fn check(report: &Report, secret: &str) {
    let event = report.event();
    assert!(report.is_signed(secret), "{report:?}");
    assert_eq!(report.header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!((&event["specversion"], &event["id"]), (&json!("1.0"), &json!(report.header("webhook-id"))));
    assert_eq!(event["source"], "http://127.0.0.1:1");
    assert!(event["time"].is_string() && event["subject"].is_string(), "{event}");
    for content in ["of the caller", "hunter2", "inputs", "outputs"] {
        assert!(!report.body.contains(content), "{}", report.body);
    }
}

#[tokio::test]
async fn runs_nodes_and_approvals_are_reported_signed() {
    let receiver = Receiver::start();
    let t = TestServer::start_with(&[LISTEN, PARK, receiver.target()]).await;
    let webhook = create(&t, &format!("{}/hook?key=1", receiver.url()), &ALL).await;
    let secret = secret(&webhook);

    let run = t.run_start("atomic.echo", json!({"x": "of the caller"})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let report = receiver.received("org.arp.run.completed", 1).await.remove(0);
    check(&report, secret);
    assert_eq!(report.path, "/hook");
    let event = report.event();
    assert_eq!(event["subject"], json!(run.run_id));
    let data = &event["data"];
    assert_eq!((&data["run_id"], &data["state"]), (&json!(run.run_id), &json!("succeeded")));
    assert_eq!(data["node_type"], json!({"id": "atomic.echo", "version": "1.0.0"}));
    assert_eq!(data["links"]["run"], format!("http://127.0.0.1:1/v1/runs/{}", run.run_id));
    assert!(data.get("error_code").is_none() && data["ended_at"].is_string(), "{event}");

    let failed = t.run_start("atomic.fail", json!({"x": "of the caller"})).await;
    assert_eq!(t.run_ended(&failed.run_id).await.state, RunState::Failed);
    let report = receiver.received("org.arp.node_run.failed", 1).await.remove(0);
    check(&report, secret);
    let data = &report.event()["data"];
    assert_eq!((&data["run_id"], &data["state"]), (&json!(failed.run_id), &json!("failed")));
    assert_eq!(data["node_run_id"], json!(failed.root_node_run_id));
    let code = t.node_run(&failed.root_node_run_id).await.extensions.expect("an error");
    assert_eq!(data["error_code"], code.value("completion_error")["code"]);
    let over = receiver.received("org.arp.run.completed", 2).await.remove(1).event();
    assert_eq!(
        (&over["data"]["state"], &over["data"]["error_code"]),
        (&json!("failed"), &data["error_code"])
    );

    let gated = json!({"constraints": {"gates": {"require_approval": true}}});
    let waits = t.run_start_with("atomic.echo", json!({"x": "of the caller"}), gated).await;
    let report = receiver.received("org.arp.approval.requested", 1).await.remove(0);
    check(&report, secret);
    let data = &report.event()["data"];
    assert_eq!(data["approval_id"], format!("{}.1", waits.root_node_run_id));
    assert!(data["expires_at"].is_string(), "{data}");

    // All of it once.
    status_until(&t, &webhook, |status| status["backlog"] == 0).await;
    assert_eq!(receiver.reports().len(), 4);
    t.stop().await;
}

#[tokio::test]
async fn parked_work_is_reported_after_the_restart() {
    let receiver = Receiver::start();
    let vars = [LISTEN, TestServer::IDLE[0], receiver.target()];
    let t = TestServer::start_with(&vars).await;
    let webhook = create(&t, receiver.url(), &["work.parked"]).await;
    let bad = t.run_start("atomic.echo", json!({})).await;
    let damage = [("UPDATE node_runs SET body = '{' WHERE node_run_id = ?", bad.root_node_run_id.as_str())];
    let t = t.tampered(&[LISTEN, receiver.target()], &damage).await;
    let report = receiver.received("org.arp.work.parked", 1).await.remove(0);
    check(&report, secret(&webhook));
    let data = &report.event()["data"];
    assert_eq!((&data["node_run_id"], &data["job"]), (&json!(bad.root_node_run_id), &json!("dispatch")));
    t.stop().await;
}

#[tokio::test]
async fn executor_is_reported_when_it_goes_and_when_it_returns() {
    let (receiver, machine) = (Receiver::start(), TestMachine::default());
    let t = TestServer::start_with_clock(machine.clone(), &[LISTEN, receiver.target()]).await;
    let webhook = create(&t, receiver.url(), &["executor.down", "executor.up"]).await;
    t.executors.overload(true);
    let run = t.run_start("atomic.echo", json!({})).await;
    let passes = async |type_: &str| {
        let arrives = receiver.received(type_, 1);
        tokio::pin!(arrives);
        soon(type_, async {
            loop {
                tokio::select! {
                    reports = &mut arrives => return reports,
                    () = tokio::task::yield_now() => machine.pass(Duration::from_millis(100)),
                }
            }
        })
        .await
        .remove(0)
    };
    let down = passes("org.arp.executor.down").await;
    check(&down, secret(&webhook));
    assert_eq!(down.event()["data"], json!({"executor": "atomic_executor"}));
    t.executors.overload(false);
    // A call that succeeds closes the breaker.
    let again = t.run_start("atomic.echo", json!({})).await;
    let up = passes("org.arp.executor.up").await;
    check(&up, secret(&webhook));
    assert_eq!(up.event()["subject"], "atomic_executor");
    // Time flies, so a request may be repeated; but there are two reports.
    let ids: BTreeSet<String> =
        receiver.reports().iter().map(|report| report.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    for run in [run, again] {
        t.cancel(&run.run_id).await;
    }
    t.stop().await;
}
