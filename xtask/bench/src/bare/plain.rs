//! The bare server on hyper alone.

use std::{convert::Infallible, sync::Arc};

use anyhow::Result;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::Runs;

pub(super) async fn serve(runs: Arc<Runs>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let runs = Arc::clone(&runs);
        let answer = service_fn(move |request| answer(Arc::clone(&runs), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn answer(runs: Arc<Runs>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match *request.method() {
        Method::POST => start(&runs, request).await,
        _ => match request.uri().path().split('/').nth(3) {
            Some(run) => runs.events(run).await,
            None => None,
        },
    };
    let mut response = Response::new(Full::new(Bytes::from(text.clone().unwrap_or_default())));
    if text.is_none() {
        *response.status_mut() = hyper::StatusCode::NOT_FOUND;
    }
    Ok(response)
}

async fn start(runs: &Arc<Runs>, request: Request<Incoming>) -> Option<String> {
    let body = request.into_body().collect().await.ok()?.to_bytes();
    let run = runs.start(serde_json::from_slice(&body).ok()?).await;
    serde_json::to_string(&run).ok()
}
