//! An atomic executor on loopback that succeeds at once.

use dropshot::{
    ApiDescription, Body, ConfigDropshot, HttpError, HttpServer, RequestContext, ServerBuilder, UntypedBody,
    endpoint,
};
use http::Response;
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

pub(crate) fn fast_executor() -> HttpServer<()> {
    let mut api = ApiDescription::new();
    api.register(execute).expect("a sound API");
    let config = ConfigDropshot { default_request_body_max_bytes: 1 << 20, ..ConfigDropshot::default() };
    ServerBuilder::new(api, (), Logger::root(Discard, o!()))
        .config(config)
        .start()
        .expect("the executor listens")
}

#[endpoint { method = POST, path = "/v1/atomic-node-runs:execute" }]
async fn execute(_: RequestContext<()>, body: UntypedBody) -> Result<Response<Body>, HttpError> {
    let request: Value = serde_json::from_slice(body.as_bytes()).unwrap_or_default();
    let answer =
        json!({"node_run_id": request["node_run_id"], "state": "succeeded", "outputs": {"done": true}});
    Ok(Response::builder().header("content-type", "application/json").body(answer.to_string().into())?)
}
