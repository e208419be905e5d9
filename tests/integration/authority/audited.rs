//! Refusals are in the audit trail, with the caller and the run that it asked for.

use serde_json::{Value, json};

use super::{Caller, assigned, create, guarded, start};
use crate::support::Sts;

#[tokio::test]
async fn every_refusal_by_a_rule_is_audited() {
    let sts = Sts::start();
    let t = guarded(&sts, &[("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant")]).await;
    let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
    let carol = Caller::new(&t, "carol", json!({"tenant_id": "acme", "azp": "console"}));
    let mallory = Caller::new(&t, "mallory", json!({"tenant_id": "evil"}));
    let run = alice.start(json!({"run_id": "pay-1"})).await;
    let root = run["root_node_run_id"].as_str().expect("an id").to_owned();
    let executor = Caller::with_token(&t, Some(assigned(&t, &root).await));

    mallory.get("/v1/runs/pay-1").await.refused(404, "run_not_found");
    mallory.get(&format!("/v1/node-runs/{root}")).await.refused(404, "node_run_not_found");
    let forged = json!({"state": "succeeded", "outputs": {}});
    mallory.post(&format!("/v1/node-runs/{root}:complete"), &forged).await.refused(404, "node_run_not_found");
    mallory.post("/v1/runs", &start(json!({"run_id": "pay-1"}))).await.refused(409, "run_already_exists");
    let of_acme = json!({"run_id": "pay-2", "run_context": {"tenant_id": "acme"}});
    mallory.post("/v1/runs", &start(of_acme)).await.refused(403, "tenant_mismatch");
    carol.post("/v1/runs/pay-1:cancel", &json!({})).await.refused(403, "forbidden");
    executor.post("/v1/runs/pay-1:cancel", &json!({})).await.refused(403, "forbidden");
    executor.post(&format!("/v1/node-runs/{root}:complete"), &forged).await;
    executor.get("/v1/runs/pay-1").await.refused(401, "unauthorized");
    // What does not exist has a record as if it were foreign; what has no caller has none.
    mallory.get("/v1/runs/pay-9").await.refused(404, "run_not_found");
    mallory.post("/v1/node-runs", &create("pay-9", "x")).await.refused(404, "run_not_found");
    let long = format!("/v1/runs/{}", "x".repeat(1000));
    mallory.get(&long).await.refused(404, "run_not_found");
    Caller::with_token(&t, None).get("/v1/runs/pay-1").await.refused(401, "unauthorized");

    let shown = |record: &Value| {
        let actor = &record["actor"];
        let name = actor.get("subject").unwrap_or(&actor["kind"]).as_str().expect("a name").to_owned();
        let text = |member: &str| record[member].as_str().unwrap_or("-").replace(&root, "ROOT");
        let members = ["operation", "run_id", "node_run_id", "outcome", "reason", "detail"].map(text);
        format!("{name}: {}", members.join(" "))
    };
    let trail = t.audit_trail();
    assert_eq!(
        trail.iter().map(shown).collect::<Vec<_>>(),
        [
            "alice: start_run pay-1 - applied - -",
            "mallory: get_run pay-1 - refused foreign_run -",
            "mallory: get_node_run pay-1 ROOT refused foreign_run -",
            "mallory: complete_node_run pay-1 ROOT refused foreign_run -",
            "mallory: start_run pay-1 - refused foreign_run -",
            "mallory: start_run pay-2 - refused tenant_mismatch -",
            "carol: cancel_run pay-1 - refused forbidden arp.run.operate",
            "executor: cancel_run pay-1 - refused forbidden outside of the assignment",
            "executor: complete_node_run pay-1 ROOT applied - succeeded",
            "executor: get_run pay-1 - refused assignment_ended -",
            "mallory: get_run pay-9 - refused unknown_id -",
            "mallory: create_node_runs pay-9 - refused unknown_id -",
            "mallory: get_run - - refused unknown_id -",
        ]
    );
    let carol = &trail[6]["actor"];
    assert_eq!(
        *carol,
        json!({"kind": "caller", "issuer": carol["issuer"], "subject": "carol",
        "client": "console", "tenant": "acme"})
    );
    assert_eq!(trail[7]["actor"], json!({"kind": "executor", "node_run_id": root}));
    t.stop().await;
}
