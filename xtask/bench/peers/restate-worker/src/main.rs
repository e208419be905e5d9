//! The worker of the Restate peer: durable steps, each of which calls the executor of the
//! bench.
//!
//! ```text
//!   ingress ──▶ Restate ──▶ Steps.one, Steps.ten ──▶ step: POST to the executor, its answer is journaled
//! ```

use std::env;

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use restate_sdk::prelude::*;

struct Steps {
    client: Client<HttpConnector, Full<Bytes>>,
    executor: String,
}

#[service]
impl Steps {
    #[handler]
    async fn one(&self, context: Context<'_>, _: String) -> Result<String, HandlerError> {
        Ok(context.run(|| self.call()).name("step").await?)
    }

    /// Each step after the former has been recorded.
    #[handler]
    async fn ten(&self, context: Context<'_>, _: String) -> Result<String, HandlerError> {
        let mut last = String::new();
        for _ in 0..10 {
            last = context.run(|| self.call()).name("step").await?;
        }
        Ok(last)
    }
}

impl Steps {
    /// What the coordinator asks an atomic executor, without what only ARP has.
    async fn call(&self) -> Result<String, HandlerError> {
        let body = r#"{"node_run_id":"step","inputs":{"n":1}}"#;
        let request = Request::post(&self.executor)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(body.as_bytes())))?;
        let answer = self.client.request(request).await?;
        let text = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(text.to_vec())?)
    }
}

/// `restate-worker <address to listen at> <URL of the executor>`
#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().and_then(|text| text.parse().ok()).expect("an address");
    let executor = arguments.next().expect("the URL of the executor");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let endpoint = Endpoint::builder().bind(Steps { client, executor }).build();
    HttpServer::new(endpoint).listen_and_serve(address).await;
}
