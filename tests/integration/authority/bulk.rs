//! Bulk jobs act with the rights of the principal that made them.

use serde_json::{Value, json};

use super::{Caller, guarded};
use crate::support::{Sts, soon};

/// Waits until a job has ended; returns its results as `[run, outcome, detail]`.
async fn results(caller: &Caller<'_>, bulk: &str) -> Vec<Value> {
    let path = format!("/x/bulk/{bulk}");
    soon("the end of the job", async {
        while caller.operate("GET", &path, &Value::Null).await.ok()["state"] == "running" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let found = caller.operate("GET", &format!("{path}/results"), &Value::Null).await.ok();
    let items = found["items"].as_array().expect("items").iter();
    items.map(|item| json!([item["run_id"], item["outcome"], item["detail"]])).collect()
}

#[tokio::test]
async fn bulk_job_reaches_what_its_maker_may() {
    let sts = Sts::start();
    let settings = [
        ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant"),
        ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0"),
    ];
    let t = guarded(&sts, &settings).await;
    let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
    let carol = Caller::new(&t, "carol", json!({"tenant_id": "beta"}));
    for (caller, run) in [(&alice, "acme-1"), (&alice, "acme-2"), (&carol, "beta-1")] {
        caller.start(json!({"run_id": run})).await;
    }
    let operator = Caller::new(&t, "bob", json!({"tenant_id": "acme", "roles": ["arp.run.operate"]}));
    let stranger = Caller::new(&t, "eve", json!({"tenant_id": "beta", "roles": ["arp.run.operate"]}));
    let ids = json!({"action": "cancel", "reason": "r", "ids": ["beta-1", "acme-1"]});
    alice.operate("POST", "/x/bulk", &ids).await.refused(403, "forbidden");
    let begun = operator.operate("POST", "/x/bulk", &ids).await.ok();
    let bulk = begun["bulk_id"].as_str().expect("an id");
    let expected = [json!(["beta-1", "skipped", "run_not_found"]), json!(["acme-1", "done", null])];
    assert_eq!(results(&operator, bulk).await, expected);
    assert_eq!(carol.get("/v1/runs/beta-1").await.ok()["state"], "running");
    // A filter selects nothing that is foreign, and a dry run counts none of it.
    let mut all = json!({"action": "cancel", "reason": "r", "filter": {"state": "running"}, "dry_run": true});
    let would = operator.operate("POST", "/x/bulk", &all).await.ok();
    assert_eq!(would["would"]["run_ids"], json!(["acme-2"]));
    all["dry_run"] = json!(false);
    let begun = operator.operate("POST", "/x/bulk", &all).await.ok();
    let second = begun["bulk_id"].as_str().expect("an id");
    assert_eq!(results(&operator, second).await, [json!(["acme-2", "done", null])]);
    // The jobs are foreign for another tenant.
    stranger.operate("GET", &format!("/x/bulk/{bulk}"), &Value::Null).await.refused(404, "bulk_not_found");
    let abort = format!("/x/bulk/{bulk}:abort");
    stranger.operate("POST", &abort, &json!({"reason": "r"})).await.refused(404, "bulk_not_found");
    assert_eq!(stranger.operate("GET", "/x/bulk", &Value::Null).await.ok(), json!({"items": []}));
    t.stop().await;
}

#[tokio::test]
async fn rerun_belongs_to_the_owner_of_the_original() {
    let sts = Sts::start();
    let settings = [
        ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant"),
        ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0"),
    ];
    let t = guarded(&sts, &settings).await;
    let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
    alice.start(json!({"run_id": "first"})).await;
    alice.post("/v1/runs/first:cancel", &Value::Null).await.ok();
    let operator = Caller::new(&t, "bob", json!({"tenant_id": "acme", "roles": ["arp.run.operate"]}));
    let reason = json!({"reason": "because"});
    alice.operate("POST", "/x/runs/first:rerun", &reason).await.refused(403, "forbidden");
    let again = operator.operate("POST", "/x/runs/first:rerun", &reason).await.ok();
    let id = again["run_id"].as_str().expect("an id");
    let run = alice.get(&format!("/v1/runs/{id}")).await.ok();
    assert_eq!(run["extensions"]["jarvis.owner"]["subject"], "alice");
    let events = alice.get(&format!("/v1/runs/{id}/events")).await.text;
    let first: Value = serde_json::from_str(events.lines().next().expect("an event")).expect("JSON");
    assert_eq!(first["extensions"]["jarvis.actor"]["subject"], "bob");
    t.stop().await;
}
