//! Webhooks (contract §26): reports to a receiver on loopback.
//!
//! - `reports`: each kind of report, signed.
//! - `failures`: targets that are down, gone or redirect; crashes.
//! - `operations`: the operations, what is refused, secrets.

mod failures;
mod operations;
mod reports;

use serde_json::{Value, json};

use crate::{
    operator::{get, post},
    support::{Answer, TestServer, soon},
};

/// All kinds of reports.
const ALL: [&str; 6] =
    ["run.completed", "node_run.failed", "approval.requested", "work.parked", "executor.down", "executor.up"];

/// Creates a webhook for these events; returns it with its secret.
async fn create(t: &TestServer, url: &str, events: &[&str]) -> Value {
    let answer = post(t, "/x/webhooks", &json!({"url": url, "events": events})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.body()
}

fn id(webhook: &Value) -> &str {
    webhook["webhook_id"].as_str().expect("an id")
}

fn secret(webhook: &Value) -> &str {
    webhook["secret"].as_str().expect("a secret")
}

async fn delete(t: &TestServer, path: &str) -> Answer {
    Answer::of(t.operator_request("DELETE", path)).await
}

/// Waits until the status of a webhook satisfies `done`; returns it.
async fn status_until(t: &TestServer, webhook: &Value, done: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/x/webhooks/{}", id(webhook));
    soon("the status of the webhook", async {
        loop {
            let status = get(t, &path).await.ok()["status"].clone();
            if done(&status) {
                return status;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}
