//! Node types (contract §9.1, D-16): the requests to the Node Registry, the cache of
//! its answers, and the behaviour during an outage.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use jarvis_run_coordinator::{
    time::{Clock, SystemClock},
    types::{NodeKind, NodeRun, NodeRunState, Run},
};
use serde_json::{Value, json};

use crate::{
    stores::FastClock,
    support::{Answer, FakeService, TestServer, UNREACHABLE, soon, spec},
};

/// A registry that answers with a chosen status. With 200 it knows every type, whose
/// kind is its id.
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

    fn request_count(&self) -> usize {
        self.service.requests().len()
    }

    async fn server(&self, vars: &[(&str, &str)]) -> TestServer {
        let mut all = TestServer::IDLE.to_vec();
        all.push(("JARVIS_NODE_REGISTRY_URL", self.service.url()));
        all.extend(vars);
        TestServer::start_with(&all).await
    }

    /// A server on whose clock time passes fast.
    async fn fast_server(&self) -> TestServer {
        let mut vars = TestServer::IDLE.to_vec();
        vars.push(("JARVIS_NODE_REGISTRY_URL", self.service.url()));
        TestServer::start_with_clock(FastClock(SystemClock.now()), &vars).await
    }
}

const OPEN: (&str, &str) = ("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", "open");

async fn start(t: &TestServer, id: &str, version: &str) -> Answer {
    let node_type = json!({"node_type_id": id, "version": version});
    t.post("/v1/runs", &json!({"root_node_type_ref": node_type, "input": {}})).await
}

/// Starts a run; returns the kind of its root.
async fn kind(t: &TestServer, id: &str, version: &str) -> Option<NodeKind> {
    let run: Run = serde_json::from_value(start(t, id, version).await.ok()).expect("a run");
    t.node_run(&run.root_node_run_id).await.kind
}

#[tokio::test]
async fn node_type_version_is_cached() {
    let registry = Registry::start();
    let t = registry.server(&[]).await;
    for _ in 0..3 {
        assert_eq!(kind(&t, "composite", "1").await, Some(NodeKind::Composite));
    }
    assert_eq!(registry.request_count(), 1);
    registry.answers(503);
    assert_eq!(kind(&t, "composite", "1").await, Some(NodeKind::Composite));
    assert_eq!(registry.request_count(), 1);
    // Nothing is known about another version.
    start(&t, "composite", "2").await.refused(503, "node_registry_unavailable");
    t.stop().await;
}

#[tokio::test]
async fn latest_version_is_asked_again_and_kept_for_outages() {
    let registry = Registry::start();
    let t = registry.fast_server().await;
    for (requests, status) in [(1, 200), (2, 200), (3, 500)] {
        registry.answers(status);
        // An answer counts for a moment.
        soon("another request", async {
            while registry.request_count() < requests {
                assert_eq!(kind(&t, "atomic", "").await, Some(NodeKind::Atomic), "{status}");
            }
        })
        .await;
    }
    t.stop().await;
}

