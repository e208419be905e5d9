//! The executors of the bench: atomic nodes succeed at once, composites do what their type
//! says. They answer in microseconds, on connections that stay open.
//!
//! ```text
//!   …:execute ──▶ succeeded
//!   …:begin ──▶ accepted ─┬─ composite.idle ──▶ nothing: the bench itself creates its children
//!                         ├─ composite.row ───▶ one child, its end, the next one, …, complete
//!                         └─ composite.fan ───▶ all children at once, their ends, complete
//! ```

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1, service};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpListener, sync::Mutex, time};

use crate::{
    arp::{Child, ENDS_OF_ATOMICS, NodeRuns},
    http::{Connection, member},
};

/// How a composite learns that a child has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learn {
    /// It follows the events below its node.
    Follow,
    /// It asks again and again, where events cannot be followed.
    Poll(time::Duration),
}

pub(crate) struct Executors {
    pub(crate) address: SocketAddr,
}

struct Shared {
    learn: Learn,
    /// Connections to the coordinators that are not in use.
    idle: Mutex<Vec<(SocketAddr, Connection)>>,
}

#[derive(Deserialize)]
struct Begin {
    run_id: String,
    node_run_id: String,
    node_type_ref: NodeTypeRef,
    inputs: Inputs,
    coordinator_endpoint: String,
}

#[derive(Deserialize)]
struct NodeTypeRef {
    node_type_id: String,
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inputs {
    /// How many children there will be, and of which type.
    children: usize,
    child: Option<String>,
}

impl Executors {
    pub(crate) async fn start(learn: Learn) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { learn, idle: Mutex::default() });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Each answer is one small packet.
                _ = stream.set_nodelay(true);
                let shared = Arc::clone(&shared);
                let answer = service::service_fn(move |request| answer(Arc::clone(&shared), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Ok(Self { address })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    // The coordinator is gone.
    let Ok(body) = request.into_body().collect().await else { return Ok(reply(400, String::new())) };
    let body = body.to_bytes();
    Ok(match path.as_str() {
        "/v1/atomic-node-runs:execute" => match member::<Child>(&body) {
            Ok(Child { node_run_id, .. }) => reply(
                200,
                format!(r#"{{"node_run_id":"{node_run_id}","state":"succeeded","outputs":{{"done":true}}}}"#),
            ),
            Err(error) => reply(400, format!("{error:#}")),
        },
        "/v1/composite-node-runs:begin" => match member::<Begin>(&body) {
            Ok(begin) => {
                tokio::spawn(async move {
                    if let Err(error) = shared.work(&begin).await {
                        eprintln!("{} of {}: {error:#}", begin.node_run_id, begin.run_id);
                    }
                });
                reply(200, r#"{"accepted":true}"#.into())
            }
            Err(error) => reply(400, format!("{error:#}")),
        },
        // Cancels, and questions about health.
        _ => reply(204, String::new()),
    })
}

fn reply(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

impl Shared {
    async fn work(&self, begin: &Begin) -> Result<()> {
        match begin.node_type_ref.node_type_id.as_str() {
            "composite.idle" => return Ok(()),
            "composite.row" | "composite.fan" => {}
            other => bail!("no such composite: {other}"),
        }
        let url = begin.coordinator_endpoint.trim_start_matches("http://").trim_end_matches('/');
        let address: SocketAddr = url.parse().with_context(|| format!("the address {url}"))?;
        let mut connection = self.connection(address).await;
        match (begin.node_type_ref.node_type_id.as_str(), self.learn) {
            ("composite.row", Learn::Follow) => {
                let mut events = self.connection(address).await;
                in_a_row_followed(begin, &mut connection, &mut events).await?;
                self.idle.lock().await.push((address, events));
            }
            ("composite.row", Learn::Poll(pause)) => in_a_row_polled(begin, &mut connection, pause).await?,
            _ => {
                let mut events = self.connection(address).await;
                at_once(begin, &mut connection, &mut events).await?;
                self.idle.lock().await.push((address, events));
            }
        }
        let complete = format!("/v1/node-runs/{}:complete", begin.node_run_id);
        connection.post(&complete, r#"{"state":"succeeded","outputs":{"done":true}}"#).await?;
        self.idle.lock().await.push((address, connection));
        Ok(())
    }

    async fn connection(&self, address: SocketAddr) -> Connection {
        let mut idle = self.idle.lock().await;
        match idle.iter().position(|(of, _)| *of == address) {
            Some(at) => idle.swap_remove(at).1,
            None => Connection::to(address),
        }
    }
}

/// One stream for all children: it is opened before there is any, and needs to be read for
/// their ends only.
async fn in_a_row_followed(begin: &Begin, requests: &mut Connection, events: &mut Connection) -> Result<()> {
    let path = format!("/v1/node-runs/{}/events?follow=1", begin.node_run_id);
    let mut events = events.open(&path).await?;
    for _ in 0..begin.inputs.children {
        create(begin, requests, 1).await?;
        ends(&mut events, 1).await?;
    }
    Ok(())
}

async fn in_a_row_polled(begin: &Begin, requests: &mut Connection, pause: time::Duration) -> Result<()> {
    for _ in 0..begin.inputs.children {
        let created = create(begin, requests, 1).await?;
        let child = created.node_runs.first().context("a child")?;
        let path = format!("/v1/node-runs/{}", child.node_run_id);
        loop {
            let now: Child = member(&requests.get(&path).await?)?;
            match now.state.as_str() {
                "succeeded" => break,
                "queued" | "running" => time::sleep(pause).await,
                other => bail!("a child has ended as {other}"),
            }
        }
    }
    Ok(())
}

async fn at_once(begin: &Begin, requests: &mut Connection, events: &mut Connection) -> Result<()> {
    let path = format!("/v1/node-runs/{}/events?follow=1", begin.node_run_id);
    let mut events = events.open(&path).await?;
    create(begin, requests, begin.inputs.children).await?;
    ends(&mut events, begin.inputs.children).await
}

async fn create(begin: &Begin, requests: &mut Connection, count: usize) -> Result<NodeRuns> {
    let NodeTypeRef { version, .. } = &begin.node_type_ref;
    let child = begin.inputs.child.as_deref().unwrap_or("atomic.fast");
    let spec = json!({"node_type_ref": {"node_type_id": child, "version": version}, "inputs": {"n": 1}});
    let request = json!({
        "run_id": begin.run_id,
        "parent_node_run_id": begin.node_run_id,
        "node_runs": vec![spec; count],
    });
    let created: NodeRuns = member(&requests.post("/v1/node-runs", request.to_string()).await?)?;
    ensure!(created.node_runs.len() == count, "{} of {count} children", created.node_runs.len());
    Ok(created)
}

/// Waits until that many more children have ended.
async fn ends(events: &mut crate::http::Lines, count: usize) -> Result<()> {
    let mut ended = 0;
    while ended < count {
        let line = events.next().await?.context("the stream ended before its node")?;
        if ENDS_OF_ATOMICS.find(line).is_some() {
            ended += 1;
        }
    }
    Ok(())
}
