//! The examples `start_and_follow` and `agent`, against the real program. Those in
//! Python have their tests in `tests/stack`.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{FakeExecutors, Program, soon};

#[expect(dead_code, reason = "the example's own main is not called")]
#[path = "../../examples/agent.rs"]
mod agent;

#[expect(dead_code, reason = "the example's own main is not called")]
#[path = "../../examples/start_and_follow.rs"]
mod start_and_follow;

#[tokio::test]
async fn example_starts_a_run_and_follows_it_to_its_end() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors);
    let process = program.start().await;
    let mut out = Vec::new();
    start_and_follow::run(process.url(), None, "atomic.echo", r#"{"echo": "hello"}"#, &mut out)
        .await
        .expect("a run that succeeds");
    let out = String::from_utf8(out).expect("UTF-8");
    let lines: Vec<&str> = out.lines().collect();
    let run = lines[0].strip_suffix(" is running").expect("it is started");
    let words: Vec<_> =
        lines[1..].iter().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>()).collect();
    assert_eq!(words[0], ["1", "run_started"]);
    assert_eq!(words[6], ["7", "run_completed"]);
    assert_eq!(lines[8..], [format!("{run} has succeeded: {}", json!({"echo": "hello"}))]);

    // A run that fails is an error.
    let failed = start_and_follow::run(process.url(), None, "atomic.fail", "{}", &mut Vec::new()).await;
    let failed = failed.expect_err("it fails").to_string();
    assert!(failed.contains(" has failed: {\"code\":"), "{failed}");

    // Errors of the input's type, and errors of the coordinator.
    let mut nothing = Vec::new();
    let error = start_and_follow::run(process.url(), None, "atomic.echo", "[]", &mut nothing).await;
    assert!(error.expect_err("an array is no input").to_string().contains("expected a map"));
    let nowhere = format!("{}/nowhere", process.url());
    let error = start_and_follow::run(&nowhere, None, "atomic.echo", "{}", &mut nothing).await;
    assert_eq!(error.expect_err("there is no such route").to_string(), "404 http_error: Not Found");
    assert!(nothing.is_empty());
    process.terminate().await;
}

#[tokio::test]
async fn rust_agent_keeps_its_budget_and_waits_for_an_approval() {
    let agent = agent::start(0).expect("it listens");
    let url = format!("http://{}", agent.local_addr());
    // The agent calls back, so the address has to be known before there is one.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = port.expect("a port").port().to_string();
    let program = Program::server()
        .with_arguments(&["--port", &port])
        .var("JARVIS_ATOMIC_EXECUTOR_URL", &url)
        .var("JARVIS_COMPOSITE_EXECUTOR_URL", &url)
        .var("JARVIS_RUN_COORDINATOR_PUBLIC_URL", &format!("http://127.0.0.1:{port}"))
        .var("JARVIS_RUN_COORDINATOR_APPROVALS", "park")
        .var("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
    let process = program.start().await;
    for (run, verb, sent) in [("approved", "approve", true), ("denied", "deny", false)] {
        // Enough for two of its tools, and half of what a third one costs; and a step too
        // few for four of them and the letter.
        let budgets = json!({"max_steps": 5, "max_cost": 0.05});
        let cities = json!(["Zurich", "Lugano", "Basel", "Bern"]);
        let request = json!({
            "run_id": run, "root_node_type_ref": {"node_type_id": "composite.agent", "version": "1.0.0"},
            "input": {"cities": cities, "send_to": "ada@example.com"}, "constraints": {"budgets": budgets},
        });
        let (status, started) = process.post("/v1/runs", &request).await;
        assert_eq!(status, 200, "{started}");
        let approval = soon("an approval that waits", async {
            loop {
                let page = process.operate(&format!("/x/approvals?run_id={run}"), None).await.1;
                if let Some(approval) = page["items"][0]["approval_id"].as_str() {
                    return approval.to_owned();
                }
            }
        });
        let path = format!("/x/approvals/{}:{verb}", approval.await);
        let (status, decided) = process.operate(&path, Some(&json!({"reason": "it was read"}))).await;
        assert_eq!(status, 200, "{decided}");
        assert_eq!(process.run_ended(run).await, "succeeded");
        let root = process.node_run(started["root_node_run_id"].as_str().expect("an id")).await;
        assert_eq!(root["outputs"]["sent"], sent, "{root}");
        assert_eq!(root["outputs"]["unknown"].as_array().map(Vec::len), Some(2), "{root}");
        let used: Value = process.run_get(run).await["extensions"]["jarvis.budget"]["used"].clone();
        let steps = if sent { 5 } else { 4 };
        assert_eq!((&used["cost"], &used["steps"]), (&json!(0.04), &json!(steps)), "a denied letter is none");
    }
    process.terminate().await;
    agent.close().await.expect("it ends");
}