#[tokio::test]
async fn unknown_node_type_may_be_published_later() {
    let registry = Registry::start();
    registry.answers(404);
    let t = registry.fast_server().await;
    assert_eq!(kind(&t, "composite", "1").await, None);
    assert_eq!(kind(&t, "atomic.echo", "1").await, Some(NodeKind::Atomic), "by its prefix");
    registry.answers(200);
    soon("the published type", async {
        while kind(&t, "composite", "1").await != Some(NodeKind::Composite) {}
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn hundred_children_of_one_type_cost_one_request() {
    let registry = Registry::start();
    let t = registry.server(&[]).await;
    let run = t.run_start("composite", json!({})).await;
    for (status, version) in [(200, "1"), (200, ""), (404, "2")] {
        registry.answers(status);
        let before = registry.request_count();
        let child = |number| {
            let node_type = json!({"node_type_id": "atomic", "version": version});
            let key = format!("{version} {number}");
            json!({"node_type_ref": node_type, "inputs": {}, "idempotency_key": key})
        };
        let children: Vec<Value> = (0..100).map(child).collect();
        let create = json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id,
            "node_runs": children});
        t.post("/v1/node-runs", &create).await.ok();
        assert_eq!(registry.request_count(), before + 1, "{status} {version}");
    }
    t.stop().await;
}

#[tokio::test]
async fn node_kind_is_guessed_only_if_configured() {
    let registry = Registry::start();
    let (closed, open) = (registry.server(&[]).await, registry.server(&[OPEN]).await);
    assert_eq!(kind(&open, "composite", "1").await, Some(NodeKind::Composite));
    for status in [401, 403, 500, 503] {
        registry.answers(status);
        start(&closed, "atomic.echo", "1").await.refused(503, "node_registry_unavailable");
    }
    let before = registry.request_count();
    assert_eq!(kind(&open, "atomic.echo", "1").await, Some(NodeKind::Atomic));
    assert_eq!(kind(&open, "Composite.plan", "1").await, Some(NodeKind::Composite));
    assert_eq!(kind(&open, "jarvis.core.echo", "1").await, None);
    assert_eq!(registry.request_count(), before + 1, "no request is made during the cool-down");
    // A cached answer takes precedence over a guess.
    assert_eq!(kind(&open, "composite", "1").await, Some(NodeKind::Composite));
    closed.stop().await;
    open.stop().await;
}

#[tokio::test]
async fn guessed_kind_is_dispatched_and_unguessable_type_fails() {
    let t = TestServer::start_with(&[("JARVIS_NODE_REGISTRY_URL", UNREACHABLE), OPEN]).await;
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

/// A 4xx is an answer: the registry works, and refuses this node type.
#[tokio::test]
async fn node_type_refused_by_the_registry_is_not_guessed() {
    let registry = Registry::start();
    let (closed, open) = (registry.server(&[]).await, registry.server(&[OPEN]).await);
    for t in [&closed, &open] {
        registry.answers(200);
        let run = t.run_start("composite", json!({})).await;
        let before = t.journal_rows();
        for status in [400, 410, 422] {
            registry.answers(status);
            let refused = start(t, "atomic.odd", "1").await;
            assert_eq!(
                refused.complaints(),
                [("node_type_refused".to_owned(), "body.root_node_type_ref".to_owned())],
                "{status}"
            );
            let error = refused.refused(400, "invalid_request");
            assert_eq!(error["retryable"], false, "{error}");
            let message = &error["details"]["errors"][0]["msg"];
            assert_eq!(*message, "the Node Registry refuses the node type 'atomic.odd', version '1'");

            let create = json!({"run_id": run.run_id, "parent_node_run_id": run.root_node_run_id,
                "node_runs": [spec("composite"), spec("atomic.odd")]});
            let refused = t.post("/v1/node-runs", &create).await;
            let place = "body.node_runs.1.node_type_ref";
            assert_eq!(refused.complaints(), [("node_type_refused".to_owned(), place.to_owned())]);
        }
        assert_eq!(t.journal_rows(), before, "a refused request writes nothing");
        // There is no cool-down: the next request is made.
        registry.answers(200);
        assert_eq!(kind(t, "atomic", "5").await, Some(NodeKind::Atomic));
    }
    closed.stop().await;
    open.stop().await;
}

/// Wrong credentials of the coordinator are not an outage: the kind is not guessed,
/// and a retry does not help.
#[tokio::test]
async fn registry_refusing_our_credentials_is_not_an_outage() {
    let registry = Registry::start();
    let t = registry.server(&[OPEN]).await;
    start(&t, "atomic", "").await.ok();
    for status in [401, 403] {
        registry.answers(status);
        let error = start(&t, "atomic.echo", "1").await.refused(503, "node_registry_unavailable");
        assert_eq!(error["retryable"], false, "{error}");
        assert_eq!(error["message"], "Node Registry refuses the coordinator's credentials");
        // A cached answer remains valid.
        assert_eq!(kind(&t, "atomic", "").await, Some(NodeKind::Atomic));
        registry.answers(200);
        assert_eq!(
            kind(&t, "composite", &status.to_string()).await,
            Some(NodeKind::Composite),
            "there is no cool-down"
        );
    }
    registry.answers(429);
    assert_eq!(kind(&t, "atomic.echo", "1").await, Some(NodeKind::Atomic), "too busy to answer");
    t.stop().await;
}

/// The node is created while its type is unknown, and dispatched later.
#[tokio::test]
async fn queued_node_waits_for_credentials_and_fails_if_refused() {
    let registry = Registry::start();
    registry.answers(404);
    let mut t = registry.server(&[]).await;
    let run = t.run_start("composite", json!({})).await;
    assert_eq!(t.node_run(&run.root_node_run_id).await.kind, None);
    for (status, code) in [(403, None), (422, Some("unknown_node_kind"))] {
        registry.answers(status);
        let (journal, executors) = t.stop().await;
        let vars = [("JARVIS_NODE_REGISTRY_URL", registry.service.url())];
        let again = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
        let before = registry.request_count();
        match code {
            None => registry.service.received("repeated requests", before + 3, |_| true).await,
            Some(code) => {
                let root = again.node_run_in(&run.root_node_run_id, NodeRunState::Failed).await;
                let extensions = serde_json::to_value(&root.extensions).expect("JSON");
                assert_eq!(extensions["completion_error"]["code"], code);
            }
        }
        t = again;
    }
    t.stop().await;
}
