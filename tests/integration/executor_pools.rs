//! Pools of executors (contract §9.2 steps 5 and 6): nodes are spread over the
//! members, a member that fails is left alone, and a node is canceled where it
//! runs.
//!
//! ```text
//!   coordinator ──▶ pool ─┬─▶ FakeExecutors  left
//!                         └─▶ FakeExecutors  right
//! ```

use futures::future::join_all;
use jarvis_run_coordinator::types::{NodeRun, NodeRunState, Run, RunState};
use serde_json::{Value, json};

use crate::support::{FakeExecutors, FakeService, TestServer, UNREACHABLE, soon, spec};

const ATOMIC: &str = "JARVIS_ATOMIC_EXECUTOR_URL";
const COMPOSITE: &str = "JARVIS_COMPOSITE_EXECUTOR_URL";
/// Calls that hang are handed back soon.
const QUICK_STOP: (&str, &str) = ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "1");

/// The members of a pool.
struct Pool {
    left: FakeExecutors,
    right: FakeExecutors,
}

impl Pool {
    fn start() -> Self {
        Self { left: FakeExecutors::start(), right: FakeExecutors::start() }
    }

    fn urls(&self) -> String {
        format!("{}, {}", self.left.url(), self.right.url())
    }

    fn named_urls(&self) -> String {
        format!("left={},right={}", self.left.url(), self.right.url())
    }

