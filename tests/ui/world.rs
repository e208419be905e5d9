//! The server that the page belongs to, with runs that a person might look at.

use jarvis_run_coordinator::types::{NodeRunId, RunId};
use scripted_executor::{Behaviour, Call, Executors};
use serde_json::{Value, json};

use crate::support::{FakeExecutors, TestServer};

pub const LISTEN: (&str, &str) = ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
pub const PARK: (&str, &str) = ("JARVIS_RUN_COORDINATOR_APPROVALS", "park");

pub async fn server(vars: &[(&str, &str)]) -> TestServer {
    TestServer::start_with(&[&[LISTEN, PARK], vars].concat()).await
}

/// Starts a run; returns its root.
pub async fn start(t: &TestServer, run: &str, node_type: &str, more: Value) -> NodeRunId {
    let mut all = json!({"run_id": run});
    all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    t.run_start_with(node_type, json!({"city": "Lisbon"}), all).await.root_node_run_id
}

/// Starts a run whose root waits for an approval.
pub async fn start_gated(t: &TestServer, run: &str) {
    let gate = json!({"constraints": {"gates": {"require_approval": true}}});
    start(t, run, "atomic.echo", gate).await;
}

pub fn child(node_type: &str) -> Value {
    json!({"node_type_ref": {"node_type_id": node_type, "version": "1.0.0"}, "inputs": {"x": 1}})
}

/// A server whose executors know types with the names of real work.
pub async fn pictured() -> (TestServer, Executors) {
    let executors = Executors::listen(([127, 0, 0, 1], 0).into(), by_name).expect("the executors listen");
    let url = executors.url().to_owned();
    let t = server(&[("JARVIS_ATOMIC_EXECUTOR_URL", &url), ("JARVIS_COMPOSITE_EXECUTOR_URL", &url)]).await;
    (t, executors)
}

fn by_name(call: &Call) -> Option<Behaviour> {
    let id = call.body["node_type_ref"]["node_type_id"].as_str()?;
    Some(match id {
        id if id.starts_with("composite.") => Behaviour::Accept,
        "atomic.search_hotels" => Behaviour::BusyOnce,
        "atomic.fetch_reviews" | "atomic.export_table" => Behaviour::Hang,
        "atomic.send_report" => Behaviour::Fail,
        _ => Behaviour::Slow,
    })
}

/// A run with a plan in progress, some that have ended, one that waits for a person.
pub async fn weekend(t: &TestServer) -> RunId {
    for (run, node_type) in [
        ("report-2026-11", "atomic.send_report"),
        ("report-2026-10", "atomic.write_report"),
        ("forecast-lisbon", "atomic.weather_forecast"),
        ("export-customers", "atomic.export_table"),
    ] {
        start(t, run, node_type, json!({})).await;
    }
    for run in ["report-2026-11", "report-2026-10", "forecast-lisbon"] {
        t.run_ended(&RunId::new(run)).await;
    }
    start_gated(t, "invoice-2291").await;
    let budgets = json!({"constraints": {"budgets": {"max_steps": 20, "max_external_calls": 40}}});
    let run = RunId::new("weekend-lisbon");
    let root = start(t, run.as_str(), "composite.plan_weekend", budgets).await;
    let made = t.children(&run, &root, &["composite.find_route", "composite.find_hotel"].map(child)).await;
    let [route, hotel] = [0, 1].map(|at| made[at].node_run_id.clone());
    let found = ["atomic.weather_forecast", "atomic.search_trains", "atomic.rank_connections"].map(child);
    for node in t.children(&run, &route, &found).await {
        t.node_run_until(&node.node_run_id, |node| node.state.is_terminal()).await;
    }
    t.complete(&route, "succeeded").await;
    let found = ["atomic.search_hotels", "atomic.fetch_reviews"].map(child);
    let made = t.children(&run, &hotel, &found).await;
    t.node_run_until(&made[0].node_run_id, |node| node.state.is_terminal()).await;
    t.node_run_until(&made[1].node_run_id, |node| node.started_at.is_some()).await;
    run
}

/// The same server again, on the same addresses, with the journal that it left.
pub async fn again(t: TestServer, operator: &str) -> TestServer {
    let (journal, executors): (_, FakeExecutors) = t.stop().await;
    let listen = ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", operator);
    TestServer::try_start(journal, executors, &[listen, PARK]).await.expect("it starts again")
}
