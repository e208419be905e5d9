//! The metrics, as Prometheus scrapes them.

use std::collections::BTreeMap;

use futures::future::join_all;
use jarvis_run_coordinator::types::RunState;
use serde_json::json;

use super::{LISTEN, get};
use crate::support::{Answer, FakeExecutors, Signer, Sts, TestServer, UNREACHABLE, soon, sts::claims};

/// The series of a scrape, with their values.
async fn scrape(t: &TestServer) -> BTreeMap<String, f64> {
    let answer = get(t, "/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let series = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        Some((series.to_owned(), value.parse().expect("a number")))
    };
    answer.text.lines().filter(|line| !line.starts_with('#')).filter_map(series).collect()
}

/// Waits until a series has this value; returns the scrape.
async fn reads(t: &TestServer, series: &str, value: f64) -> BTreeMap<String, f64> {
    soon(series, async {
        loop {
            let read = scrape(t).await;
            if read.get(series) == Some(&value) {
                return read;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn metrics_tell_what_runs_have_done() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let before = scrape(&t).await;
    assert_eq!(before.get("arp_runs_started_total"), Some(&0.0));
    let runs = join_all((0..3).map(|_| t.run_start("atomic.echo", json!({})))).await;
    for run in &runs {
        assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    }
    let failed = t.run_start("atomic.fail", json!({})).await;
    assert_eq!(t.run_ended(&failed.run_id).await.state, RunState::Failed);
    let hangs = t.run_start("atomic.hang", json!({})).await;
    t.executors.called(":execute", 5).await;
    reads(&t, "arp_executor_slots_in_use{executor=\"atomic_executor\",member=\"\"}", 1.0).await;
    reads(&t, "arp_runs_live{state=\"running\"}", 1.0).await;
    t.cancel(&hangs.run_id).await;
    t.at_rest().await;
    let read = reads(&t, "arp_cancel_notifications_total{outcome=\"acknowledged\"}", 1.0).await;
    for (series, value) in [
        ("arp_runs_started_total", 5.0),
        ("arp_runs_completed_total{state=\"succeeded\",error_code=\"\"}", 3.0),
        ("arp_runs_completed_total{state=\"failed\",error_code=\"handler_error\"}", 1.0),
        ("arp_runs_completed_total{state=\"canceled\",error_code=\"\"}", 1.0),
        ("arp_run_duration_seconds_count{state=\"succeeded\"}", 3.0),
        ("arp_node_runs_created_total{kind=\"atomic\"}", 5.0),
        ("arp_node_runs_completed_total{kind=\"atomic\",state=\"succeeded\",error_code=\"\"}", 3.0),
        ("arp_node_runs_completed_total{kind=\"atomic\",state=\"failed\",error_code=\"handler_error\"}", 1.0),
        ("arp_node_run_queue_seconds_count{kind=\"atomic\"}", 5.0),
        ("arp_attempts_total{kind=\"atomic\",outcome=\"succeeded\"}", 3.0),
        ("arp_attempts_total{kind=\"atomic\",outcome=\"failed\"}", 1.0),
        ("arp_attempts_total{kind=\"atomic\",outcome=\"dropped\"}", 1.0),
        ("arp_policy_decisions_total{action=\"run.start\",decision=\"allow\"}", 5.0),
        ("arp_events_appended_total{type=\"run_completed\"}", 5.0),
        (
            "http_server_request_duration_seconds_count{operation=\"start_run\",http_response_status_code=\"200\"}",
            5.0,
        ),
        ("http_client_request_duration_seconds_count{service=\"atomic_executor\",outcome=\"none\"}", 1.0),
        ("arp_health_status{check=\"journal\"}", 0.0),
    ] {
        assert_eq!(read.get(series), Some(&value), "{series} in {read:#?}");
    }
    assert!(read["arp_journal_commits_total{result=\"ok\"}"] >= 10.0);
    assert!(read["arp_journal_bytes{file=\"database\"}"] > 0.0);
    assert!(read.keys().all(|series| !series.contains("run_") || !series.contains(hangs.run_id.as_str())));
    t.stop().await;
}

#[tokio::test]
async fn metrics_name_the_members_of_a_pool() {
    let alive = FakeExecutors::start();
    let urls = format!("dead={UNREACHABLE},alive={}", alive.url());
    let t = TestServer::start_with(&[LISTEN, ("JARVIS_ATOMIC_EXECUTOR_URL", &urls)]).await;
    for _ in 0..4 {
        let runs = join_all((0..5).map(|_| t.run_start("atomic.echo", json!({})))).await;
        join_all(runs.iter().map(|run| t.run_ended(&run.run_id))).await;
    }
    let open = "arp_executor_breaker_open{executor=\"atomic_executor\",member=\"dead\"}";
    let read = reads(&t, open, 1.0).await;
    assert_eq!(read["arp_executor_breaker_open{executor=\"atomic_executor\",member=\"alive\"}"], 0.0);
    assert!(read["arp_attempts_logged_total{outcome=\"retried\"}"] >= 5.0);
    t.stop().await;
}

#[tokio::test]
async fn metrics_need_a_token_like_everything_else() {
    let sts = Sts::start();
    let t = crate::bearer::guarded(&sts, &[LISTEN]).await;
    get(&t, "/metrics").await.refused(401, "unauthorized");
    let token = Signer::known().sign(&claims(&json!({})));
    let answer = Answer::of(t.operator_request("GET", "/metrics").bearer_auth(&token)).await;
    assert!(answer.text.contains("arp_build_info{version="), "{}", answer.text);
    // The API of the standard has none.
    Answer::of(t.request("GET", "/metrics").bearer_auth(&token)).await.refused(404, "http_error");
    t.stop().await;
}

#[tokio::test]
async fn run_of_one_node_takes_two_commits() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let commits = "arp_journal_commits_total{result=\"ok\"}";
    let before = scrape(&t).await.get(commits).copied().unwrap_or_default();
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    assert_eq!(scrape(&t).await[commits] - before, 2.0, "its start with the hand-over, and its end");
    t.stop().await;
}
