//! Values that would forge log lines, and requests that would flood the log.

use serde_json::{Value, json};

use crate::{
    support::{FakeService, UNREACHABLE},
    target::{AT_REST_MIB, Target},
};

/// Names have a mebibyte, and each run holds some copies of its name. The log's queue
/// holds some thousand lines of a kilobyte.
const PEAK_MIB: u64 = AT_REST_MIB + 64;

const FORGED: &str = "x\n2026-01-01T00:00:00.000000Z CRIT forged::line: all is lost\r\n\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{2028}";

fn start(node_type: &str) -> Value {
    json!({"root_node_type_ref": {"node_type_id": node_type, "version": "1"}, "input": {}})
}

/// Asserts that each line has a time, a level and a module of ours, and no control
/// characters.
fn assert_lines_are_ours(log: &str) {
    for line in log.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        assert!(words.len() == 4 && words[0].ends_with('Z') && words[0].starts_with("20"), "{line}");
        assert!(["DEBUG", "INFO", "WARNING", "ERROR"].contains(&words[1]), "{line}");
        assert!(
            words[2].starts_with("jarvis_run_coordinator") || words[2].starts_with("dropshot::"),
            "{line}"
        );
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert!(line.len() < 8_000, "a line of {} bytes", line.len());
    }
}

#[tokio::test]
async fn hostile_values_neither_forge_nor_flood_log_lines() {
    // The errors of this PDP are logged. The registry is unreachable, so that node types
    // are guessed, and logged.
    let pdp =
        FakeService::start_with_status(|_, _| (500, json!({"error": {"code": FORGED, "message": FORGED}})));
    let vars = [
        ("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "text"),
        ("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", "open"),
        ("JARVIS_NODE_REGISTRY_URL", UNREACHABLE),
        ("JARVIS_PDP_URL", pdp.url()),
        ("LOG_LEVEL", "DEBUG"),
    ];
    let target = Target::start_in_text(&vars).await;
    for (node_type, status) in [(FORGED, 200), (&*"l".repeat(500), 200), (&"l".repeat(1_000_000), 400)] {
        for _ in 0..20 {
            let body = start(node_type).to_string();
            let reply = target.post("/v1/runs", body.as_bytes()).await;
            assert_eq!(reply.status, status, "{reply:?}");
        }
    }
    let log = target.alive(PEAK_MIB).await;
    assert!(log.contains("node type guessed"), "{log}");
    assert_lines_are_ours(&log);
}

#[tokio::test]
async fn dropped_extension_keys_are_one_log_line_per_request() {
    let target = Target::start(&[("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off")]).await;
    let (_, run) = target.process.post("/v1/runs", &start("composite.x")).await;
    let own = json!({"constraints": 1, "jarvis.constraints": 1, "completion_error": 1, "idempotency_key": 1});
    let spec = json!({"node_type_ref": {"node_type_id": "atomic.x", "version": "1"}, "inputs": {}, "extensions": own});
    let create = json!({"run_id": run["run_id"], "parent_node_run_id": run["root_node_run_id"],
        "node_runs": vec![spec; 1_000]});
    let (status, answer) = target.process.post("/v1/node-runs", &create).await;
    assert_eq!(status, 200, "{answer}");
    let log = target.alive(PEAK_MIB).await;
    assert_eq!(
        log.lines().filter(|line| line.contains("dropped extensions with reserved keys")).count(),
        1,
        "{log}"
    );
    assert!(log.lines().count() < 30, "{log}");
}
