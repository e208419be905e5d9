//! Runs: listed, counted, and the tree of one.

use std::collections::BTreeMap;

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, EmptyScanParams, HttpResponseOk, PaginationParams, Path,
    RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    model::{Principal, RunPath},
    paging::{Page, after, limit, next_page, page},
};
use crate::{
    coordinator::LIST_PAGE_MAX,
    http_server::{ApiError, Caller, LabelParams, Params, ServerContext},
    journal::{self, NodeSummary, RunPlace, RunSelect, RunSummary},
    record::NodePath,
    time::Timestamp,
    types::{NodeKind, NodeRunId, NodeRunState, NodeTypeRef, RunId, RunState},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(runs_list)?;
    api.register(runs_count)?;
    api.register(run_tree)
}

/// A run as lists show it: without inputs, outputs and extensions
#[derive(Serialize, JsonSchema)]
struct RunEntry {
    run_id: RunId,
    state: RunState,
    /// It starts no work until it is released
    held: bool,
    started_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    /// The type of its root
    #[serde(skip_serializing_if = "Option::is_none")]
    node_type_ref: Option<NodeTypeRef>,
    /// Who started it
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Principal>,
    /// The code of its root's error, if it ended with one
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    /// The run that it repeats
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun_of: Option<RunId>,
    /// `metadata.labels` of its request, as far as runs are found by them
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    /// Why it needs attention, in a list of such runs
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<Attention>,
}

/// Work of it was set aside because its decision fails repeatedly; a node run waits for an
/// approval; was put back several times, because its executor or a service is unavailable;
/// or has been due for a minute, and no executor has taken it
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Attention {
    Parked,
    Approval,
    Retrying,
    Waiting,
}

