//! Runs that an operator holds: what waits is not handed over until they are released,
//! whatever happens meanwhile.

use std::time::Duration;

use jarvis_run_coordinator::{
    time::{Clock, SystemClock},
    types::{NodeRunState, RunState},
};
use serde_json::json;

use super::{LISTEN, get, post};
use crate::support::{FakeExecutors, Program, TestServer, soon, spec};

const ONE_SLOT: (&str, &str) = ("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", "1");

/// Waits until a series has this value.
async fn scraped(t: &TestServer, series: &str, value: f64) {
    soon(series, async {
        loop {
            let text = get(t, "/metrics").await.text;
            let found =
                text.lines().filter_map(|line| line.rsplit_once(' ')).find(|(name, _)| *name == series);
            if found.and_then(|(_, value)| value.parse().ok()) == Some(value) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn held_run_is_not_handed_over_until_it_is_released() {
    let t = TestServer::start_with(&[LISTEN, ONE_SLOT]).await;
    let busy = t.run_start("atomic.deaf", json!({})).await;
    t.executors.called(":execute", 1).await;
    // It waits for the slot, in memory.
    let waits = t.run_start("atomic.echo", json!({})).await;
    let (run, root) = (waits.run_id.as_str(), waits.root_node_run_id.as_str());
    let held = post(&t, &format!("/x/runs/{run}:hold"), &json!({"reason": "look at it"})).await.ok();
    let by = json!({"kind": "caller", "principal": {"subject": "dev"}});
    assert_eq!(
        (&held["state"], &held["hold"]["reason"], &held["hold"]["by"]),
        (&json!("running"), &json!("look at it"), &by)
    );
    // It is seen everywhere.
    let shown = t.run(&waits.run_id).await.extensions.expect("extensions").value("jarvis.held");
    assert_eq!((&shown["reason"], &shown["since"]), (&json!("look at it"), &held["hold"]["since"]));
    let listed = get(&t, "/x/runs?held=true").await.ok();
    assert_eq!(
        (listed["items"].as_array().map(Vec::len), &listed["items"][0]["run_id"]),
        (Some(1), &json!(run))
    );
    assert_eq!(get(&t, "/x/runs:count?by=state&held=true").await.ok(), json!({"runs": {"running": 1}}));
    for path in [format!("/x/runs/{run}/explain"), format!("/x/node-runs/{root}/explain")] {
        let explained = get(&t, &path).await.ok();
        let node = if explained["nodes"].is_array() { &explained["nodes"][0] } else { &explained };
        let reason = &node["reasons"][0];
        assert_eq!(
            (&reason["cause"]["code"], &reason["acts"]),
            (&json!("held"), &json!("operator")),
            "{reason}"
        );
        assert_eq!(reason["sentence"], "The run is held by dev: look at it");
        assert_eq!(reason["command"], format!("jarvis-run-coordinator runs release {run} --reason TEXT"));
        assert_eq!(reason["since"], held["hold"]["since"]);
    }
    scraped(&t, "arp_runs_live{state=\"held\"}", 1.0).await;
    // The slot is free, and the run does not take it; another does.
    t.cancel(&busy.run_id).await;
    let other = t.run_start("atomic.echo", json!({})).await;
    assert_eq!(t.run_ended(&other.run_id).await.state, RunState::Succeeded);
    assert_eq!(t.executors.executions(root), 0);
    assert_eq!(t.node_run(&waits.root_node_run_id).await.state, NodeRunState::Queued);

    let released = post(&t, &format!("/x/runs/{run}:release"), &json!({"reason": "go on"})).await.ok();
    assert_eq!(released.get("hold"), None);
    let ended = t.run_ended(&waits.run_id).await;
    assert_eq!(ended.state, RunState::Succeeded);
    assert!(!ended.extensions.is_some_and(|extensions| extensions.contains_key("jarvis.held")));
    assert_eq!(t.executors.executions(root), 1);
    scraped(&t, "arp_runs_live{state=\"held\"}", 0.0).await;
    // A run that has ended is neither held nor released; one that is not held stays so.
    for verb in ["hold", "release"] {
        let path = format!("/x/runs/{run}:{verb}");
        post(&t, &path, &json!({"reason": "again"})).await.refused(409, "run_terminal");
    }
    let audited = t.audit_trail();
    let of_run: Vec<_> = audited
        .iter()
        .filter(|record| record["run_id"] == run)
        .map(|record| record["operation"].clone())
        .collect();
    assert_eq!(of_run, ["start_run", "hold_run", "release_run"]);
    t.stop().await;
}

#[tokio::test]
async fn held_run_takes_results_and_children_and_can_be_canceled() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    let hold = format!("/x/runs/{}:hold", run.run_id);
    post(&t, &hold, &json!({"reason": "wait"})).await.ok();
    let child = t.children(&run.run_id, &run.root_node_run_id, &[spec("atomic.echo")]).await.remove(0);
    let explained = get(&t, &format!("/x/node-runs/{}/explain", child.node_run_id)).await.ok();
    assert_eq!(explained["reasons"][0]["cause"]["code"], "held");
    t.complete(&child.node_run_id, "succeeded").await;
    let second = t.children(&run.run_id, &run.root_node_run_id, &[spec("atomic.echo")]).await.remove(0);
    assert_eq!(t.cancel(&run.run_id).await.state, RunState::Canceled);
    assert_eq!(t.node_run(&second.node_run_id).await.state, NodeRunState::Canceled);
    assert_eq!(t.executors.executions(child.node_run_id.as_str()), 0);
    assert_eq!(get(&t, "/x/runs?held=true").await.ok(), json!({"items": []}));
    t.stop().await;
}

#[tokio::test]
async fn hold_with_an_end_releases_by_itself() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    let hold = format!("/x/runs/{}:hold", run.run_id);
    let now = SystemClock.now();
    for bad in [now, now + Duration::from_secs(367 * 24 * 3600)] {
        let answer = post(&t, &hold, &json!({"reason": "x", "until": bad})).await;
        assert_eq!(answer.complaints(), [("value_error".to_owned(), "body.until".to_owned())]);
    }
    assert_eq!(
        post(&t, &hold, &json!({"reason": " "})).await.complaints(),
        [("string_too_short".to_owned(), "body.reason".to_owned())]
    );
    let until = now + Duration::from_millis(1500);
    let held = post(&t, &hold, &json!({"reason": "a moment", "until": until})).await.ok();
    assert_eq!(held["hold"]["until"], json!(until));
    let child = t.children(&run.run_id, &run.root_node_run_id, &[spec("atomic.echo")]).await.remove(0);
    let child = t.node_run_in(&child.node_run_id, NodeRunState::Succeeded).await;
    assert!(child.started_at.expect("it was started") >= until);
    assert!(!t.run(&run.run_id).await.extensions.is_some_and(|all| all.contains_key("jarvis.held")));
    t.cancel(&run.run_id).await;
    t.stop().await;
}

#[tokio::test]
async fn held_run_is_held_after_a_kill() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var(LISTEN.0, LISTEN.1);
    let process = program.start().await;
    let run = process.run_start("held", "composite.accept").await;
    executors.called(":begin", 1).await;
    let reason = json!({"reason": "crash it"});
    let (status, held) = process.operate("/x/runs/held:hold", Some(&reason)).await;
    assert_eq!((status, &held["hold"]["reason"]), (200, &json!("crash it")));
    let child = process.child(&run, "atomic.echo").await;
    process.kill().await;

    let process = program.start().await;
    // Another run is dispatched, so this one would have been.
    let other = process.run_start("other", "atomic.echo").await;
    assert_eq!(process.run_ended(&other.id).await, "succeeded");
    assert_eq!(executors.executions(&child), 0);
    let (_, listed) = process.operate("/x/runs?held=true", None).await;
    assert_eq!(listed["items"][0]["run_id"], "held");
    assert_eq!(process.run_get("held").await["extensions"]["jarvis.held"]["reason"], "crash it");
    let (status, _) = process.operate("/x/runs/held:release", Some(&reason)).await;
    assert_eq!(status, 200);
    process.node_ended(&child).await;
    assert_eq!(process.node_run(&child).await["state"], "succeeded");
    process.terminate().await;
    assert_eq!(executors.executions(&child), 1);
    let report = program.command(&["journal", "check"]).await;
    assert_eq!(report.code, Some(0), "{}{}", report.stdout, report.stderr);
}
