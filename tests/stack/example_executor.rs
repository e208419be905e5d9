//! `examples/executor.py`, which `docs/writing-an-executor.md` explains: our program with
//! this executor alone. It is here because it needs a Python.

use jarvis_run_coordinator::types::{NodeRunState, RunState};
use jarvis_stack::Part;
use serde_json::{Value, json};
use xtask_support::{
    process::{self, Process},
    venv, workspace,
};

use crate::support::{TestStack, completion_error};

/// Starts a server among the examples on a free port; returns it and its URL.
pub fn serve(example: &str, arguments: &[&str]) -> (Process, String) {
    let venv = venv::ensure(&workspace::root()).expect("an environment");
    let vars = [("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")];
    let mut command = process::attended(&venv, &venv.python(), vars);
    command.current_dir(workspace::root()).arg(format!("examples/{example}"));
    command.args(arguments).args(["--port", "0"]);
    let server = Process::start(example, command, None).expect("it starts");
    let url = server.log().line("listening", |line| line.strip_prefix("listening on ").map(str::to_owned));
    (server, url.expect("it listens"))
}

#[tokio::test]
async fn example_executor_plans_executes_and_fails() {
    let (_executor, url) = serve("executor.py", &[]);
    let t = TestStack::embedded_with(&[Part::Coordinator], |blueprint| {
        blueprint.with(Part::Coordinator, "JARVIS_ATOMIC_EXECUTOR_URL", &url).with(
            Part::Coordinator,
            "JARVIS_COMPOSITE_EXECUTOR_URL",
            &url,
        )
    });

    let party = json!({"node_type_id": "composite.party", "version": "1.0.0"});
    let run = t.coordinator.run_start(&party, json!({"guests": ["Ada", "Grace"]})).await;
    let (run, root, _) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    let outputs = serde_json::to_value(&root.outputs).expect("JSON");
    assert_eq!(outputs["greetings"], json!(["Hello, Ada!", "Hello, Grace!"]));
    assert!([json!("Ada"), json!("Grace")].contains(&outputs["washes_up"]), "{outputs}");

    // A child that fails ends the plan, and the reason is the child's.
    for (node_type, input, code) in [
        ("composite.party", json!({"guests": []}), "plan_failed"),
        ("composite.unknown", json!({}), "composite_rejected"),
        ("atomic.greet", json!({}), "handler_error"),
        ("atomic.unknown", json!({}), "unknown_node_type"),
    ] {
        let node_type = json!({"node_type_id": node_type, "version": "1.0.0"});
        let run = t.coordinator.run_start(&node_type, input).await;
        let (run, root, _) = t.coordinator.run_ended(&run.run_id).await;
        assert_eq!(run.state, RunState::Failed);
        assert_eq!(completion_error(&root)["code"], Value::from(code));
    }
}
