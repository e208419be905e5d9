//! Bulk jobs: begun, watched, aborted, and continued after a crash.

use std::collections::BTreeSet;

use jarvis_run_coordinator::{
    time::Timestamp,
    types::{RunId, RunState},
};
use serde_json::{Value, json};

use super::{LISTEN, get, post};
use crate::support::{FakeExecutors, Program, TestServer, soon};

/// Starts live runs with these ids.
async fn live_runs(t: &TestServer, ids: &[&str]) {
    for id in ids {
        t.run_start_with("composite.accept", json!({}), json!({"run_id": id})).await;
    }
}

async fn begin(t: &TestServer, body: Value) -> String {
    let begun = post(t, "/x/bulk", &body).await.ok();
    begun["bulk_id"].as_str().expect("an id").to_owned()
}

/// Waits until a job has ended; returns it.
async fn ended(t: &TestServer, bulk: &str) -> Value {
    let path = format!("/x/bulk/{bulk}");
    soon("the end of the job", async {
        loop {
            let job = get(t, &path).await.ok();
            if job["state"] != "running" {
                return job;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// The results of a job as `[run, outcome, detail]`, read in pages.
async fn results(t: &TestServer, bulk: &str, outcome: &str) -> Vec<Value> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = get(t, &format!("/x/bulk/{bulk}/results?limit=2{outcome}{token}")).await.ok();
        let items = page["items"].as_array().expect("items").iter();
        all.extend(items.map(|item| json!([item["run_id"], item["outcome"], item["detail"]])));
        let Some(next) = page["next_page"].as_str() else { return all };
        token = format!("&page_token={next}");
    }
}

fn counts(job: &Value) -> Value {
    json!([job["pending"], job["done"], job["skipped"], job["failed"]])
}

#[tokio::test]
async fn bulk_cancel_by_filter_cancels_each_run() {
    let t = TestServer::start_with(&[LISTEN]).await;
    live_runs(&t, &["a-1", "a-2", "a-3", "b-1"]).await;
    let over = t.run_start_with("atomic.echo", json!({}), json!({"run_id": "a-0"})).await;
    t.run_ended(&over.run_id).await;
    let body = json!({"action": "cancel", "reason": "broken plan", "filter": {"id_prefix": "a-"}});
    let mut dry = body.clone();
    dry["dry_run"] = json!(true);
    let would = post(&t, "/x/bulk", &dry).await.ok();
    assert_eq!(
        would,
        json!({"would": {"count": 4, "is_cut": false, "run_ids": ["a-0", "a-3", "a-2", "a-1"]}})
    );
    assert_eq!(get(&t, "/x/bulk").await.ok(), json!({"items": []}), "it has done nothing");

    let bulk = begin(&t, body).await;
    let job = ended(&t, &bulk).await;
    assert_eq!((&job["state"], counts(&job)), (&json!("finished"), json!([0, 3, 1, 0])));
    assert_eq!((&job["reason"], &job["by"]["subject"]), (&json!("broken plan"), &json!("dev")));
    for (run, state) in [
        ("a-0", RunState::Succeeded),
        ("a-1", RunState::Canceled),
        ("a-2", RunState::Canceled),
        ("a-3", RunState::Canceled),
        ("b-1", RunState::Running),
    ] {
        assert_eq!(t.run(&RunId::new(run)).await.state, state, "{run}");
    }
    let expected = [
        json!(["a-0", "skipped", "run_terminal: succeeded"]),
        json!(["a-3", "done", null]),
        json!(["a-2", "done", null]),
        json!(["a-1", "done", null]),
    ];
    assert_eq!(results(&t, &bulk, "").await, expected);
    assert_eq!(results(&t, &bulk, "&outcome=skipped").await, expected[..1]);
    assert_eq!(get(&t, "/x/bulk").await.ok()["items"][0]["bulk_id"], json!(bulk));
    t.stop().await;
}

#[tokio::test]
async fn bulk_of_ids_says_what_became_of_each() {
    let t = TestServer::start_with(&[LISTEN]).await;
    live_runs(&t, &["live"]).await;
    let over = t.run_start_with("atomic.echo", json!({}), json!({"run_id": "over"})).await;
    t.run_ended(&over.run_id).await;
    let ids = json!(["over", "nowhere", "live", "over"]);
    let bulk = begin(&t, json!({"action": "rerun", "reason": "again", "ids": ids})).await;
    assert_eq!(counts(&ended(&t, &bulk).await), json!([0, 1, 2, 0]));
    let found = results(&t, &bulk, "").await;
    let again = found[0][2].as_str().expect("the new run");
    assert_eq!(
        found[1..],
        [json!(["nowhere", "skipped", "run_not_found"]), json!(["live", "skipped", "run_not_terminal"]),]
    );
    let again = t.run(&RunId::new(again)).await;
    assert_eq!(again.extensions.and_then(|own| own.get("jarvis.rerun_of")), Some(json!("over")));
    t.stop().await;
}

#[tokio::test]
async fn bulk_requests_that_are_not_in_order_are_refused() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let base = json!({"action": "cancel", "reason": "r", "ids": ["a"]});
    let many: Vec<String> = (0..10_001).map(|number| number.to_string()).collect();
    for (member, value) in [
        ("reason", json!("")),
        ("action", json!("forget")),
        ("ids", json!([])),
        ("ids", json!(many)),
        ("ids", json!([""])),
        ("ids", Value::Null),
        ("filter", json!({"state": "running"})),
        ("per_second", json!(0)),
        ("per_second", json!(1001)),
        ("from", json!("start")),
        ("more", json!(1)),
    ] {
        let mut body = base.clone();
        body[member] = value;
        post(&t, "/x/bulk", &body).await.refused(400, "invalid_request");
    }
    let all = json!({"action": "cancel", "reason": "r", "filter": {}});
    post(&t, "/x/bulk", &all).await.refused(400, "invalid_request");
    get(&t, "/x/bulk/nowhere").await.refused(404, "bulk_not_found");
    get(&t, "/x/bulk/nowhere/results").await.refused(404, "bulk_not_found");
    post(&t, "/x/bulk/nowhere:abort", &json!({"reason": "r"})).await.refused(404, "bulk_not_found");
    t.stop().await;
}

#[tokio::test]
async fn bulk_keeps_to_its_rate() {
    let t = TestServer::start_with(&[LISTEN]).await;
    live_runs(&t, &["a", "b", "c"]).await;
    let body = json!({"action": "cancel", "reason": "r", "ids": ["a", "b", "c"], "per_second": 2});
    let job = ended(&t, &begin(&t, body).await).await;
    assert_eq!(counts(&job), json!([0, 3, 0, 0]));
    let time = |member: &str| serde_json::from_value::<Timestamp>(job[member].clone()).expect("a time");
    // The first at once, the others half a second apart.
    assert!(time("ended_at").since(time("created_at")).as_millis() >= 1_000, "{job}");
    t.stop().await;
}

#[tokio::test]
async fn aborted_bulk_acts_on_no_other_run() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let ids = ["a", "b", "c", "d"];
    live_runs(&t, &ids).await;
    // The second run would be acted on a second later.
    let bulk = begin(&t, json!({"action": "cancel", "reason": "r", "ids": ids, "per_second": 1})).await;
    let path = format!("/x/bulk/{bulk}:abort");
    post(&t, &path, &json!({"reason": ""})).await.refused(400, "invalid_request");
    let aborted = post(&t, &path, &json!({"reason": "wrong filter"})).await.ok();
    assert_eq!((&aborted["state"], &aborted["abort_reason"]), (&json!("aborted"), &json!("wrong filter")));
    assert_eq!(aborted["aborted_by"]["principal"]["subject"], "dev");
    // Again, nothing changes.
    assert_eq!(post(&t, &path, &json!({"reason": "again"})).await.ok()["abort_reason"], "wrong filter");
    t.stop().await;
}

#[tokio::test]
async fn at_most_ten_bulk_jobs_are_live() {
    let t = TestServer::start_with(&[LISTEN]).await;
    live_runs(&t, &["a", "b"]).await;
    let body = json!({"action": "cancel", "reason": "r", "ids": ["x", "a", "y", "b"], "per_second": 1});
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(begin(&t, body.clone()).await);
    }
    post(&t, "/x/bulk", &body).await.refused(409, "too_many_bulk_jobs");
    post(&t, &format!("/x/bulk/{}:abort", jobs[9]), &json!({"reason": "r"})).await.ok();
    begin(&t, body).await;
    t.stop().await;
}

