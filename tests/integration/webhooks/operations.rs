//! The operations, and what they refuse and never answer.

use serde_json::{Value, json};

use super::{create, delete, id, secret};
use crate::{
    operator::{LISTEN, get, post},
    support::{Receiver, TestServer},
};

#[tokio::test]
async fn webhook_is_created_listed_tested_and_deleted() {
    let receiver = Receiver::start();
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    let url = format!("{}/hook?key=hush", receiver.url());
    let request = json!({"url": url, "events": ["run.completed", "node_run.failed", "run.completed"],
        "filter": {"node_type": "atomic.echo"}, "description": "pages the night shift"});
    let created = post(&t, "/x/webhooks", &request).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let mut created = created.body();
    let secret = secret(&created).to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    created.as_object_mut().expect("an object").remove("secret");
    assert_eq!(created["url"], format!("{}/hook?***", receiver.url()));
    assert_eq!(created["events"], json!(["run.completed", "node_run.failed"]));
    assert_eq!((&created["status"]["state"], &created["status"]["backlog"]), (&json!("ok"), &json!(0)));

    let path = format!("/x/webhooks/{}", id(&created));
    assert_eq!(get(&t, &path).await.ok(), created);
    assert_eq!(get(&t, "/x/webhooks").await.ok(), json!({"items": [created]}));
    let tested = post(&t, &format!("{path}:test"), &Value::Null).await.ok();
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)));
    let report = receiver.received("org.arp.webhook.test", 1).await.remove(0);
    assert!(report.is_signed(&secret) && tested["event_id"] == report.header("webhook-id"), "{report:?}");
    // Filtered: another type is not reported.
    let other = t.run_start("atomic.fail", json!({})).await;
    t.run_ended(&other.run_id).await;
    let wanted = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&wanted.run_id).await;
    let reported = receiver.received("org.arp.run.completed", 1).await.remove(0);
    assert_eq!(reported.event()["subject"], json!(wanted.run_id));
    assert_eq!(receiver.reports().len(), 2);

    delete(&t, &format!("{path}?reason=moved")).await.no_content();
    get(&t, &path).await.refused(404, "webhook_not_found");
    delete(&t, &path).await.refused(404, "webhook_not_found");
    post(&t, &format!("{path}:test"), &Value::Null).await.refused(404, "webhook_not_found");
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    let (journal, _executors) = t.stop().await;
    assert_eq!(receiver.reports().len(), 2, "nothing is reported any more");
    // Each change is in the audit trail, and nothing has the secret.
    let connection = rusqlite::Connection::open(journal.path().join("journal.db")).expect("the journal");
    let mut statement = connection.prepare("SELECT body FROM audit_trail").expect("SQL");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let records: Vec<String> = rows.map(|row| row.expect("a row")).collect();
    for (operation, word) in [("create_webhook", ""), ("test_webhook", ""), ("delete_webhook", ": moved")] {
        let detail = format!("{}{word}", id(&created));
        let is = |record: &&String| record.contains(operation) && record.contains(&detail);
        assert_eq!(records.iter().filter(is).count(), 1, "{operation}: {records:?}");
    }
    assert!(!records.iter().any(|record| record.contains(&secret) || record.contains("hush")));
}

#[tokio::test]
async fn webhook_request_that_is_wrong_is_refused_with_its_place() {
    let receiver = Receiver::start();
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    let url = receiver.url();
    for (request, place) in [
        (json!({"url": "https://elsewhere.example.com/", "events": ["run.completed"]}), "body.url"),
        (json!({"url": "http://169.254.169.254/latest/meta-data", "events": ["run.completed"]}), "body.url"),
        (json!({"url": "http://user:pw@127.0.0.1/", "events": ["run.completed"]}), "body.url"),
        (json!({"url": format!("{url}/{}", "x".repeat(2000)), "events": ["run.completed"]}), "body.url"),
        (json!({"url": url, "events": []}), "body.events"),
        (json!({"url": url, "events": ["run.started"]}), "body.events.0"),
        (json!({"url": url, "events": ["run.completed"], "secret": "whsec_short"}), "body.secret"),
        (json!({"url": url, "events": ["run.completed"], "filter": {"tenant": ""}}), "body.filter.tenant"),
        (
            json!({"url": url, "events": ["run.completed"], "description": "x".repeat(1001)}),
            "body.description",
        ),
        (json!({"url": url, "events": ["run.completed"], "more": 1}), "body.more"),
    ] {
        let complaints = post(&t, "/x/webhooks", &request).await.complaints();
        assert_eq!(complaints.len(), 1, "{request}");
        assert_eq!(complaints[0].1, place, "{request}");
    }
    assert_eq!(get(&t, "/x/webhooks").await.ok(), json!({"items": []}));
    t.stop().await;
}

