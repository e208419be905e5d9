//! What the Node Registry is asked, what is remembered of its answers, and what
//! happens while it does not answer (contract §9.1, D-16).

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use jarvis_run_coordinator::model::{NodeKind, NodeRun, Run};
use serde_json::{Value, json};

use crate::support::{Answer, FakeService, NOBODY, TestServer};

/// A registry that gives types with this status, and nonsense with any other;
/// every type has the kind that is its id.
struct Registry {
    service: FakeService,
    status: Arc<AtomicU16>,
}

impl Registry {
    fn start() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let service = FakeService::start_with_status({
            let status = Arc::clone(&status);
            move |path, _| {
                let id = path.rsplit('/').next().unwrap_or_default();
                let node_type = json!({"node_type_id": id, "version": "9", "kind": id});
                match status.load(Ordering::SeqCst) {
                    200 => (200, node_type),
                    status => (status, json!({"detail": "out of order"})),
                }
            }
        });
        Self { service, status }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.service.questions().len()
    }

    async fn server(&self, vars: &[(&str, &str)]) -> TestServer {
        let mut all = TestServer::IDLE.to_vec();
        all.push(("JARVIS_NODE_REGISTRY_URL", self.service.url()));
        all.extend(vars);
        TestServer::start_with(&all).await
    }
}

const OPEN: (&str, &str) = ("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", "open");

async fn start(t: &TestServer, id: &str, version: &str) -> Answer {
    let node_type = json!({"node_type_id": id, "version": version});
    t.post("/v1/runs", &json!({"root_node_type_ref": node_type, "input": {}})).await
}

/// The kind of the root of a run that starts.
async fn kind(t: &TestServer, id: &str, version: &str) -> Option<NodeKind> {
    let run: Run = serde_json::from_value(start(t, id, version).await.ok()).expect("a run");
    t.node_run(&run.root_node_run_id).await.kind
}

#[tokio::test]
async fn a_version_that_was_seen_is_known_for_good() {
    let registry = Registry::start();
    let t = registry.server(&[]).await;
    for _ in 0..3 {
        assert_eq!(kind(&t, "composite", "1").await, Some(NodeKind::Composite));
    }
    assert_eq!(registry.asked(), 1);
    registry.answers(503);
    assert_eq!(kind(&t, "composite", "1").await, Some(NodeKind::Composite));
    assert_eq!(registry.asked(), 1);
    // Not a word about the version next to it.
    start(&t, "composite", "2").await.refused(503, "node_registry_unavailable");
    t.stop().await;
}

#[tokio::test]
async fn the_highest_version_is_asked_for_each_time_and_remembered_for_bad_times() {
    let registry = Registry::start();
    let t = registry.server(&[]).await;
    start(&t, "atomic", "").await.ok();
    assert_eq!(kind(&t, "atomic", "").await, Some(NodeKind::Atomic));
    assert_eq!(registry.asked(), 2);
    registry.answers(500);
    assert_eq!(kind(&t, "atomic", "").await, Some(NodeKind::Atomic));
    assert_eq!(registry.asked(), 3);
    t.stop().await;
}

#[tokio::test]
async fn a_type_that_the_registry_does_not_know_may_be_published_later() {
    let registry = Registry::start();
    registry.answers(404);
    let t = registry.server(&[]).await;
    assert_eq!(kind(&t, "composite", "1").await, None);
    assert_eq!(kind(&t, "atomic.echo", "1").await, Some(NodeKind::Atomic), "by its prefix");
    registry.answers(200);
    assert_eq!(kind(&t, "composite", "1").await, Some(NodeKind::Composite));
    t.stop().await;
}

#[tokio::test]
async fn nobody_guesses_unless_the_configuration_says_so() {
    let registry = Registry::start();
    let (closed, open) = (registry.server(&[]).await, registry.server(&[OPEN]).await);
    assert_eq!(kind(&open, "composite", "1").await, Some(NodeKind::Composite));
    for status in [401, 403, 500, 503] {
        registry.answers(status);
        start(&closed, "atomic.echo", "1").await.refused(503, "node_registry_unavailable");
    }
    let before = registry.asked();
    assert_eq!(kind(&open, "atomic.echo", "1").await, Some(NodeKind::Atomic));
    assert_eq!(kind(&open, "Composite.plan", "1").await, Some(NodeKind::Composite));
    assert_eq!(kind(&open, "jarvis.core.echo", "1").await, None);
    assert_eq!(registry.asked(), before + 1, "it is left alone for a while");
    // What it has said before counts for more.
    assert_eq!(kind(&open, "composite", "1").await, Some(NodeKind::Composite));
    closed.stop().await;
    open.stop().await;
}

#[tokio::test]
async fn a_guess_is_dispatched_and_what_cannot_be_guessed_fails() {
    let t = TestServer::start_with(&[("JARVIS_NODE_REGISTRY_URL", NOBODY), OPEN]).await;
    for (id, outcome) in [("atomic.echo", Value::Null), ("jarvis.core.echo", json!("unknown_node_kind"))] {
        let run = t.run_start(id, json!({})).await;
        let run = t.run_ended(&run.run_id).await;
        let root: NodeRun = t.node_run(&run.root_node_run_id).await;
        let extensions = serde_json::to_value(&root.extensions).expect("JSON");
        assert_eq!(extensions["completion_error"]["code"], outcome, "{id}");
    }
    assert_eq!(t.executors.calls().len(), 1);
    t.stop().await;
}
