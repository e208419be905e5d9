//! The demo's atomic and composite executors: a server on loopback that the
//! coordinator calls like any other.

use std::{collections::HashSet, sync::Arc};

use dropshot::{
    ApiDescription, Body, ConfigDropshot, HttpError, HttpServer, Path, RequestContext, ServerBuilder,
    UntypedBody, endpoint,
};
use http::{Response, StatusCode, header::CONTENT_TYPE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slog::{Logger, o, warn};
use tokio::sync::watch;

use super::{composite::Composite, story};
use crate::{
    clients::{
        Peer, Service,
        atomic_executor::types::{AtomicExecuteRequest, AtomicExecuteResult},
        composite_executor::types::{CompositeBeginRequest, CompositeBeginResponse},
        run_coordinator::Client,
    },
    runtime::tasks::TaskSet,
    time::Clock,
    types::{Error, ErrorEnvelope, JsonObject, NodeRunId, NodeRunState},
};

/// Both executors, as one server.
pub(super) struct Executors {
    http: HttpServer<Arc<State>>,
    tasks: TaskSet,
}

struct State {
    clock: Arc<dyn Clock>,
    client: reqwest::Client,
    tasks: TaskSet,
    /// The nodes that the coordinator has canceled.
    canceled: watch::Sender<HashSet<NodeRunId>>,
    log: Logger,
}

impl Executors {
    /// Starts the server on a free port of the loopback address.
    pub(super) fn start(
        clock: Arc<dyn Clock>,
        client: reqwest::Client,
        log: &Logger,
    ) -> Result<Self, String> {
        let tasks = TaskSet::new(log.clone());
        let (canceled, _) = watch::channel(HashSet::new());
        let state = State { clock, client, tasks: tasks.clone(), canceled, log: log.clone() };
        let mut api = ApiDescription::new();
        api.register(any).map_err(|error| error.to_string())?;
        let config = ConfigDropshot {
            bind_address: ([127, 0, 0, 1], 0).into(),
            default_request_body_max_bytes: 8 << 20,
            ..ConfigDropshot::default()
        };
        let server = ServerBuilder::new(api, Arc::new(state), log.new(o!("component" => "executors")));
        let http = server.config(config).start().map_err(|error| error.to_string())?;
        Ok(Self { http, tasks })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.http.local_addr())
    }

    /// Cancels all work, so that the coordinator does not wait for it.
    pub(super) fn cancel_all(&self) {
        self.tasks.stopping().cancel();
    }

    pub(super) async fn stop(self) {
        self.tasks.stop().await;
        // The executors have no state to save.
        let _closed = self.http.close().await;
    }
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

/// A single endpoint: dropshot does not support verbs after a colon.
#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn any(
    rq: RequestContext<Arc<State>>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    let (state, path) = (rq.context(), path.into_inner().path);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path[..] {
        ["v1", "atomic-node-runs:execute"] => match serde_json::from_slice(body.as_bytes()) {
            Ok(request) => execute(state, request).await,
            Err(error) => invalid(&error),
        },
        ["v1", "composite-node-runs:begin"] => match serde_json::from_slice(body.as_bytes()) {
            Ok(request) => begin(state, request),
            Err(error) => invalid(&error),
        },
        ["v1", "atomic-node-runs" | "composite-node-runs", last] => match last.strip_suffix(":cancel") {
            Some(node) => {
                state.canceled.send_modify(|nodes| {
                    nodes.insert(node.into());
                });
                answer(StatusCode::NO_CONTENT, Body::empty())
            }
            None => not_found("http_error", "Not Found"),
        },
        _ => not_found("http_error", "Not Found"),
    }
}

/// Answers when the work is done or canceled.
async fn execute(state: &State, request: AtomicExecuteRequest) -> Result<Response<Body>, HttpError> {
    let AtomicExecuteRequest { node_run_id, node_type_ref, inputs, .. } = request;
    let Some(act) = story::act(&node_type_ref.node_type_id, &inputs) else {
        return not_found("unknown_node_type", &format!("no such act: {}", node_type_ref.node_type_id));
    };
    let started_at = state.clock.now();
    let done = tokio::select! {
        () = state.clock.sleep(act.duration) => Some(act.outcome),
        () = state.canceled(&node_run_id) => None,
    };
    let (node_state, outputs, error) = match done {
        Some(Ok(outputs)) => (NodeRunState::Succeeded, Some(outputs), None),
        Some(Err(error)) => (NodeRunState::Failed, None, Some(error)),
        None => (NodeRunState::Canceled, None, None),
    };
    let spent = outputs.as_ref().map_or(0, |outputs| story::spent(&node_type_ref.node_type_id, outputs));
    let usage = json!({"jarvis.usage": {"external_calls": 1, "cost": spent}});
    json(
        StatusCode::OK,
        &AtomicExecuteResult {
            node_run_id,
            state: node_state,
            outputs,
            output_artifacts: None,
            started_at: Some(started_at),
            ended_at: Some(state.clock.now()),
            error,
            extensions: Some(JsonObject::of(&usage)),
        },
    )
}

/// Accepts at once, and works in the background.
fn begin(state: &Arc<State>, request: CompositeBeginRequest) -> Result<Response<Body>, HttpError> {
    let node_type = &request.node_type_ref.node_type_id;
    let Some(plan) = story::plan(node_type) else {
        let message = Some(format!("no plan for {node_type}"));
        let refusal = CompositeBeginResponse { accepted: false, message, extensions: None };
        return json(StatusCode::OK, &refusal);
    };
    let peer = match &request.assignment_token {
        Some(token) => Peer::with_token(Service::RunCoordinator, token),
        None => Peer::anonymous(Service::RunCoordinator),
    };
    let url = request.coordinator_endpoint.trim_end_matches('/');
    let client = Client::new_with_client(url, state.client.clone(), peer);
    let state = Arc::clone(state);
    state.tasks.clone().spawn("composite", async move {
        let node = request.node_run_id.clone();
        let composite = Composite { client, clock: &*state.clock, begin: request, plan };
        let executed = tokio::select! {
            executed = composite.execute() => executed,
            () = state.canceled(&node) => Ok(()),
        };
        if let Err(error) = executed {
            warn!(state.log, "could not complete composite"; "node_run_id" => %node, "error" => %error);
        }
    });
    json(StatusCode::OK, &CompositeBeginResponse { accepted: true, message: None, extensions: None })
}

impl State {
    /// Waits until this node is canceled, or all work is.
    async fn canceled(&self, node: &NodeRunId) {
        let mut canceled = self.canceled.subscribe();
        tokio::select! {
            // Fails only if the executors are gone.
            _ = canceled.wait_for(|nodes| nodes.contains(node)) => {}
            () = self.tasks.stopping().cancelled() => {}
        }
    }
}

fn invalid(error: &serde_json::Error) -> Result<Response<Body>, HttpError> {
    failure(StatusCode::BAD_REQUEST, "invalid_request", &error.to_string())
}

fn not_found(code: &str, message: &str) -> Result<Response<Body>, HttpError> {
    failure(StatusCode::NOT_FOUND, code, message)
}

fn failure(status: StatusCode, code: &str, message: &str) -> Result<Response<Body>, HttpError> {
    json(status, &ErrorEnvelope { error: Error::new(code, message), extensions: None })
}

fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, HttpError> {
    let text =
        serde_json::to_string(value).map_err(|error| HttpError::for_internal_error(error.to_string()))?;
    answer(status, text.into())
}

fn answer(status: StatusCode, body: Body) -> Result<Response<Body>, HttpError> {
    let answer = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    Ok(answer.body(body)?)
}
