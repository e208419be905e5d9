//! Composites whose executor has gone without a word: begun again, given up, or
//! waited for, as long as something is heard.

use std::time::Duration;

use jarvis_run_coordinator::{
    time::Timestamp,
    types::{NodeRun, NodeRunId, NodeRunState, Run, RunState},
};
use serde_json::{Value, json};

use crate::support::{Answer, Sts, TestMachine, TestServer, soon, spec};

const SECOND: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(60);
/// When the sweep has surely seen what was due.
const NOTICED: Duration = Duration::from_secs(5);
/// Time passes in leaps here: no call of an executor is to run out of it.
const VARS: [(&str, &str); 3] = [
    ("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", "60"),
    ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "80000"),
    ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "80000"),
];

async fn server(machine: &TestMachine) -> TestServer {
    TestServer::start_with_clock(machine.clone(), &VARS).await
}

/// A run whose root is at the composite executor.
async fn composite(t: &TestServer) -> Run {
    let begun = t.executors.calls().len();
    let run = t.run_start("composite.accept", json!({})).await;
    t.executors.calls_until("the assignment", |calls| calls.len() > begun).await;
    t.at_rest().await;
    run
}

async fn child(t: &TestServer, run: &Run, node_type: &str) -> NodeRunId {
    let spec = spec(node_type);
    t.children(&run.run_id, &run.root_node_run_id, &[spec]).await.remove(0).node_run_id
}

/// Waits until the node is to be looked at later than so.
async fn put_off(t: &TestServer, machine: &TestMachine, node: &NodeRunId, beyond: i64) -> i64 {
    soon("that the check is put off", async {
        loop {
            let at = t.wake_of(node.as_str());
            if at > beyond {
                return at;
            }
            // Who began to wait as the time leapt waits for a little more of it.
            t.get("/v1/version").await.ok();
            machine.pass(Duration::from_millis(1));
        }
    })
    .await
}

/// Waits until it has failed because nothing was heard: its error.
async fn given_up(t: &TestServer, node: &NodeRunId) -> (NodeRun, Value) {
    let node = t.node_run_in(node, NodeRunState::Failed).await;
    let error = node.extensions.as_ref().expect("the error").value("completion_error");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("composite_executor_silent"), &json!(false)));
    (node, error)
}

fn time(time: Option<Timestamp>) -> Timestamp {
    time.expect("a time")
}

#[tokio::test]
async fn silent_childless_composite_is_begun_again_once() {
    let machine = TestMachine::default();
    let t = server(&machine).await;
    let run = composite(&t).await;
    let root = &run.root_node_run_id;
    machine.pass(SILENCE + NOTICED);
    t.executors.called(":begin", 2).await;
    t.at_rest().await;
    assert_eq!(t.node_run(root).await.state, NodeRunState::Running);
    machine.pass(SILENCE + NOTICED);
    // That somebody asks for it does not keep it: this does.
    let (node, error) = given_up(&t, root).await;
    assert_eq!((&error["details"]["attempt"], &error["details"]["children"]), (&json!(2), &json!(0)));
    assert!(error["details"]["silent_for_seconds"].as_u64() >= Some(60), "{error}");
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    let told = t.executors.called(":cancel", 1).await;
    assert!(told.last().expect("a call").path.contains(root.as_str()));

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
    let machine = TestMachine::default();
    let t = server(&machine).await;
    let run = composite(&t).await;
    let echo = child(&t, &run, "atomic.echo").await;
    t.node_run_in(&echo, NodeRunState::Succeeded).await;
    machine.pass(SILENCE + NOTICED);
    let (_, error) = given_up(&t, &run.root_node_run_id).await;
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
    let machine = TestMachine::default();
    let t = server(&machine).await;
    let run = composite(&t).await;
    let root = &run.root_node_run_id;
    let hangs = child(&t, &run, "atomic.hang").await;
    t.executors.called(":execute", 1).await;
    for _ in 0..3 {
        let due = t.wake_of(root.as_str());
        machine.pass(SILENCE + NOTICED);
        put_off(&t, &machine, root, due).await;
    }
    assert_eq!(t.node_run(root).await.state, NodeRunState::Running);

    // From its end on the executor is expected to say something.
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
    given_up(&t, root).await;
    assert!(failed.since(ended) >= SILENCE, "{failed} {ended}");
    t.stop().await;
}

#[tokio::test]
async fn executor_that_polls_its_children_is_not_silent() {
    let machine = TestMachine::default();
    let t = server(&machine).await;
    let run = composite(&t).await;
    let root = &run.root_node_run_id;
    let echo = child(&t, &run, "atomic.echo").await;
    t.node_run_in(&echo, NodeRunState::Succeeded).await;
    let mut due = t.wake_of(root.as_str());
    for _ in 0..12 {
        machine.pass(20 * SECOND);
        t.node_run(&echo).await;
        if machine.micros() > due {
            due = put_off(&t, &machine, root, due).await;
        }
    }
    // A check that has just come due is over, so that nothing else writes.
    machine.pass(SECOND);
    if machine.micros() > due {
        put_off(&t, &machine, root, due).await;
    }
    // Asking alone writes nothing.
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
    let machine = TestMachine::default();
    let t = server(&machine).await;
    let run = composite(&t).await;
    let root = &run.root_node_run_id;
    let echo = child(&t, &run, "atomic.echo").await;
    t.node_run_in(&echo, NodeRunState::Succeeded).await;
    let due = t.wake_of(root.as_str());
    machine.pass(50 * SECOND);
    let (journal, executors) = t.stop().await;
    let again = TestServer::try_start_with_clock(machine.clone(), journal, executors, &VARS).await;
    let t = again.expect("the server starts");
    let restarted = Timestamp::from_micros(machine.micros());
    machine.pass(20 * SECOND);
    let put_off = put_off(&t, &machine, root, due).await;
    assert!(Timestamp::from_micros(put_off).since(restarted) >= SILENCE - SECOND, "{put_off} {restarted}");
    assert_eq!(t.node_run(root).await.state, NodeRunState::Running);
    machine.pass(SILENCE);
    let (node, _) = given_up(&t, root).await;
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

/// Somebody else who asks for it is not its executor; whoever has its token is.
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
        soon("that the check is put off", async {
            while t.wake_of(root) <= due {
                assert_eq!(ask().await.ok()["state"], "running");
            }
        })
        .await;
    }
    assert_eq!(t.executors.calls().len(), 1);
    // It says no more.
    t.executors.called(":begin", 2).await;
    given_up(&t, &run.root_node_run_id).await;
    t.stop().await;
}
