//! Silent composites: the executor of a running composite makes no call for
//! `COMPOSITE_SILENCE_SECS`, and no node below it is at work. The composite is begun
//! again once if it has no children, and fails otherwise.
//!
//! ```text
//!   begin ──▶ running ──silence──▶ no children? ──▶ begin again, once ──silence──▶ failed
//!                │  ▲                    └──▶ children ──▶ failed
//!                └──┘ a poll, a child at work: the silence period starts again
//! ```

use std::time::Duration;

use jarvis_run_coordinator::{
    time::Timestamp,
    types::{NodeRun, NodeRunId, NodeRunState, Run, RunState},
};
use serde_json::{Value, json};

use crate::support::{Answer, Sts, TestMachine, TestServer, soon, spec};

const SECOND: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(60);
/// More than the time in which the sweep notices what is due.
const NOTICED: Duration = Duration::from_secs(5);
/// Time passes in large steps: the timeouts of calls and nodes must not expire.
const VARS: [(&str, &str); 3] = [
    ("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", "60"),
    ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "80000"),
    ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "80000"),
];

/// A server whose time the test advances, with a composite at its executor.
struct Setup {
    machine: TestMachine,
    t: TestServer,
    run: Run,
}

impl Setup {
    async fn start() -> Self {
        let machine = TestMachine::default();
        let t = TestServer::start_with_clock(machine.clone(), &VARS).await;
        let run = composite(&t).await;
        Self { machine, t, run }
    }

    /// [`Setup::start`] with a child that has succeeded.
    async fn with_finished_child() -> (Self, NodeRunId) {
        let setup = Self::start().await;
        let echo = child(&setup.t, &setup.run, "atomic.echo").await;
        setup.t.node_run_in(&echo, NodeRunState::Succeeded).await;
        (setup, echo)
    }
}

/// Starts a run; returns it when its root is at the composite executor.
async fn composite(t: &TestServer) -> Run {
    let calls_before = t.executors.calls().len();
    let run = t.run_start("composite.accept", json!({})).await;
    t.executors.calls_until("the assignment", |calls| calls.len() > calls_before).await;
    t.at_rest().await;
    run
}

async fn child(t: &TestServer, run: &Run, node_type: &str) -> NodeRunId {
    let spec = spec(node_type);
    t.children(&run.run_id, &run.root_node_run_id, &[spec]).await.remove(0).node_run_id
}

/// Waits until the wake-up of the node is later than `beyond`; returns its time.
async fn postponed(t: &TestServer, machine: &TestMachine, node: &NodeRunId, beyond: i64) -> i64 {
    soon("a later wake-up", async {
        loop {
            let at = t.wake_of(node.as_str());
            if at > beyond {
                return at;
            }
            // A task that began to wait during the step needs a little more time.
            t.get("/v1/version").await.ok();
            machine.pass(Duration::from_millis(1));
        }
    })
    .await
}

/// Lets a little time pass, until `done`: a task that began to wait during a large step
/// needs it.
async fn noticed(t: &TestServer, machine: &TestMachine, what: &str, mut done: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !done().await {
            t.get("/v1/version").await.ok();
            machine.pass(Duration::from_millis(1));
        }
    })
    .await;
}

/// Waits until a node has failed because it was silent; returns it and its error.
async fn given_up(t: &TestServer, machine: &TestMachine, node: &NodeRunId) -> (NodeRun, Value) {
    let failed = async || t.node_run(node).await.state == NodeRunState::Failed;
    noticed(t, machine, "the end of the node", failed).await;
    silent(t.node_run(node).await)
}

/// A node that has failed because it was silent, and its error.
fn silent(node: NodeRun) -> (NodeRun, Value) {
    let error = node.extensions.as_ref().expect("the error").value("completion_error");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("composite_executor_silent"), &json!(false)));
    (node, error)
}

fn time(time: Option<Timestamp>) -> Timestamp {
    time.expect("a time")
}

