//! The gates before work is handed over (contract §7.2, §10): the checkpoint for
//! irreversible work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jarvis_run_coordinator::types::{NodeRunState, RunEvent, RunEventType};
use serde_json::{Value, json};

use crate::support::{FakeService, TestServer, spec};

const CHECKPOINT: &str = "JARVIS_RUN_COORDINATOR_IRREVERSIBLE_CHECKPOINT";

fn decisions(events: &[RunEvent]) -> Vec<Value> {
    let decided = events.iter().filter(|event| event.type_ == RunEventType::PolicyDecided);
    decided.map(|event| serde_json::to_value(&event.data).expect("JSON")).collect()
}

/// The action of each question, and whether it was about `node_type`.
fn asked(pdp: &FakeService, node_type: &str) -> Vec<String> {
    let requests = pdp.requests();
    let about = requests.iter().filter(|request| request["node_type_ref"]["node_type_id"] == node_type);
    about.map(|request| request["action"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn irreversible_work_passes_a_checkpoint_of_its_own() {
    let registry = FakeService::start(|path, _| {
        let id =
            path.rsplit('/').next().and_then(|last| last.split('?').next()).unwrap_or_default().to_owned();
        let effect = if id == "atomic.echo" { "read" } else { "irreversible" };
        let kind = id.split('.').next().unwrap_or_default().to_owned();
        json!({"node_type_id": id, "version": "1.0.0", "kind": kind, "extensions": {"jarvis.side_effect": effect}})
    });
    let pdp = FakeService::start(|_, request| {
        let denied = request["action"] == "node.run.irreversible";
        json!({"decision": if denied { "deny" } else { "allow" }, "reason_code": request["action"]})
    });
    let vars = [("JARVIS_PDP_URL", pdp.url()), ("JARVIS_NODE_REGISTRY_URL", registry.url())];
    for (on, asks) in [("off", false), ("on", true)] {
        let t = TestServer::start_with(&[&vars[..], &[(CHECKPOINT, on)]].concat()).await;
        let run = t.run_start("composite.accept", json!({})).await;
        let root = &run.root_node_run_id;
        t.node_run_in(root, NodeRunState::Running).await;
        let created = t.children(&run.run_id, root, &[spec("atomic.echo"), spec("atomic.slow")]).await;
        t.node_run_in(&created[0].node_run_id, NodeRunState::Succeeded).await;
        let (end, executions) = if asks { (NodeRunState::Failed, 0) } else { (NodeRunState::Succeeded, 1) };
        let slow = t.node_run_in(&created[1].node_run_id, end).await;
        assert_eq!(t.executors.executions(slow.node_run_id.as_str()), executions, "{on}");
        t.complete(root, "succeeded").await;
        let events = t.follow(&run.run_id).await;
        let of_slow =
            events.into_iter().filter(|event| event.node_run_id.as_ref() == Some(&slow.node_run_id));
        let decided: Vec<Value> = decisions(&of_slow.collect::<Vec<_>>());
        let mut expected = vec![
            json!({"action": "node.run.execute", "decision": "allow", "reason_code": "node.run.execute"}),
        ];
        if asks {
            let code = slow.extensions.as_ref().expect("extensions").value("completion_error");
            assert_eq!(code["code"], "policy_denied");
            let denied = "node.run.irreversible";
            expected.push(json!({"action": denied, "decision": "deny", "reason_code": denied}));
        }
        assert_eq!(decided, expected, "{on}");
        t.stop().await;
    }
    // A composite has no effect of its own.
    assert_eq!(asked(&pdp, "composite.accept"), ["run.start", "node.run.execute"].repeat(2));
    assert_eq!(asked(&pdp, "atomic.echo"), ["node.run.execute"].repeat(2));
    let twice = ["node.run.execute", "node.run.execute", "node.run.irreversible"];
    assert_eq!(asked(&pdp, "atomic.slow"), twice);
}

#[tokio::test]
async fn node_is_held_if_only_the_second_checkpoint_cannot_be_asked() {
    let up = Arc::new(AtomicBool::new(false));
    let pdp = FakeService::start_with_status({
        let up = Arc::clone(&up);
        move |_, request| match request["action"] != "node.run.irreversible" || up.load(Ordering::SeqCst) {
            true => (200, json!({"decision": "allow"})),
            false => (503, json!("<html>no upstream</html>")),
        }
    });
    let hold = ("JARVIS_RUN_COORDINATOR_PDP_OUTAGE", "hold");
    let t = TestServer::start_with(&[hold, (CHECKPOINT, "on"), ("JARVIS_PDP_URL", pdp.url())]).await;
    let run = t.run_start("atomic.echo", json!({})).await;
    let root = &run.root_node_run_id;
    let held = t.node_run_until(root, |node| node.recovery_actions.is_some()).await;
    assert_eq!(held.state, NodeRunState::Assigned);
    assert_eq!(decisions(&t.events(&run.run_id).await).len(), 1, "of run.start only");
    up.store(true, Ordering::SeqCst);
    let decided = decisions(&t.follow(&run.run_id).await);
    let actions: Vec<&Value> = decided.iter().map(|decision| &decision["action"]).collect();
    assert_eq!(actions, ["run.start", "node.run.execute", "node.run.irreversible"]);
    t.stop().await;
}
