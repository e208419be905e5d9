//! The work of all runs; runs that need attention, and labels.

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRunState, RunId};
use serde_json::{Value, json};

use super::{LISTEN, PARK, get, listed, start_gated};
use crate::support::{FakeExecutors, TestServer, UNREACHABLE, soon};

/// Waits until the work is like that; returns it.
async fn work_until(t: &TestServer, what: &str, done: impl Fn(&Value) -> bool) -> Value {
    soon(what, async {
        loop {
            let work = get(t, "/x/work").await.ok();
            if done(&work) {
                return work;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn work_says_what_holds_the_slots_and_what_waits() {
    let slots = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "2");
    let t = TestServer::start_with(&[LISTEN, PARK, slots]).await;
    let idle = get(&t, "/x/work").await.ok();
    assert_eq!((&idle["runs_live"], &idle["due"]), (&json!(0), &json!({"count": 0, "lanes": []})));
    assert_eq!(idle["parked"], json!({"count": 0, "items": []}));
    start_gated(&t, "gated").await;
    let approvals = listed(&t, 1).await;
    let hung = join_all((0..2).map(|_| t.run_start("atomic.hang", json!({})))).await;
    t.executors.called(":execute", 2).await;
    join_all((0..3).map(|_| t.run_start("atomic.echo", json!({})))).await;
    let work = work_until(&t, "three that wait", |work| {
        let executors = work["executors"].as_array().expect("executors");
        executors.iter().any(|executor| executor["waiting"] == 3)
    })
    .await;
    assert_eq!((&work["runs_live"], &work["without_wake_up"]), (&json!(6), &json!(0)));
    assert_eq!(work["approvals"], json!({"count": 1, "oldest": approvals[0]["requested_at"]}));
    let atomic = work["executors"].as_array().expect("executors").iter();
    let atomic = atomic.clone().find(|executor| executor["executor"] == "atomic_executor").expect("it");
    let expected = json!({"executor": "atomic_executor", "slots": 2, "in_use": 2, "waiting": 3,
                          "members": [{"slots": 2, "in_use": 2, "breaker": "closed"}]});
    assert_eq!(*atomic, expected);
    let lanes = work["in_hand"]["lanes"].as_array().expect("lanes");
    let dispatches =
        lanes.iter().find(|lane| lane["job"] == "dispatch" && lane["kind"] == "atomic").expect("it");
    assert_eq!(dispatches["in_hand"], 5);
    let workers = work["workers"].as_array().expect("workers");
    assert_eq!((workers.len(), &workers[0]["this"]), (1, &json!(true)));
    assert_eq!(work["outbox"].as_array().map(Vec::len), Some(2));
    join_all(hung.iter().map(|run| t.cancel(&run.run_id))).await;
    work_until(&t, "none that waits", |work| work["runs_live"] == 1).await;
    t.stop().await;
}

#[tokio::test]
async fn work_names_the_member_that_fails_and_its_last_error() {
    let alive = FakeExecutors::start();
    let urls = format!("dead={UNREACHABLE},alive={}", alive.url());
    let t = TestServer::start_with(&[LISTEN, ("JARVIS_ATOMIC_EXECUTOR_URL", &urls)]).await;
    for _ in 0..4 {
        let runs = join_all((0..5).map(|_| t.run_start("atomic.echo", json!({})))).await;
        join_all(runs.iter().map(|run| t.run_ended(&run.run_id))).await;
    }
    let dead = |work: &Value| work["executors"][0]["members"][0].clone();
    let work = work_until(&t, "an open breaker", |work| dead(work)["breaker"] == "open").await;
    let dead = dead(&work);
    assert_eq!(dead["name"], "dead");
    let message = dead["last_error"]["message"].as_str().expect("an error");
    assert!(message.contains("connection"), "{message}");
    assert!(dead["open_until"].is_string() && dead["last_error"]["at"].is_string(), "{dead}");
    assert_eq!(work["executors"][0]["members"][1]["last_error"], Value::Null);
    t.stop().await;
}

#[tokio::test]
async fn runs_that_wait_for_people_are_found() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    let fine = t.run_start_with("composite.accept", json!({}), json!({"run_id": "fine"})).await;
    t.node_run_in(&fine.root_node_run_id, NodeRunState::Running).await;
    for run in ["gated-1", "gated-2"] {
        start_gated(&t, run).await;
    }
    listed(&t, 2).await;
    let found = get(&t, "/x/runs?attention=true").await.ok();
    let shown: Vec<_> = found["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|run| (&run["run_id"], &run["attention"]))
        .collect();
    assert_eq!(shown, [(&json!("gated-2"), &json!("approval")), (&json!("gated-1"), &json!("approval"))]);
    let first = get(&t, "/x/runs?attention=true&limit=1").await.ok();
    let next = first["next_page"].as_str().expect("more");
    let rest = get(&t, &format!("/x/runs?attention=true&limit=1&page_token={next}")).await.ok();
    assert_eq!((&rest["items"][0]["run_id"], rest.get("next_page")), (&json!("gated-1"), None));
    let counts = get(&t, "/x/runs:count?by=state&attention=true").await.ok();
    assert_eq!(counts, json!({"runs": {"running": 2}}));
    t.cancel(&RunId::new("gated-1")).await;
    let left = get(&t, "/x/runs?attention=true").await.ok();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
    let all = get(&t, "/x/runs?attention=false").await.ok();
    assert!(all["items"].as_array().expect("items").iter().all(|run| run.get("attention").is_none()));
    t.stop().await;
}

#[tokio::test]
async fn runs_are_found_by_labels_of_their_request() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for (run, labels) in [
        ("a", json!({"env": "prod", "team": "red"})),
        ("b", json!({"env": "prod", "team": "blue & co", "long": "x".repeat(256)})),
        ("c", json!({"env": "test"})),
    ] {
        let more = json!({"run_id": run, "metadata": {"labels": labels}});
        t.run_start_with("composite.accept", json!({}), more).await;
    }
    t.run_start_with("composite.accept", json!({}), json!({"run_id": "d"})).await;
    for (query, expected) in [
        ("label.env=prod", &["b", "a"][..]),
        ("label.env=prod&label.team=red", &["a"]),
        ("label.team=blue+%26+co", &["b"]),
        ("label.env=prod&id_prefix=b", &["b"]),
        ("label.env=none", &[]),
        ("label.other=prod", &[]),
    ] {
        let found = get(&t, &format!("/x/runs?{query}")).await.ok();
        let ids: Vec<_> =
            found["items"].as_array().expect("items").iter().map(|run| &run["run_id"]).collect();
        assert_eq!(ids, expected, "{query}");
        let counts = get(&t, &format!("/x/runs:count?by=state&{query}")).await.ok();
        assert_eq!(counts["runs"]["running"].as_u64().unwrap_or(0), expected.len() as u64, "{query}");
    }
    let all = get(&t, "/x/runs").await.ok();
    let labels = |place: usize| all["items"][place].get("labels").cloned();
    assert_eq!((labels(0), labels(1)), (None, Some(json!({"env": "test"}))));
    // One that is too long is kept with the run, and not found by.
    assert_eq!(labels(2), Some(json!({"env": "prod", "team": "blue & co"})));
    let run = t.get("/v1/runs/b").await.ok();
    assert_eq!(run["extensions"]["jarvis.metadata"]["labels"]["long"].as_str().map(str::len), Some(256));
    for (query, name) in [
        (format!("label.env={}", "x".repeat(256)), "label.env"),
        ("label.=x".to_owned(), "label."),
        ("label.a=1&label.a=2".to_owned(), "label.a"),
    ] {
        let answer = get(&t, &format!("/x/runs?{query}")).await;
        let error = answer.refused(400, "invalid_request");
        assert_eq!(error["details"]["errors"][0]["loc"], json!(["query", name]), "{}", answer.text);
    }
    t.stop().await;
}
