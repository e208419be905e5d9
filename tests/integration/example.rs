//! The example `start_and_follow`, against the real program.

use serde_json::json;

use crate::support::{FakeExecutors, Program};

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
