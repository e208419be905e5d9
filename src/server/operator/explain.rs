//! Why a run or a node run does not move.

use std::collections::BTreeMap;

use dropshot::{ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, Path, RequestContext, endpoint};
use schemars::JsonSchema;
use serde::Serialize;

use super::model::{NodeRunPath, RunPath};
use crate::{
    coordinator,
    explain::Reason,
    http_server::{ApiError, Caller, ServerContext},
    types::{NodeRunId, NodeRunState, RunId, RunState},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(run_explain)?;
    api.register(node_run_explain)
}

/// Why a node run is where it is
#[derive(Serialize, JsonSchema)]
pub(super) struct NodeExplanation {
    run_id: RunId,
    node_run_id: NodeRunId,
    state: NodeRunState,
    /// The most important one first; there is at least one
    reasons: Vec<Reason>,
}

/// Why a run is where it is
#[derive(Serialize, JsonSchema)]
struct RunExplanation {
    run_id: RunId,
    state: RunState,
    /// How many node runs are live, by state; of the first 1,000
    live: BTreeMap<String, u64>,
    /// There may be more than those
    more: bool,
    /// That it is held: it starts no work
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Reason>,
    /// The node runs that hold it up, at most 20; of a run that has ended, its root
    nodes: Vec<NodeExplanation>,
}

/// Explain why a run does not move
#[endpoint { method = GET, path = "/x/runs/{run_id}/explain", operation_id = "explain_run", tags = ["runs"] }]
async fn run_explain(rq: Rq, caller: Caller, path: Path<RunPath>) -> Answer<HttpResponseOk<RunExplanation>> {
    let run = path.into_inner().run_id;
    Ok(HttpResponseOk(rq.context().coordinator.run_explain(&caller.0, &run).await?.into()))
}

/// Explain why a node run does not move
#[endpoint {
    method = GET,
    path = "/x/node-runs/{node_run_id}/explain",
    operation_id = "explain_node_run",
    tags = ["node_runs"],
}]
async fn node_run_explain(
    rq: Rq,
    caller: Caller,
    path: Path<NodeRunPath>,
) -> Answer<HttpResponseOk<NodeExplanation>> {
    let node = path.into_inner().node_run_id;
    Ok(HttpResponseOk(rq.context().coordinator.node_run_explain(&caller.0, &node).await?.into()))
}

impl From<coordinator::NodeExplanation> for NodeExplanation {
    fn from(explanation: coordinator::NodeExplanation) -> Self {
        let coordinator::NodeExplanation { run_id, node_run_id, state, reasons } = explanation;
        Self { run_id, node_run_id, state, reasons }
    }
}

impl From<coordinator::RunExplanation> for RunExplanation {
    fn from(explanation: coordinator::RunExplanation) -> Self {
        let coordinator::RunExplanation { run_id, state, live, more, held, nodes } = explanation;
        let live = live.into_iter().map(|(state, count)| (state.to_string(), count)).collect();
        let nodes = nodes.into_iter().map(NodeExplanation::from).collect();
        Self { run_id, state, live, more, held, nodes }
    }
}
