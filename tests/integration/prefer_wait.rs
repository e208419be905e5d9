//! `Prefer: wait`: one request for an answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{TestServer, soon};

/// The state of the run in an answer, and what was applied.
async fn answered(request: reqwest::RequestBuilder, prefer: &str) -> (String, Option<String>) {
    let answer = soon("the answer", request.header("prefer", prefer).send()).await.expect("an answer");
    let applied =
        answer.headers().get("preference-applied").map(|value| value.to_str().expect("text").to_owned());
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(status, 200, "{body}");
    (body["state"].as_str().expect("a state").to_owned(), applied)
}

fn start(t: &TestServer, run: &str, node_type: &str) -> reqwest::RequestBuilder {
    let request = json!({"run_id": run, "input": {},
        "root_node_type_ref": {"node_type_id": node_type, "version": "1"}});
    t.http.post(format!("{}/v1/runs", t.url())).json(&request)
}

fn get(t: &TestServer, run: &str) -> reqwest::RequestBuilder {
    t.http.get(format!("{}/v1/runs/{run}", t.url()))
}

fn is(state: &str, applied: Option<&str>) -> (String, Option<String>) {
    (state.into(), applied.map(str::to_owned))
}

#[tokio::test]
async fn start_that_waits_answers_when_the_run_has_ended() {
    let t = TestServer::start().await;
    let waited = answered(start(&t, "run-1", "atomic.echo"), "wait=30").await;
    assert_eq!(waited, is("succeeded", Some("wait=30")));
    // A repetition, and a read of what has ended.
    assert_eq!(
        answered(start(&t, "run-1", "atomic.echo"), "wait=30").await,
        is("succeeded", Some("wait=30"))
    );
    assert_eq!(answered(get(&t, "run-1"), "wait=30").await, is("succeeded", None));
    t.stop().await;
}

#[tokio::test]
async fn wait_ends_with_the_run_the_time_or_the_server() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_WAIT_SECS", "20")]).await;
    let begun = Instant::now();
    assert_eq!(answered(start(&t, "run-1", "atomic.hang"), "wait=1").await, is("running", Some("wait=1")));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(answered(get(&t, "run-1"), "return=minimal").await, is("running", None));
    // It asks for more than is allowed, and ends with the run.
    let waiting = answered(get(&t, "run-1"), "wait=3600");
    let cancel = async {
        t.executors.called(":execute", 1).await;
        t.cancel(&"run-1".into()).await;
    };
    let (waited, ()) = tokio::join!(waiting, cancel);
    assert_eq!(waited, is("canceled", Some("wait=20")));
    let waiting = answered(start(&t, "run-2", "atomic.hang"), "wait=20");
    let stop = async {
        t.executors.called(":execute", 2).await;
        t.stop().await;
    };
    let (waited, ()) = tokio::join!(waiting, stop);
    assert_eq!(waited, is("running", Some("wait=20")));
}

/// The limits of requests and of streams, each one.
#[tokio::test]
async fn waiting_takes_a_stream_and_no_request() {
    let limits = [("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", "1"), ("JARVIS_RUN_COORDINATOR_MAX_STREAMS", "1")];
    let t = TestServer::start_with(&limits).await;
    let waiting = answered(start(&t, "run-1", "atomic.hang"), "wait=30");
    let meanwhile = async {
        t.executors.called(":execute", 1).await;
        // The request's place is free again; the stream's is not, and nothing is started.
        assert_eq!(answered(start(&t, "run-2", "atomic.echo"), "").await.1, None);
        let refused = start(&t, "run-3", "atomic.echo").header("prefer", "wait=1");
        assert_eq!(refused.send().await.expect("an answer").status(), 503);
        assert_eq!(get(&t, "run-3").send().await.expect("an answer").status(), 404);
        t.cancel(&"run-1".into()).await;
    };
    let (waited, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!(waited, is("canceled", Some("wait=30")));
    t.stop().await;
}

#[tokio::test]
async fn waiting_can_be_switched_off() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_MAX_WAIT_SECS", "0")]).await;
    assert_eq!(answered(start(&t, "run-1", "atomic.hang"), "wait=30").await, is("running", None));
    t.stop().await;
}