    /// The member that was given this node, and the other one.
    async fn host_of(&self, path_end: &str, node: &str) -> (&FakeExecutors, &FakeExecutors) {
        let has = |executors: &FakeExecutors| {
            let calls = executors.calls();
            calls.iter().any(|call| call.path.ends_with(path_end) && call.is_work_of(node))
        };
        soon("the node at a member", async {
            loop {
                if has(&self.left) {
                    return (&self.left, &self.right);
                }
                if has(&self.right) {
                    return (&self.right, &self.left);
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }
}

fn error_code(node: &NodeRun) -> Value {
    node.extensions.as_ref().map(|map| map.value("completion_error")["code"].clone()).unwrap_or_default()
}

fn count(executors: &FakeExecutors, path_end: &str) -> usize {
    executors.calls().iter().filter(|call| call.path.ends_with(path_end)).count()
}

async fn members(t: &TestServer, check: &str) -> Value {
    let health = t.get("/v1/health").await.ok();
    let checks = health["checks"].as_array().expect("checks");
    let check = checks.iter().find(|known| known["name"] == check).expect("the check");
    json!({"status": check["status"], "members": check["details"]["members"]})
}

#[tokio::test]
async fn nodes_are_spread_over_the_members_of_a_pool() {
    let pool = Pool::start();
    let t = TestServer::start_with(&[(ATOMIC, &pool.urls())]).await;
    let runs: Vec<Run> = join_all((0..6).map(|_| t.run_start("atomic.hang", json!({})))).await;
    pool.left.called(":execute", 3).await;
    pool.right.called(":execute", 3).await;
    for run in &runs {
        let node = t.node_run(&run.root_node_run_id).await;
        let (host, _) = pool.host_of(":execute", node.node_run_id.as_str()).await;
        let binding = node.executor_binding.expect("a binding");
        assert_eq!(*binding.endpoint, format!("{}/", host.url()));
        assert_eq!(format!("http://{}", binding.executor_instance_id), host.url());
    }
    // Health knows the load of each, and no address.
    let seen = soon("the members' load", async {
        loop {
            let seen = members(&t, "atomic_executor").await;
            if seen["members"][0]["in_flight"] == 3 {
                return seen;
            }
        }
    })
    .await;
    let member = |name: &str| json!({"name": name, "breaker": "closed", "in_flight": 3, "slots": 256});
    assert_eq!(seen, json!({"status": "ok", "members": [member("1"), member("2")]}));
    for run in &runs {
        t.cancel(&run.run_id).await;
    }
    t.at_rest().await;
    t.stop().await;
}

#[tokio::test]
async fn dead_member_is_left_alone_and_the_others_take_over() {
    let alive = FakeExecutors::start();
    let t = TestServer::start_with(&[(ATOMIC, &format!("dead={UNREACHABLE},alive={}", alive.url()))]).await;
    for _ in 0..3 {
        let runs: Vec<Run> = join_all((0..10).map(|_| t.run_start("atomic.echo", json!({})))).await;
        for run in &runs {
            assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
            let node = t.node_run(&run.root_node_run_id).await;
            assert_eq!(node.executor_binding.expect("a binding").executor_instance_id, "alive");
        }
    }
    assert_eq!(count(&alive, ":execute"), 30, "each node was executed once");
    let seen = soon("the breaker of one member", async {
        loop {
            let seen = members(&t, "atomic_executor").await;
            if seen["status"] == "degraded" {
                return seen;
            }
        }
    })
    .await;
    let breakers: Vec<&Value> =
        seen["members"].as_array().expect("members").iter().map(|m| &m["breaker"]).collect();
    assert_eq!(breakers[1], "closed", "{seen}");
    t.stop().await;
}

#[tokio::test]
async fn cancel_reaches_only_the_member_where_the_node_runs() {
    let pool = Pool::start();
    let t = TestServer::start_with(&[(ATOMIC, &pool.urls()), (COMPOSITE, &pool.urls())]).await;
    for (node_type, call) in [("atomic.hang", ":execute"), ("composite.accept", ":begin")] {
        let run = t.run_start(node_type, json!({})).await;
        let (host, other) = pool.host_of(call, run.root_node_run_id.as_str()).await;
        let cancel = format!("{}:cancel", run.root_node_run_id);
        t.cancel(&run.run_id).await;
        host.called(&cancel, 1).await;
        t.at_rest().await;
        assert_eq!(count(other, &cancel), 0, "{node_type}");
    }
    t.stop().await;
}

#[tokio::test]
async fn composite_stays_at_its_member_over_a_restart() {
    let pool = Pool::start();
    let urls = pool.urls();
    let vars = [(COMPOSITE, &*urls), QUICK_STOP];
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let node = run.root_node_run_id.as_str();
    let (host, other) = pool.host_of(":begin", node).await;
    t.at_rest().await;
    let (journal, executors) = t.stop().await;
    let t = TestServer::try_start(journal, executors, &vars).await.expect("the server starts");
    // It may have been lost with the process, and is begun again: where it was.
    host.called(":begin", 2).await;
    t.at_rest().await;
    t.cancel(&run.run_id).await;
    host.called(":cancel", 1).await;
    t.at_rest().await;
    assert_eq!((count(other, ":begin"), count(other, ":cancel")), (0, 0));
    t.stop().await;
}

#[tokio::test]
async fn node_of_a_removed_member_is_given_up() {
    let pool = Pool::start();
    let urls = pool.urls();
    let t = TestServer::start_with(&[(COMPOSITE, &urls), QUICK_STOP]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let (removed, stays) = pool.host_of(":begin", run.root_node_run_id.as_str()).await;
    t.at_rest().await;
    let (journal, executors) = t.stop().await;
    let third = FakeExecutors::start();
    let urls = format!("{},{}", stays.url(), third.url());
    let t =
        TestServer::try_start(journal, executors, &[(COMPOSITE, &urls)]).await.expect("the server starts");
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Failed);
    assert_eq!(error_code(&t.node_run(&run.root_node_run_id).await), "executor_instance_unknown");
    t.at_rest().await;
    // Lost with the process, and then fenced off: nothing was sent anywhere.
    let attempts = t.attempts_until(&run.root_node_run_id, 1).await;
    assert_eq!((attempts.len(), &attempts[0]["outcome"]), (1, &json!("fenced")));
    for executors in [removed, stays, &third] {
        assert_eq!(count(executors, ":cancel"), 0);
    }
    t.stop().await;
}

#[tokio::test]
async fn repeated_node_is_canceled_at_each_member_where_it_may_run() {
    let (pool, registry) = (Pool::start(), FakeService::registry_of_atomics("read"));
    let vars = [(ATOMIC, &*pool.urls()), ("JARVIS_NODE_REGISTRY_URL", registry.url())]
        .map(|(n, v)| (n, v.to_owned()));
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, &**value)).collect();
    let t = TestServer::start_with(&vars).await;
    // It breaks off once at each member: the third attempt succeeds.
    let run = t.run_start("atomic.break-once", json!({})).await;
    assert_eq!(t.run_ended(&run.run_id).await.state, RunState::Succeeded);
    let node = run.root_node_run_id.as_str();
    let mut executions = [pool.left.executions(node), pool.right.executions(node)];
    executions.sort_unstable();
    assert_eq!(executions, [1, 2], "another member is preferred after a failure");
    pool.left.called(":cancel", 1).await;
    pool.right.called(":cancel", 1).await;
    t.at_rest().await;
    t.stop().await;
}

#[tokio::test]
async fn requested_instance_is_the_only_choice() {
    let pool = Pool::start();
    let t = TestServer::start_with(&[(ATOMIC, &pool.named_urls())]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let mut of_right = spec("atomic.echo");
    of_right["requested_executor_instance_id"] = json!("right");
    let children = t.children(&run.run_id, &run.root_node_run_id, &vec![of_right.clone(); 5]).await;
    for child in &children {
        let child = t.node_run_in(&child.node_run_id, NodeRunState::Succeeded).await;
        assert_eq!(child.executor_binding.expect("a binding").executor_instance_id, "right");
    }
    assert_eq!((count(&pool.left, ":execute"), count(&pool.right, ":execute")), (0, 5));
    let mut unknown = of_right;
    unknown["requested_executor_instance_id"] = json!("middle");
    let child = t.children(&run.run_id, &run.root_node_run_id, &[unknown]).await.remove(0);
    let child = t.node_run_in(&child.node_run_id, NodeRunState::Failed).await;
    assert_eq!(error_code(&child), "executor_instance_unknown");
    t.stop().await;
}

#[tokio::test]
async fn request_for_an_instance_is_only_recorded_without_names() {
    let t = TestServer::start().await;
    let run = t.run_start("composite.accept", json!({})).await;
    let mut asks = spec("atomic.echo");
    asks["requested_executor_instance_id"] = json!("whatever");
    let child = t.children(&run.run_id, &run.root_node_run_id, &[asks]).await.remove(0);
    let child = t.node_run_in(&child.node_run_id, NodeRunState::Succeeded).await;
    let binding = child.executor_binding.expect("a binding");
    assert_eq!(binding.executor_instance_id, "arp-jarvis-atomic-executor");
    t.stop().await;
}