#[tokio::test]
async fn silent_childless_composite_is_begun_again_once() {
    let Setup { machine, t, run } = Setup::start().await;
    let root = &run.root_node_run_id;
    machine.pass(SILENCE + NOTICED);
    let begins = || t.executors.calls().iter().filter(|call| call.path.ends_with(":begin")).count();
    noticed(&t, &machine, "the second begin", async || begins() == 2).await;
    t.at_rest().await;
    assert_eq!(t.node_run(root).await.state, NodeRunState::Running);
    machine.pass(SILENCE + NOTICED);
    // The polls of the test itself do not count as calls of the executor.
    let (node, error) = given_up(&t, &machine, root).await;
    assert_eq!((&error["details"]["attempt"], &error["details"]["children"]), (&json!(2), &json!(0)));
    assert!(error["details"]["silent_for_seconds"].as_u64() >= Some(60), "{error}");
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    let cancels = t.executors.called(":cancel", 1).await;
    assert!(cancels.last().expect("a call").path.contains(root.as_str()));

    let recovery = json!(node.recovery_actions);
    let what = |nth: usize| (&recovery[nth]["type"], &recovery[nth]["extensions"]["jarvis.code"]);
    let silent = json!("composite_executor_silent");
    assert_eq!([what(0), what(1)], [(&json!("retry"), &silent), (&json!("abort"), &silent)]);
    let types = t.event_types(&run.run_id).await;
    assert_eq!(types.iter().filter(|type_| *type_ == "recovery_applied").count(), 2);
    let attempts = t.attempts_until(root, 1).await;
    assert_eq!(attempts[0]["outcome"]["failed"]["error"]["code"], silent);
    t.stop().await;
    assert_eq!(what(2), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn silent_composite_with_children_is_not_begun_again() {
    let (Setup { machine, t, run }, _) = Setup::with_finished_child().await;
    machine.pass(SILENCE + NOTICED);
    let (_, error) = given_up(&t, &machine, &run.root_node_run_id).await;
    assert_eq!((&error["details"]["attempt"], &error["details"]["children"]), (&json!(1), &json!(1)));
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    t.executors.called(":cancel", 1).await;
    assert_eq!(
        t.executors.called(":begin", 1).await.iter().filter(|call| call.path.ends_with(":begin")).count(),
        1
    );
    t.stop().await;
}

#[tokio::test]
async fn composite_is_not_silent_while_a_child_is_at_work() {
    let Setup { machine, t, run } = Setup::start().await;
    let root = &run.root_node_run_id;
    let hangs = child(&t, &run, "atomic.hang").await;
    t.executors.called(":execute", 1).await;
    for _ in 0..3 {
        let due = t.wake_of(root.as_str());
        machine.pass(SILENCE + NOTICED);
        postponed(&t, &machine, root, due).await;
    }
    assert_eq!(t.node_run(root).await.state, NodeRunState::Running);

    // The silence period starts at the end of the child.
    t.executors.release(hangs.as_str());
    let ended = time(t.node_run_in(&hangs, NodeRunState::Succeeded).await.ended_at);
    let failed = soon("the end of the composite", async {
        loop {
            let node = t.node_run(root).await;
            if node.state.is_terminal() {
                return node;
            }
            machine.pass(SECOND / 2);
        }
    });
    let failed = time(failed.await.ended_at);
    given_up(&t, &machine, root).await;
    assert!(failed.since(ended) >= SILENCE, "{failed} {ended}");
    t.stop().await;
}

#[tokio::test]
async fn executor_that_polls_its_children_is_not_silent() {
    let (Setup { machine, t, run }, echo) = Setup::with_finished_child().await;
    let root = &run.root_node_run_id;
    let mut due = t.wake_of(root.as_str());
    for _ in 0..12 {
        machine.pass(20 * SECOND);
        t.node_run(&echo).await;
        if machine.micros() > due {
            due = postponed(&t, &machine, root, due).await;
        }
    }
    // A check that has just become due is finished, so that nothing else writes.
    machine.pass(SECOND);
    if machine.micros() > due {
        postponed(&t, &machine, root, due).await;
    }
    // A poll writes nothing.
    let before = t.journal_rows();
    for _ in 0..20 {
        t.node_run(&echo).await;
    }
    assert_eq!(t.journal_rows(), before);
    t.complete(root, "succeeded").await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    t.stop().await;
}

#[tokio::test]
async fn silence_period_restarts_with_the_coordinator() {
    let (Setup { machine, t, run }, _) = Setup::with_finished_child().await;
    let root = &run.root_node_run_id;
    let due = t.wake_of(root.as_str());
    machine.pass(50 * SECOND);
    let (journal, executors) = t.stop().await;
    let again = TestServer::try_start_with_clock(machine.clone(), journal, executors, &VARS).await;
    let t = again.expect("the server starts");
    let restarted = Timestamp::from_micros(machine.micros());
    machine.pass(20 * SECOND);
    let put_off = postponed(&t, &machine, root, due).await;
    assert!(Timestamp::from_micros(put_off).since(restarted) >= SILENCE - SECOND, "{put_off} {restarted}");
    assert_eq!(t.node_run(root).await.state, NodeRunState::Running);
    machine.pass(SILENCE);
    let (node, _) = given_up(&t, &machine, root).await;
    assert!(time(node.ended_at).since(restarted) >= SILENCE - SECOND);
    t.stop().await;
}

#[tokio::test]
async fn disabled_silence_check_waits_for_the_deadline() {
    let t = TestServer::start_with(&[("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", "0")]).await;
    let run = composite(&t).await;
    let root = run.root_node_run_id.as_str();
    assert_eq!(t.wake_of(root), t.deadline_of(root));
    t.stop().await;
}

/// With authentication, a poll counts if it carries the assignment token.
#[tokio::test]
async fn executor_that_polls_with_its_token_is_not_silent() {
    let sts = Sts::start();
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.push(("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", "1"));
    vars.push(("ARP_AUTH_MODE", "optional"));
    let t = TestServer::start_with(&vars).await;
    let run = composite(&t).await;
    let root = run.root_node_run_id.as_str();
    let call = t.executors.called(":begin", 1).await.remove(0);
    let token = call.body["assignment_token"].as_str().expect("a token").to_owned();
    let ask = || Answer::of(t.request("GET", &format!("/v1/node-runs/{root}")).bearer_auth(&token));
    for _ in 0..2 {
        let due = t.wake_of(root);
        soon("a later wake-up", async {
            while t.wake_of(root) <= due {
                assert_eq!(ask().await.ok()["state"], "running");
            }
        })
        .await;
    }
    assert_eq!(t.executors.calls().len(), 1);
    // The executor makes no further call.
    t.executors.called(":begin", 2).await;
    silent(t.node_run_in(&run.root_node_run_id, NodeRunState::Failed).await);
    t.stop().await;
}
