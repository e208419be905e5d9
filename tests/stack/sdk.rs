//! The official SDK as a client: `sdk_run.py` uses it, and prints what it saw.

use serde_json::{Value, json};

use crate::{
    runs::ATOMIC_RUN,
    support::{TestStack, VERSION, output_of, python},
};

#[tokio::test]
async fn official_sdk_runs_reads_streams_and_cancels() {
    let t = TestStack::embedded();
    let mut script = python("sdk_run.py");
    script.args([&t.coordinator.url, VERSION]);
    let (printed, succeeded) = output_of("sdk_run.py", script).await;
    assert!(succeeded, "an assertion of the script failed: see above");
    let saw: Value = serde_json::from_str(&printed).expect("JSON");

    assert_eq!((&saw["health"], &saw["service"]), (&json!("ok"), &json!("arp-jarvis-run-coordinator")));
    let echo = &saw["echo"];
    assert_eq!(echo["started"], "running");
    assert_eq!((&echo["ended"], &echo["root"]), (&json!("succeeded"), &json!("succeeded")));
    assert_eq!(echo["outputs"], json!({"echo": "from the SDK"}));
    assert_eq!(echo["events"], json!(ATOMIC_RUN));
    // The root's stream has all events but `run_started`.
    assert_eq!(echo["node_events"].as_array().expect("a list").len(), 6, "{}", echo["node_events"]);
    let canceled = &saw["canceled"];
    for what in ["answer", "run", "root"] {
        assert_eq!(canceled[what], "canceled", "{what}");
    }
    assert_eq!(canceled["events"].as_array().and_then(|names| names.last()), Some(&json!("run_completed")));
    assert_eq!(saw["unknown"], json!({"code": "run_not_found", "status": 404}));
}