#[tokio::test]
async fn webhooks_are_bounded_in_number() {
    let receiver = Receiver::start();
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    for _ in 0..100 {
        create(&t, receiver.url(), &["run.completed"]).await;
    }
    let one_more = json!({"url": receiver.url(), "events": ["run.completed"]});
    post(&t, "/x/webhooks", &one_more).await.refused(409, "webhook_limit_exceeded");
    t.stop().await;
}

#[tokio::test]
async fn webhooks_that_are_off_are_not_made_and_cost_nothing() {
    let receiver = Receiver::start();
    let t = TestServer::start_with(&[LISTEN, receiver.target()]).await;
    let webhook = create(&t, receiver.url(), &["run.completed"]).await;
    let (journal, executors) = t.stop().await;
    let t = TestServer::try_start(journal, executors, &[LISTEN]).await.expect("the server starts");
    let request = json!({"url": receiver.url(), "events": ["run.completed"]});
    let error = post(&t, "/x/webhooks", &request).await.refused(409, "webhooks_off");
    assert!(error["message"].as_str().expect("a message").contains("WEBHOOK_TARGETS"), "{error}");
    // What an earlier server has left can be seen and deleted.
    let path = format!("/x/webhooks/{}", id(&webhook));
    get(&t, &path).await.ok();
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    delete(&t, &path).await.no_content();
    let (journal, _executors) = t.stop().await;
    let connection = rusqlite::Connection::open(journal.path().join("journal.db")).expect("the journal");
    let rows = "SELECT (SELECT count(*) FROM notices) + (SELECT count(*) FROM webhook_deliveries)";
    assert_eq!(connection.query_row(rows, [], |row| row.get::<_, i64>(0)), Ok(0));
    assert!(receiver.reports().is_empty());
}

#[tokio::test]
async fn secrets_of_webhooks_are_sealed_with_the_key() {
    let receiver = Receiver::start();
    let key = |letter: &str| ("JARVIS_RUN_COORDINATOR_SECRETS_KEY", format!("{}=", letter.repeat(43)));
    let ((name, first), (_, second)) = (key("A"), key("E"));
    let t = TestServer::start_with(&[LISTEN, receiver.target(), (name, first.as_str())]).await;
    let webhook = create(&t, receiver.url(), &["run.completed"]).await;
    let path = format!("/x/webhooks/{}:test", id(&webhook));
    assert_eq!(post(&t, &path, &Value::Null).await.ok()["delivered"], true);
    assert!(receiver.received("org.arp.webhook.test", 1).await[0].is_signed(secret(&webhook)));
    let (journal, executors) = t.stop().await;
    let hush = secret(&webhook).trim_start_matches("whsec_").as_bytes().to_vec();
    let bytes = std::fs::read(journal.path().join("journal.db")).expect("the journal");
    assert!(!bytes.windows(hush.len()).any(|window| window == hush), "it is in the journal");
    // Another key cannot open it, and says so.
    let vars = [LISTEN, receiver.target(), (name, second.as_str())];
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    let tested = post(&t, &path, &Value::Null).await.ok();
    let error = tested["error"].as_str().expect("an error");
    assert!(tested["delivered"] == false && error.contains(name), "{tested}");
    assert_eq!(receiver.reports().len(), 1);
    t.stop().await;
}
