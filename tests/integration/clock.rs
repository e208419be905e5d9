//! Deadlines while the wall clock is stepped: the coordinator slews towards it, and
//! waits by the monotonic clock.

use std::time::Duration;

use jarvis_run_coordinator::{
    time::Timestamp,
    types::{NodeRun, NodeRunId, NodeRunState},
};
use serde_json::{Value, json};

use crate::support::{TestMachine, TestServer, spec};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

const SECOND: Duration = Duration::from_secs(1);

/// Starts a run with this wall-time budget; returns its root.
async fn run_start(t: &TestServer, node_type: &str, time: Duration) -> NodeRunId {
    let time = u64::try_from(time.as_millis()).expect("a time that fits");
    let constraints = json!({"constraints": {"budgets": {"max_wall_time_ms": time}}});
    t.run_start_with(node_type, json!({}), constraints).await.root_node_run_id
}

/// Waits until a node has failed because its deadline passed.
async fn exceeded(t: &TestServer, node: &NodeRunId) -> NodeRun {
    let node = t.node_run_in(node, NodeRunState::Failed).await;
    assert_eq!(
        node.extensions.as_ref().expect("the error").value("completion_error")["code"],
        "deadline_exceeded"
    );
    node
}

/// The time that a node took according to its record.
fn took(node: &NodeRun) -> Duration {
    let time = |time: Option<Timestamp>| time.expect("a start and an end");
    time(node.ended_at).since(time(node.started_at))
}

async fn clock_check(t: &TestServer) -> Value {
    let health = t.get("/v1/health").await.ok();
    health["checks"]
        .as_array()
        .expect("checks")
        .iter()
        .find(|check| check["name"] == "clock")
        .cloned()
        .expect("the check")
}

/// However the clock is stepped, a deadline of a minute passes after a minute, within
/// the slew rate of a sixteenth.
#[tokio::test]
async fn deadline_is_kept_when_the_wall_clock_is_stepped() {
    for set_by in [HOUR, -HOUR, DAY, -DAY] {
        let machine = TestMachine::default();
        let t = TestServer::start_with_clock(machine.clone(), &[]).await;
        let half = run_start(&t, "atomic.deaf", 30 * SECOND).await;
        let whole = run_start(&t, "atomic.deaf", 60 * SECOND).await;
        t.executors.called(":execute", 2).await;
        assert_eq!(clock_check(&t).await["status"], "ok");
        machine.set(set_by);
        let check = clock_check(&t).await;
        assert_eq!(
            (&check["status"], check["details"]["ahead_seconds"].as_f64()),
            (&json!("degraded"), Some(-set_by as f64))
        );

        machine.pass(56 * SECOND);
        let half = exceeded(&t, &half).await;
        assert_eq!(t.node_run(&whole).await.state, NodeRunState::Running, "not sooner, set by {set_by} s");
        machine.pass(8 * SECOND);
        let whole = exceeded(&t, &whole).await;
        assert!(took(&half) >= 30 * SECOND && took(&whole) >= 60 * SECOND, "set by {set_by} s");
        assert!(took(&whole) <= 68 * SECOND, "set by {set_by} s");

        // A step is slewed away in 17 times its length.
        machine.pass(17 * Duration::from_secs(set_by.unsigned_abs()));
        assert_eq!(clock_check(&t).await["status"], "ok");
        t.stop().await;
    }
}

/// The clock is set back while no coordinator runs: deadlines do not wait until it
/// has reached its old time again.
#[tokio::test]
async fn deadline_survives_a_restart_with_the_clock_set_back() {
    for set_by in [-HOUR, -DAY] {
        let machine = TestMachine::default();
        let t = TestServer::start_with_clock(machine.clone(), &[]).await;
        let half = run_start(&t, "composite.accept", 30 * SECOND).await;
        let whole = run_start(&t, "composite.accept", 60 * SECOND).await;
        t.executors.called(":begin", 2).await;
        // A composite with children is not begun again after a restart.
        for composite in [&half, &whole] {
            let run = t.node_run(composite).await.run_id;
            let child = spec("composite.accept");
            t.children(&run, composite, &[child]).await;
        }
        let (journal, executors) = t.stop().await;
        machine.set(set_by);
        let again = TestServer::try_start_with_clock(machine.clone(), journal, executors, &[]).await;
        let t = again.expect("the server starts");
        assert_eq!(clock_check(&t).await["status"], "degraded");

        machine.pass(56 * SECOND);
        exceeded(&t, &half).await;
        assert_eq!(t.node_run(&whole).await.state, NodeRunState::Running, "not sooner, set by {set_by} s");
        machine.pass(8 * SECOND);
        let whole = exceeded(&t, &whole).await;
        assert!(took(&whole) >= 60 * SECOND && took(&whole) <= 68 * SECOND, "set by {set_by} s");
        t.stop().await;
    }
}
