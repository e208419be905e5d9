//! An agent as an executor in Rust, with the library's typed clients: a composite node
//! type that plans, and tools that are atomic ones. It does the same as `agent.py`: it
//! plans within its steps, gives each tool an allowance of money, goes on without what
//! its budget refuses, and waits for an approval before it does what cannot be undone.
//!
//! ```sh
//! cargo run --example agent -- 8082
//! ```
//!
//! `docs/examples.md` says how to start the coordinator and a run for it.

use std::{env, error::Error, process::ExitCode, time::Duration};

use dropshot::{
    ApiDescription, Body, ConfigDropshot, HttpError, HttpServer, Path, RequestContext, ServerBuilder,
    UntypedBody, endpoint,
};
use http::{Response, StatusCode, header::CONTENT_TYPE};
use jarvis_run_coordinator::{
    clients::{
        self,
        atomic_executor::types::AtomicExecuteRequest,
        composite_executor::types::{CompositeBeginRequest, CompositeBeginResponse},
        run_coordinator::Client,
    },
    time::{Clock, SystemClock},
    types::{JsonObject, NodeRun, NodeRunCompleteRequest, NodeRunState, NodeRunsCreateRequest},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a call of `atomic.look_up` costs, in the currency of the budgets.
const PRICE: f64 = 0.02;
/// Between two looks at node runs that have not ended: soon at first, seldom later.
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(5);

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let port = env::args().nth(1).map_or(Ok(8082), |port| port.parse());
    let Ok(port) = port else {
        eprintln!("usage: agent [port]");
        return ExitCode::from(2);
    };
    let served = match start(port) {
        Ok(server) => {
            println!("listening on http://{}", server.local_addr());
            server.await
        }
        Err(error) => Err(error.to_string()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Both executor APIs, on one port of this machine.
pub fn start(port: u16) -> Result<HttpServer<()>, Failure> {
    let mut api = ApiDescription::new();
    api.register(any).map_err(|error| error.to_string())?;
    let config = ConfigDropshot {
        bind_address: ([127, 0, 0, 1], port).into(),
        default_request_body_max_bytes: 8 << 20,
        ..ConfigDropshot::default()
    };
    let log = slog::Logger::root(slog::Discard, slog::o!());
    Ok(ServerBuilder::new(api, (), log).config(config).start()?)
}

#[derive(Deserialize, JsonSchema)]
struct AnyPath {
    path: Vec<String>,
}

/// A single endpoint, because dropshot has no paths with a verb behind a colon.
#[endpoint { method = POST, path = "/{path:.*}", unpublished = true }]
async fn any(
    _: RequestContext<()>,
    path: Path<AnyPath>,
    body: UntypedBody,
) -> Result<Response<Body>, HttpError> {
    let path = path.into_inner().path.join("/");
    let invalid = |error: serde_json::Error| HttpError::for_bad_request(None, error.to_string());
    match path.as_str() {
        "v1/atomic-node-runs:execute" => {
            answer(&execute(&serde_json::from_slice(body.as_bytes()).map_err(invalid)?))
        }
        "v1/composite-node-runs:begin" => {
            answer(&begin(serde_json::from_slice(body.as_bytes()).map_err(invalid)?))
        }
        // What a canceled node run answers later does not count.
        path if path.ends_with(":cancel") => {
            Ok(Response::builder().status(StatusCode::NO_CONTENT).body(Body::empty())?)
        }
        _ => Err(HttpError::for_not_found(None, path)),
    }
}

fn answer(content: &impl Serialize) -> Result<Response<Body>, HttpError> {
    let text =
        serde_json::to_string(content).map_err(|error| HttpError::for_internal_error(error.to_string()))?;
    Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(text.into())?)
}

/// An atomic node run: the answer is its end, and says what was spent. No tool is called
/// for more than its allowance.
fn execute(request: &AtomicExecuteRequest) -> Value {
    let constraints = request.constraints.as_ref();
    let left = constraints.and_then(|all| all.budgets.as_ref()).and_then(|budgets| budgets.max_cost);
    let (cost, result) = match request.node_type_ref.node_type_id.as_str() {
        "atomic.look_up" if left.is_some_and(|left| f64::from(left) < PRICE) => {
            (0.0, Err(("too_little_budget", format!("it costs {PRICE}"))))
        }
        "atomic.look_up" => (PRICE, look_up(&request.inputs)),
        "atomic.send_letter" => (0.0, Ok(send_letter(&request.inputs))),
        other => (0.0, Err(("unknown_node_type", other.to_owned()))),
    };
    let usage = json!({"jarvis.usage": {"external_calls": u8::from(cost > 0.0), "cost": cost}});
    let id = &request.node_run_id;
    match result {
        Ok(outputs) => {
            json!({"node_run_id": id, "state": "succeeded", "outputs": outputs, "extensions": usage})
        }
        Err((code, message)) => {
            let error = json!({"code": code, "message": message});
            json!({"node_run_id": id, "state": "failed", "error": error, "extensions": usage})
        }
    }
}

fn look_up(inputs: &JsonObject) -> Result<Value, (&'static str, String)> {
    let city = inputs.text("city").unwrap_or_default();
    let degrees = match city.as_str() {
        "Basel" => 25,
        "Bern" => 22,
        "Lugano" => 27,
        "Zurich" => 23,
        _ => return Err(("unknown_city", city)),
    };
    Ok(json!({"city": city, "degrees": degrees}))
}

fn send_letter(inputs: &JsonObject) -> Value {
    let text = |name| inputs.text(name).unwrap_or_default();
    println!("letter to {}: {}", text("to"), text("text"));
    json!({"sent_to": text("to")})
}

/// A composite node run: it is accepted at once, and completed when its plan is done.
fn begin(request: CompositeBeginRequest) -> CompositeBeginResponse {
    let accepted = request.node_type_ref.node_type_id == "composite.agent";
    if accepted {
        #[expect(clippy::disallowed_methods, reason = "the set of tasks is the coordinator's own")]
        tokio::spawn(async move {
            if let Err(error) = carry_out(&request).await {
                // It has ended already: its run was canceled, or it ran out of time.
                eprintln!("{}: {error}", request.node_run_id);
            }
        });
    }
    let message = (!accepted).then(|| "not one of mine".to_owned());
    CompositeBeginResponse { accepted, message, extensions: None }
}

/// Carries the plan out, and reports the end of the node run, whatever that is.
async fn carry_out(request: &CompositeBeginRequest) -> Result<(), Failure> {
    let url = request.coordinator_endpoint.trim_end_matches('/');
    // The token is for this node run and what is below it.
    let client = clients::coordinator(url, request.assignment_token.as_deref())?;
    let end = match plan(&client, request).await {
        Ok(outputs) => json!({"state": "succeeded", "outputs": outputs}),
        Err(error) => {
            json!({"state": "failed", "error": {"code": "plan_failed", "message": error.to_string()}})
        }
    };
    let end: NodeRunCompleteRequest = serde_json::from_value(end)?;
    client.call(client.complete_node_run(&request.node_run_id, &end)).await?;
    Ok(())
}

/// Finds out which city is the warmest, and writes to a person about it. Here an agent
/// would ask a model what to do next; this one always does the same, to be tested.
async fn plan(client: &Client, request: &CompositeBeginRequest) -> Result<Value, Failure> {
    let mut cities: Vec<String> = serde_json::from_value(request.inputs.value("cities"))?;
    let all = cities.clone();
    // The plan has to fit into the steps that are left; the last one is for the letter.
    let constraints = request.constraints.as_ref();
    let steps = constraints.and_then(|all| all.budgets.as_ref()).and_then(|budgets| budgets.max_steps);
    if let Some(steps) = steps {
        cities.truncate(usize::try_from(steps.saturating_sub(1))?);
    }
    // The price of each is reserved in the budget of the run before the tool is called:
    // what all of them together may cost is never spent twice.
    let tools = cities.iter().map(|city| {
        let allowance = json!({"budgets": {"max_cost": PRICE}});
        child("atomic.look_up", &format!("look-up-{city}"), &json!({"city": city}), &allowance)
    });
    let looked_up = create_and_wait(client, request, tools.collect()).await?;
    let known: Vec<JsonObject> = looked_up
        .into_iter()
        .filter(|node| node.state == NodeRunState::Succeeded)
        .filter_map(|node| node.outputs)
        .collect();
    let degrees = |city: &&JsonObject| city.value("degrees").as_i64();
    let warmest = known.iter().max_by_key(degrees).ok_or("nothing could be looked up")?;

    let names: Vec<String> = known.iter().filter_map(|city| city.text("city")).collect();
    let warmest = (warmest.text("city").unwrap_or_default(), warmest.value("degrees"));
    let text = format!("The warmest of {} is {}, at {} degrees.", names.join(", "), warmest.0, warmest.1);
    let inputs = json!({"to": request.inputs.value("send_to"), "text": text});
    let gate = json!({"gates": {"require_approval": true}});
    let letter = child("atomic.send_letter", "letter", &inputs, &gate);
    // It waits, for hours if need be, until a person has approved or denied it.
    let letters = create_and_wait(client, request, vec![letter]).await?;
    let sent = letters.iter().all(|letter| letter.state == NodeRunState::Succeeded);
    let unknown: Vec<&String> = all.iter().filter(|city| !names.contains(city)).collect();
    Ok(json!({"text": text, "sent": sent, "unknown": unknown}))
}

/// What a child is created from. The key makes the creation safe to repeat.
fn child(node_type: &str, key: &str, inputs: &Value, constraints: &Value) -> Value {
    json!({
        "node_type_ref": {"node_type_id": node_type, "version": "1.0.0"},
        "idempotency_key": key, "inputs": inputs, "constraints": constraints,
    })
}

/// Creates children, and returns them when they have ended, in the same order.
async fn create_and_wait(
    client: &Client,
    request: &CompositeBeginRequest,
    children: Vec<Value>,
) -> Result<Vec<NodeRun>, Failure> {
    if children.is_empty() {
        return Ok(Vec::new());
    }
    let body: NodeRunsCreateRequest = serde_json::from_value(json!({
        "run_id": request.run_id, "parent_node_run_id": request.node_run_id, "node_runs": children,
    }))?;
    let mut nodes = client.call(client.create_node_runs(&body)).await?.node_runs;
    let mut pause = SOONEST;
    for node in &mut nodes {
        while !node.state.is_terminal() {
            SystemClock.sleep(pause).await;
            pause = (2 * pause).min(LATEST);
            *node = client.call(client.get_node_run(&node.node_run_id)).await?;
        }
    }
    Ok(nodes)
}
