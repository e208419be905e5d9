//! The matrix of callers and operations of the operator API, with the callers of
//! `matrix`. After an intended change, rewrite the file with
//! `EXPECTORATE=overwrite cargo test --test integration authority`.

use std::fmt::Write as _;

use jarvis_run_coordinator::record::{Interface, Operation};
use serde_json::{Value, json};

use super::{
    Caller, guarded,
    matrix::{CALLERS, Scene, caller},
};
use crate::support::{Answer, Sts, soon};

/// Creates a node that waits for an approval, under the root of alice's run; returns
/// the id of the approval.
async fn waiting(alice: &Caller<'_>, scene: &Scene) -> String {
    let gated = json!({"run_id": scene.run, "parent_node_run_id": scene.root, "node_runs": [{
        "node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"}, "inputs": {},
        "constraints": {"gates": {"require_approval": true}},
    }]});
    let created = alice.post("/v1/node-runs", &gated).await.ok();
    let node = created["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/node-runs/{node}");
    soon("the approval", async {
        loop {
            let node = alice.get(&path).await.ok();
            if let Some(id) = node["extensions"]["jarvis.approval"]["approval_id"].as_str() {
                return id.to_owned();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A webhook that reports the runs of acme; returns its path.
async fn webhook(admin: &Caller<'_>) -> String {
    let request = json!({"url": NOWHERE, "events": ["run.completed"], "filter": {"tenant": "acme"}});
    let created = admin.operate("POST", "/x/webhooks", &request).await;
    assert_eq!(created.status, 201, "{}", created.text);
    format!("/x/webhooks/{}", created.body()["webhook_id"].as_str().expect("an id"))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the caller gives those about webhooks only")]
async fn ask_webhook(admin: &Caller<'_>, caller: &Caller<'_>, operation: Operation) -> Answer {
    let hook = webhook(admin).await;
    let (method, path) = match operation {
        Operation::ListWebhooks => ("GET", "/x/webhooks".to_owned()),
        Operation::GetWebhook => ("GET", hook.clone()),
        Operation::DeleteWebhook => ("DELETE", hook.clone()),
        Operation::TestWebhook => ("POST", format!("{hook}:test")),
        Operation::ListWebhookDeliveries => ("GET", format!("{hook}/deliveries")),
        Operation::RedeliverWebhook => ("POST", format!("{hook}/deliveries/1:redeliver")),
        other => unreachable!("{other} is not about a webhook"),
    };
    let answer = caller.operate(method, &path, &Value::Null).await;
    // It must not count for the next.
    admin.operate("DELETE", &hook, &Value::Null).await;
    answer
}

async fn ask(
    scene: &Scene,
    approval: &str,
    callers: (&Caller<'_>, &Caller<'_>),
    operation: Operation,
) -> Answer {
    let (caller, admin) = callers;
    let path = format!("/x/approvals/{approval}");
    let reason = json!({"reason": "because"});
    match operation {
        Operation::ListApprovals => {
            let list = format!("/x/approvals?run_id={}", scene.run);
            caller.operate("GET", &list, &Value::Null).await
        }
        Operation::GetApproval => caller.operate("GET", &path, &Value::Null).await,
        Operation::ApproveNodeRun => caller.operate("POST", &format!("{path}:approve"), &reason).await,
        Operation::DenyNodeRun => caller.operate("POST", &format!("{path}:deny"), &reason).await,
        Operation::ListRuns => {
            let list = format!("/x/runs?id_prefix={}", scene.run);
            caller.operate("GET", &list, &Value::Null).await
        }
        Operation::CountRuns => {
            let count = format!("/x/runs:count?by=state&id_prefix={}", scene.run);
            caller.operate("GET", &count, &Value::Null).await
        }
        Operation::GetRunTree => {
            caller.operate("GET", &format!("/x/runs/{}/tree", scene.run), &Value::Null).await
        }
        Operation::ListAttempts => {
            caller.operate("GET", &format!("/x/node-runs/{}/attempts", scene.node), &Value::Null).await
        }
        Operation::ExplainRun => {
            caller.operate("GET", &format!("/x/runs/{}/explain", scene.run), &Value::Null).await
        }
        Operation::ExplainNodeRun => {
            caller.operate("GET", &format!("/x/node-runs/{}/explain", scene.node), &Value::Null).await
        }
        Operation::RerunRun => caller.operate("POST", &format!("/x/runs/{}:rerun", scene.run), &reason).await,
        Operation::StartBulk => {
            let body = json!({"action": "cancel", "reason": "because", "ids": ["nowhere"]});
            caller.operate("POST", "/x/bulk", &body).await
        }
        Operation::ListBulk => caller.operate("GET", "/x/bulk", &Value::Null).await,
        Operation::GetBulk => caller.operate("GET", "/x/bulk/nowhere", &Value::Null).await,
        Operation::ListBulkResults => caller.operate("GET", "/x/bulk/nowhere/results", &Value::Null).await,
        Operation::AbortBulk => caller.operate("POST", "/x/bulk/nowhere:abort", &reason).await,
        Operation::ShowRun => caller.operate("GET", &format!("/x/runs/{}", scene.run), &Value::Null).await,
        Operation::ShowNodeRun => {
            caller.operate("GET", &format!("/x/node-runs/{}", scene.node), &Value::Null).await
        }
        Operation::ShowRunEvents => {
            caller.operate("GET", &format!("/x/runs/{}/events", scene.run), &Value::Null).await
        }
        Operation::WhoAmI => caller.operate("GET", "/x/me", &Value::Null).await,
        Operation::GetConfiguration => caller.operate("GET", "/x/configuration", &Value::Null).await,
        Operation::GetSystem => caller.operate("GET", "/x/system", &Value::Null).await,
        Operation::HoldRun => caller.operate("POST", &format!("/x/runs/{}:hold", scene.run), &reason).await,
        Operation::ReleaseRun => {
            caller.operate("POST", &format!("/x/runs/{}:release", scene.run), &reason).await
        }
        Operation::PauseDispatch => {
            let scope = json!({"scope": {"kind": "tenant", "tenant": "acme"}, "reason": "because"});
            let paused = caller.operate("POST", "/x/dispatch:pause", &scope).await;
            if paused.status == 200 {
                // Others in this test need it.
                caller.operate("POST", "/x/dispatch:resume", &scope).await.ok();
            }
            paused
        }
        Operation::ResumeDispatch => {
            let scope = json!({"scope": {"kind": "all"}, "reason": "because"});
            caller.operate("POST", "/x/dispatch:resume", &scope).await
        }
        Operation::ListDispatchPauses => caller.operate("GET", "/x/dispatch", &Value::Null).await,
        Operation::WakeNodeRun => {
            caller.operate("POST", &format!("/x/node-runs/{}:wake", scene.node), &reason).await
        }
        Operation::CancelRunWithReport => {
            caller.operate("POST", &format!("/x/runs/{}:cancel", scene.run), &reason).await
        }
        Operation::GetCancelReport => {
            caller.operate("GET", &format!("/x/runs/{}/cancel-report", scene.run), &Value::Null).await
        }
        Operation::GetWork => caller.operate("GET", "/x/work", &Value::Null).await,
        Operation::ListAudit => {
            caller.operate("GET", &format!("/x/audit?run_id={}", scene.run), &Value::Null).await
        }
        Operation::ExportRun => {
            caller.operate("GET", &format!("/x/runs/{}/export", scene.run), &Value::Null).await
        }
        Operation::CreateWebhook => {
            let request = json!({"url": NOWHERE, "events": ["run.completed"]});
            let answer = caller.operate("POST", "/x/webhooks", &request).await;
            if let Some(id) = answer.body()["webhook_id"].as_str() {
                admin.operate("DELETE", &format!("/x/webhooks/{id}"), &Value::Null).await.no_content();
            }
            answer
        }
        Operation::ListWebhooks
        | Operation::GetWebhook
        | Operation::DeleteWebhook
        | Operation::TestWebhook
        | Operation::ListWebhookDeliveries
        | Operation::RedeliverWebhook => ask_webhook(admin, caller, operation).await,
        Operation::StartRun
        | Operation::GetRun
        | Operation::CancelRun
        | Operation::StreamRunEvents
        | Operation::CreateNodeRuns
        | Operation::GetNodeRun
        | Operation::StreamNodeRunEvents
        | Operation::ReportNodeRunEvaluation
        | Operation::CompleteNodeRun => unreachable!("{operation} is no operation of the operator API"),
    }
}

/// The status of an answer; `none` for a list that does not have the approval.
fn shown(answer: &Answer) -> String {
    let expected = match answer.status {
        200 if answer.header("content-type") == Some("application/x-ndjson") => return "200".into(),
        201 | 204 => return answer.status.to_string(),
        // The webhook exists, and has no such delivery.
        404 if answer.body()["error"]["code"] == "webhook_delivery_not_found" => return "202".into(),
        200 => {
            let body = answer.body();
            let is_empty = body["items"].as_array().is_some_and(Vec::is_empty)
                || body["runs"].as_object().is_some_and(serde_json::Map::is_empty);
            return if is_empty { "none".into() } else { "200".into() };
        }
        401 => "unauthorized",
        403 => "forbidden",
        404 => {
            let code = answer.body()["error"]["code"].clone();
            assert!(
                [
                    "approval_not_found",
                    "bulk_not_found",
                    "run_not_found",
                    "node_run_not_found",
                    "webhook_not_found"
                ]
                .map(Value::from)
                .contains(&code)
            );
            return "404".into();
        }
        409 => {
            let code = answer.body()["error"]["code"].clone();
            assert!(
                ["node_run_not_waiting", "run_not_canceled", "run_not_terminal"]
                    .map(Value::from)
                    .contains(&code)
            );
            return "409".into();
        }
        status => panic!("{status}: {}", answer.text),
    };
    let code = &answer.body()["error"]["code"];
    assert_eq!(code, expected, "{}", answer.text);
    // A foreign approval leaks nothing.
    assert!(!answer.text.contains("of alice"), "{}", answer.text);
    answer.status.to_string()
}

#[tokio::test]
async fn operator_matrix_of_callers_and_operations_is_the_golden_file() {
    let sts = Sts::start();
    let mut text =
        String::from("All runs are alice's, of tenant acme. none: a list without what is hers.\n\n");
    for (name, who) in CALLERS {
        writeln!(text, "{name:>9}  {who}").expect("text");
    }
    for setting in ["open", "owner", "tenant"] {
        let t = guarded(
            &sts,
            &[
                ("ARP_AUTH_MODE", "optional"),
                ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", setting),
                ("JARVIS_RUN_COORDINATOR_TRUSTED_CLIENTS", "other, gateway"),
                ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0"),
                ("JARVIS_RUN_COORDINATOR_APPROVALS", "park"),
                ("JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS", NOWHERE),
            ],
        )
        .await;
        let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
        let admin = Caller::new(&t, "root", json!({"roles": ["arp.admin"]}));
        write!(text, "\nJARVIS_RUN_COORDINATOR_AUTHORIZATION={setting}\n\n{:27}", "operation").expect("text");
        CALLERS.iter().for_each(|(name, _)| write!(text, " {name:>9}").expect("text"));
        text.push('\n');
        for operation in Operation::of(Interface::Operator) {
            write!(text, "{:27}", operation.to_string()).expect("text");
            for (column, (name, _)) in CALLERS.iter().enumerate() {
                let scene = Scene::set(&alice, &format!("run-{operation}-{column}-of-many")).await;
                let approval = waiting(&alice, &scene).await;
                let caller = caller(&t, &alice, &scene, name).await;
                let answer = ask(&scene, &approval, (&caller, &admin), operation).await;
                write!(text, " {:>9}", shown(&answer)).expect("text");
            }
            text.push('\n');
        }
        t.stop().await;
    }
    expectorate::assert_contents("tests/output/authority-operator.txt", &text);
}
