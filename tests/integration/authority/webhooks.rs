//! Webhooks and tenants: who sees which, and whose runs are reported.

use serde_json::{Value, json};

use super::{Caller, guarded};
use crate::support::{Receiver, Sts, soon};

#[tokio::test]
async fn webhook_of_a_tenant_reports_its_own_runs_only() {
    let (sts, receiver) = (Sts::start(), Receiver::start());
    let t = guarded(
        &sts,
        &[
            ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant"),
            ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0"),
            receiver.target(),
        ],
    )
    .await;
    let of = |subject: &str, tenant: &str| {
        Caller::new(&t, subject, json!({"tenant_id": tenant, "roles": ["arp.run.operate"]}))
    };
    let (acme, beta) = (of("bob", "acme"), of("carol", "beta"));
    let reader = Caller::new(&t, "eve", json!({"tenant_id": "acme", "roles": ["arp.run.read"]}));
    let request = |more: Value| {
        let mut request = json!({"url": format!("{}/acme", receiver.url()), "events": ["run.completed"]});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        request
    };
    let other = request(json!({"filter": {"tenant": "beta"}}));
    acme.operate("POST", "/x/webhooks", &other).await.refused(403, "tenant_mismatch");
    reader.operate("POST", "/x/webhooks", &request(json!({}))).await.refused(403, "forbidden");
    let executors = request(json!({"events": ["run.completed", "executor.down"]}));
    let created = acme.operate("POST", "/x/webhooks", &executors).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let webhook = created.body();
    assert_eq!(webhook["filter"], json!({"tenant": "acme"}), "whether it asks for that or not");
    let path = format!("/x/webhooks/{}", webhook["webhook_id"].as_str().expect("an id"));
    // For another tenant it does not exist.
    beta.operate("GET", &path, &Value::Null).await.refused(404, "webhook_not_found");
    beta.operate("DELETE", &path, &Value::Null).await.refused(404, "webhook_not_found");
    assert_eq!(beta.operate("GET", "/x/webhooks", &Value::Null).await.ok(), json!({"items": []}));

    for (caller, run) in [(&beta, "of-beta"), (&acme, "of-acme")] {
        caller.start(json!({"run_id": run})).await;
        caller.post(&format!("/v1/runs/{run}:cancel"), &json!({})).await.ok();
    }
    let report = receiver.received("org.arp.run.completed", 1).await.remove(0);
    let event = report.event();
    assert_eq!((&event["subject"], &event["data"]["tenant"]), (&json!("of-acme"), &json!("acme")));
    soon("the end of all deliveries", async {
        while acme.operate("GET", &path, &Value::Null).await.ok()["status"]["backlog"] != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(receiver.reports().len(), 1);
    // One tenant cannot take the places of others.
    for _ in 1..20 {
        assert_eq!(acme.operate("POST", "/x/webhooks", &request(json!({}))).await.status, 201);
    }
    acme.operate("POST", "/x/webhooks", &request(json!({}))).await.refused(409, "webhook_limit_exceeded");
    assert_eq!(beta.operate("POST", "/x/webhooks", &request(json!({}))).await.status, 201);
    t.stop().await;
}
