//! The real program in a process of its own, killed or stopped, and started again
//! on the same journal.
//!
//! ```text
//!   Program::start ──▶ Process ──kill -9──▶ Program::start ──▶ Process ──▶ what the run came to
//!                         │                                       ▲
//!                         └──SIGTERM──▶ drain ──▶ exit code 0 ────┘
//! ```

mod bare_machine;
mod crash;
mod start_and_stop;

use serde_json::Value;

use crate::support::{
    Call, FakeExecutors,
    process::{Process, StartedRun},
};

fn error_code(node: &Value) -> &str {
    node["extensions"]["completion_error"]["code"].as_str().unwrap_or("none")
}

/// Starts a run; returns it when its node is at the executor, which does not answer.
async fn hanging(process: &Process, executors: &FakeExecutors) -> StartedRun {
    let run = process.run_start("hanging", "atomic.hang").await;
    let root = &run.root;
    let is_execution = |calls: &[Call]| {
        calls.iter().any(|call| call.path.ends_with(":execute") && call.body["node_run_id"] == **root)
    };
    executors.calls_until("the execution", is_execution).await;
    run
}
