//! Targets that fail, and servers that are killed.

use std::net::TcpListener;

use jarvis_run_coordinator::types::RunState;
use serde_json::{Value, json};

use super::{create, id, secret, status_until};
use crate::{
    operator::{LISTEN, get, post},
    support::{FakeExecutors, Program, Receiver, TestServer, soon},
};

async fn run_to_its_end(t: &TestServer) -> String {
    let run = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    run.run_id.to_string()
}

#[tokio::test]
async fn report_is_visible_while_its_target_is_down_and_arrives_after() {
    let receiver = Receiver::start();
    receiver.answer(503);
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    let webhook = create(&t, receiver.url(), &["run.completed"]).await;
    let run = run_to_its_end(&t).await;
    let failing = status_until(&t, &webhook, |status| status["consecutive_failures"] != 0).await;
    assert_eq!((&failing["state"], &failing["backlog"]), (&json!("failing"), &json!(1)));
    assert!(failing["failing_since"].is_string() && failing["paused_until"].is_string(), "{failing}");
    let error = failing["last_error"].as_str().expect("an error");
    assert!(error.contains("503") && error.contains("not now") && !error.contains("hunter2"), "{error}");
    let path = format!("/x/webhooks/{}/deliveries", id(&webhook));
    let listed = get(&t, &path).await.ok()["items"].clone();
    let first = receiver.reports()[0].clone();
    assert_eq!(listed[0]["event_id"], first.header("webhook-id"));
    assert!(listed[0]["tries"].as_u64() >= Some(1) && listed[0]["next_at"].is_string(), "{listed}");

    receiver.answer(200);
    let well = status_until(&t, &webhook, |status| status["backlog"] == 0).await;
    assert_eq!((&well["state"], &well["consecutive_failures"]), (&json!("ok"), &json!(0)));
    assert!(well["last_success_at"].is_string(), "{well}");
    let last = receiver.reports().pop().expect("a report");
    assert_eq!((last.header("webhook-id"), &last.body), (first.header("webhook-id"), &first.body));
    assert!(last.is_signed(secret(&webhook)) && last.event()["subject"] == json!(run), "{last:?}");
    assert_eq!(get(&t, &path).await.ok()["items"], json!([]));
    t.stop().await;
}

#[tokio::test]
async fn failing_target_delays_no_other_one() {
    let (dead, well) = (Receiver::start(), Receiver::start());
    dead.answer(500);
    let targets = format!("{},{}", dead.url(), well.url());
    let t = TestServer::start_with(&[LISTEN, ("JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS", &targets)]).await;
    let failing = create(&t, dead.url(), &["run.completed"]).await;
    create(&t, well.url(), &["run.completed"]).await;
    for count in 1..=20 {
        run_to_its_end(&t).await;
        well.received("org.arp.run.completed", count).await;
    }
    let status = status_until(&t, &failing, |status| status["backlog"] == 20).await;
    assert_eq!(status["state"], "failing");
    // While it fails, it is not tried with each report.
    assert!(dead.reports().len() < 20, "{}", dead.reports().len());
    t.stop().await;
}