/// The number of runs in each state
#[derive(Serialize, JsonSchema)]
struct RunCount {
    /// By state; a state without runs is absent
    runs: BTreeMap<String, u64>,
    /// Absent if all were counted. Otherwise the counts of the pages add up
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

/// A node run as the tree shows it
#[derive(Serialize, JsonSchema)]
struct NodeEntry {
    node_run_id: NodeRunId,
    /// The ordinal numbers of its ancestors and its own in the run: `1.4.9`
    path: String,
    node_type_ref: NodeTypeRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<NodeKind>,
    state: NodeRunState,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    /// The newest attempt; 0: none yet
    attempt: u32,
    /// The number of its children
    children: u64,
    /// The node run whose outputs it has: it was not executed
    #[serde(skip_serializing_if = "Option::is_none")]
    reused_from: Option<NodeRunId>,
}

#[derive(Deserialize, JsonSchema)]
struct RunsQuery {
    state: Option<RunState>,
    /// The id of the root's type
    node_type: Option<String>,
    /// The tenant of the owner
    tenant: Option<String>,
    /// The subject of the owner
    owner: Option<String>,
    /// The code of the root's error
    error_code: Option<String>,
    /// At this time or later
    started_after: Option<Timestamp>,
    /// Before this time
    started_before: Option<Timestamp>,
    /// The beginning of the id
    id_prefix: Option<String>,
    /// Whether it is held
    held: Option<bool>,
    /// Only runs that need attention, and why; at most 1,000
    attention: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
struct CountQuery {
    /// What to count by
    by: CountBy,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CountBy {
    State,
}

#[derive(Deserialize, JsonSchema)]
struct TreeQuery {
    /// This node run and its descendants only
    under: Option<NodeRunId>,
}

/// Where a page of runs begins. No other list has members of these names.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterRun {
    started_before: i64,
    after_run: String,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AfterNode {
    after_path: String,
}

/// List runs, the newest first
///
/// A page may be shorter than its limit, and even empty, although more follows: there
/// is no more when it has no `next_page`. Filters are given again with each page.
#[endpoint { method = GET, path = "/x/runs", operation_id = "list_runs", tags = ["runs"] }]
async fn runs_list(
    rq: Rq,
    caller: Caller,
    query: Params<RunsQuery>,
    labels: LabelParams,
    paging: Params<PaginationParams<EmptyScanParams, AfterRun>>,
) -> Answer<HttpResponseOk<Page<RunEntry>>> {
    let (select, paging) = (select(query.into_inner(), labels), paging.into_inner());
    let limit = limit(&rq, &paging, LIST_PAGE_MAX)?;
    let after = after(paging, |place| Some(RunPlace::from(place)))?;
    let found = rq.context().coordinator.runs_list(&caller.0, select, after.as_ref(), limit).await?;
    let next = found.scanned_to.filter(|_| !found.at_end).map(AfterRun::from);
    page(found.runs.into_iter().map(RunEntry::from).collect(), next)
}

/// Count runs
#[endpoint { method = GET, path = "/x/runs:count", operation_id = "count_runs", tags = ["runs"] }]
async fn runs_count(
    rq: Rq,
    caller: Caller,
    query: Params<RunsQuery>,
    labels: LabelParams,
    by: Params<CountQuery>,
    paging: Params<PaginationParams<EmptyScanParams, AfterRun>>,
) -> Answer<HttpResponseOk<RunCount>> {
    match by.into_inner().by {
        CountBy::State => {}
    }
    let after = after(paging.into_inner(), |place| Some(RunPlace::from(place)))?;
    let select = select(query.into_inner(), labels);
    let counts = rq.context().coordinator.runs_count(&caller.0, select, after.as_ref()).await?;
    let next = counts.scanned_to.filter(|_| !counts.at_end).map(AfterRun::from);
    Ok(HttpResponseOk(RunCount { runs: counts.by_state, next_page: next_page(next)? }))
}

/// List the node runs of a run, each before its descendants
#[endpoint { method = GET, path = "/x/runs/{run_id}/tree", operation_id = "get_run_tree", tags = ["runs"] }]
async fn run_tree(
    rq: Rq,
    caller: Caller,
    path: Path<RunPath>,
    query: Params<TreeQuery>,
    paging: Params<PaginationParams<EmptyScanParams, AfterNode>>,
) -> Answer<HttpResponseOk<Page<NodeEntry>>> {
    let (run, under, paging) = (path.into_inner().run_id, query.into_inner().under, paging.into_inner());
    let limit = limit(&rq, &paging, LIST_PAGE_MAX)?;
    let after = after(paging, |AfterNode { after_path }| Some(NodePath::from(after_path)))?;
    let coordinator = &rq.context().coordinator;
    let found = coordinator.run_tree(&caller.0, &run, under.as_ref(), after.as_ref(), limit).await?;
    let next = found.next.map(|path| AfterNode { after_path: path.as_str().to_owned() });
    page(found.nodes.into_iter().map(NodeEntry::from).collect(), next)
}

fn select(query: RunsQuery, LabelParams(labels): LabelParams) -> RunSelect {
    let RunsQuery {
        state,
        node_type,
        tenant,
        owner,
        error_code,
        started_after,
        started_before,
        id_prefix,
        held,
        attention,
    } = query;
    RunSelect {
        state,
        node_type,
        tenant,
        owner,
        error_code,
        started_after,
        started_before,
        id_prefix,
        held,
        labels,
        attention: attention.unwrap_or(false),
    }
}

impl From<journal::Attention> for Attention {
    fn from(attention: journal::Attention) -> Self {
        match attention {
            journal::Attention::Parked => Self::Parked,
            journal::Attention::Approval => Self::Approval,
            journal::Attention::Retrying => Self::Retrying,
            journal::Attention::Waiting => Self::Waiting,
        }
    }
}

impl From<AfterRun> for RunPlace {
    fn from(place: AfterRun) -> Self {
        let AfterRun { started_before, after_run } = place;
        Self { started_at: Timestamp::from_micros(started_before), run_id: RunId::new(after_run) }
    }
}

impl From<RunPlace> for AfterRun {
    fn from(place: RunPlace) -> Self {
        let RunPlace { started_at, run_id } = place;
        Self { started_before: started_at.as_micros(), after_run: run_id.as_str().to_owned() }
    }
}

impl From<RunSummary> for RunEntry {
    fn from(run: RunSummary) -> Self {
        let RunSummary {
            place,
            state,
            held,
            ended_at,
            node_type,
            owner,
            error_code,
            labels,
            attention,
            rerun_of,
        } = run;
        let node_type_ref =
            node_type.map(|(node_type_id, version)| NodeTypeRef { extensions: None, node_type_id, version });
        Self {
            run_id: place.run_id,
            state,
            held,
            started_at: place.started_at,
            ended_at,
            node_type_ref,
            owner: owner.map(Principal::from),
            error_code,
            rerun_of,
            labels: labels.into_map(),
            attention: attention.map(Attention::from),
        }
    }
}

impl From<NodeSummary> for NodeEntry {
    fn from(node: NodeSummary) -> Self {
        let NodeSummary { head, node_type, children, reused_from } = node;
        Self {
            node_run_id: head.node_run_id,
            path: head.path.as_str().to_owned(),
            node_type_ref: node_type,
            kind: head.kind,
            state: head.state,
            started_at: head.started_at,
            ended_at: head.ended_at,
            deadline: head.deadline,
            attempt: head.attempt,
            children,
            reused_from,
        }
    }
}