#[tokio::test]
async fn killed_bulk_goes_on_and_cancels_each_run_once() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var(LISTEN.0, LISTEN.1);
    let process = program.start().await;
    let operator = |line: Value| format!("http://{}", line["address"].as_str().expect("an address"));
    let url = operator(process.logged("listening for operators", 1).await);
    let ids: Vec<String> = (0..40).map(|number| format!("run-{number}")).collect();
    for id in &ids {
        process.run_start(id, "composite.accept").await;
    }
    let http = reqwest::Client::new();
    let body = json!({"action": "cancel", "reason": "r", "filter": {"state": "running"}, "per_second": 20});
    let begun: Value = soon("an answer", http.post(format!("{url}/x/bulk")).json(&body).send())
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let bulk = begun["bulk_id"].as_str().expect("an id").to_owned();
    // Some are canceled, most are not, and no result is written.
    soon("the first cancel", async { while process.run_get("run-35").await["state"] == "running" {} }).await;
    process.kill().await;

    let process = program.start().await;
    let url = operator(process.logged("listening for operators", 1).await);
    let job = soon("the end of the job", async {
        loop {
            let job = http.get(format!("{url}/x/bulk/{bulk}")).send().await.expect("an answer");
            let job: Value = job.json().await.expect("JSON");
            if job["state"] != "running" {
                return job;
            }
        }
    })
    .await;
    assert_eq!(counts(&job), json!([0, 40, 0, 0]), "{job}");
    let found: Value = http
        .get(format!("{url}/x/bulk/{bulk}/results?limit=500"))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let found: BTreeSet<&str> =
        found["items"].as_array().expect("items").iter().filter_map(|item| item["run_id"].as_str()).collect();
    assert_eq!(found, ids.iter().map(String::as_str).collect());
    for id in &ids {
        assert_eq!(process.run_ended(id).await, "canceled");
    }
    process.terminate().await;
    // Each was canceled by one commit, which names the job.
    let audit = program.command(&["journal", "audit", "-o", "json"]).await;
    for id in &ids {
        let of_run =
            |line: &&str| line.contains("\"cancel_run\"") && line.contains(&format!("\"run_id\":\"{id}\""));
        let lines: Vec<&str> = audit.stdout.lines().filter(of_run).collect();
        assert!(lines.len() == 1 && lines[0].contains(&bulk), "{id}: {lines:?}");
    }
}