#[tokio::test]
async fn report_outlives_a_kill_with_the_same_id() {
    let (receiver, executors) = (Receiver::start(), FakeExecutors::start());
    let (name, target) = receiver.target();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let listen = format!("127.0.0.1:{port}");
    let program = Program::with_executors(&executors)
        .var(name, target)
        .var("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", &listen);
    let mut process = program.start().await;
    let http = reqwest::Client::new();
    let request = json!({"url": target, "events": ["run.completed"]});
    let created = http.post(format!("http://{listen}/x/webhooks")).json(&request).send().await;
    let webhook: Value = created.expect("an answer").json().await.expect("JSON");
    // Nothing is accepted, so the report is in the journal only.
    receiver.answer(503);
    let run = process.run_start("run-1", "atomic.echo").await;
    process.run_ended(&run.id).await;
    let before = receiver.received("org.arp.run.completed", 1).await.remove(0);
    // The log names neither the secret nor what the target said it is.
    process.logged("webhook target did not accept a report, will retry", 1).await;
    assert!(!process.has_logged(secret(&webhook)) && !process.has_logged("hunter2"));
    process.start_kill();
    process.kill().await;
    receiver.answer(204);
    let seen = receiver.reports().len();
    let process = program.start().await;
    let after = soon("the report after the restart", async {
        loop {
            if let Some(report) = receiver.reports().get(seen) {
                return report.clone();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(after.header("webhook-id"), before.header("webhook-id"));
    assert_eq!(after.body, before.body);
    assert!(after.is_signed(secret(&webhook)));
    let ended = process.terminate().await;
    assert!(!ended.stdout.contains(secret(&webhook)), "{}", ended.stdout);
    let checked = program.command(&["journal", "check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[tokio::test]
async fn redirect_is_a_failure_and_not_followed() {
    let (receiver, inside) = (Receiver::start(), Receiver::start());
    receiver.redirect(&format!("{}/steal", inside.url()));
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    let webhook = create(&t, receiver.url(), &["run.completed"]).await;
    run_to_its_end(&t).await;
    let status = status_until(&t, &webhook, |status| status["consecutive_failures"] != 0).await;
    assert_eq!(status["last_error"], "status 307: redirects are not followed");
    assert!(inside.reports().is_empty());
    t.stop().await;
}

#[tokio::test]
async fn name_that_resolves_to_loopback_is_not_called() {
    let receiver = Receiver::start();
    let port = receiver.url().rsplit(':').next().expect("a port").to_owned();
    let url = format!("http://localhost:{port}");
    let vars = [LISTEN, ("JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS", url.as_str())];
    let t = TestServer::start_with(&vars).await;
    let webhook = create(&t, &url, &["run.completed"]).await;
    let path = format!("/x/webhooks/{}:test", id(&webhook));
    let tested = post(&t, &path, &Value::Null).await.ok();
    let error = tested["error"].as_str().expect("an error");
    assert!(tested["delivered"] == false && error.contains("not public"), "{tested}");
    assert!(receiver.reports().is_empty());
    t.stop().await;
    // With the address in the list, too, it is.
    let targets = format!("{url},127.0.0.1");
    let vars = [LISTEN, ("JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS", targets.as_str())];
    let t = TestServer::start_with(&vars).await;
    let webhook = create(&t, &url, &["run.completed"]).await;
    let tested = post(&t, &format!("/x/webhooks/{}:test", id(&webhook)), &Value::Null).await.ok();
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)));
    let report = receiver.received("org.arp.webhook.test", 1).await.remove(0);
    assert!(report.is_signed(secret(&webhook)));
    t.stop().await;
}

#[tokio::test]
async fn target_that_is_gone_disables_its_webhook() {
    let receiver = Receiver::start();
    receiver.answer(410);
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    let webhook = create(&t, receiver.url(), &["run.completed"]).await;
    run_to_its_end(&t).await;
    let status = status_until(&t, &webhook, |status| status["state"] == "disabled").await;
    assert!(status["disabled_at"].is_string() && status["backlog"] == 0, "{status}");
    let path = format!("/x/webhooks/{}/deliveries", id(&webhook));
    let listed = get(&t, &path).await.ok()["items"].clone();
    assert!(listed[0]["tries"] == 1 && listed[0].get("next_at").is_none(), "given up: {listed}");
    run_to_its_end(&t).await;
    assert_eq!(get(&t, &format!("/x/webhooks/{}", id(&webhook))).await.ok()["status"]["backlog"], 0);
    assert_eq!(receiver.reports().len(), 1);
    t.stop().await;
}

#[tokio::test]
async fn rejected_report_waits_alone_and_is_sent_again_on_demand() {
    let receiver = Receiver::start();
    receiver.answer(422);
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    let webhook = create(&t, receiver.url(), &["run.completed"]).await;
    run_to_its_end(&t).await;
    let status = status_until(&t, &webhook, |status| status["consecutive_failures"] != 0).await;
    assert!(status.get("paused_until").is_none(), "the target is well: {status}");
    receiver.answer(204);
    run_to_its_end(&t).await;
    receiver.received("org.arp.run.completed", 2).await;
    let path = format!("/x/webhooks/{}/deliveries", id(&webhook));
    let items = get(&t, &path).await.ok()["items"].clone();
    if let Some(delivery) = items[0]["delivery_id"].as_u64() {
        let again = post(&t, &format!("{path}/{delivery}:redeliver"), &Value::Null).await;
        // It may have been accepted meanwhile.
        assert!([202, 404].contains(&again.status), "{}", again.text);
    }
    status_until(&t, &webhook, |status| status["backlog"] == 0).await;
    post(&t, &format!("{path}/4711:redeliver"), &Value::Null)
        .await
        .refused(404, "webhook_delivery_not_found");
    t.stop().await;
}
