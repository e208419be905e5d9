//! HTTP as a client that costs little: a connection that stays open, and no more than one
//! request at a time on it.
//!
//! ```text
//!   Connection ──request──▶ head, body ──▶ the same connection again
//!             └──open────▶ Lines: line after line, while the server writes them
//! ```
//!
//! A pool would be shared by all clients and wake other threads; the bench shares the
//! processors with what it measures.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, time};

/// What must happen happens within this time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to one server, made when it is needed.
pub(crate) struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Result<Bytes> {
        self.ask(Method::POST, path, body.into()).await
    }

    /// The lines of an answer, while it comes.
    pub(crate) async fn open(&mut self, path: &str) -> Result<Lines> {
        let (status, body) = self.send(Method::GET, path, Bytes::new()).await?;
        ensure!(status.is_success(), "GET {path}: {status}");
        Ok(Lines { body, read: Vec::new(), taken: 0 })
    }

    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let (status, answer) = self.send(method.clone(), path, body).await?;
        let read = time::timeout(PATIENCE, answer.collect()).await;
        let bytes = read.with_context(|| format!("{method} {path}: no end"))??.to_bytes();
        ensure!(status.is_success(), "{method} {path}: {status} {}", String::from_utf8_lossy(&bytes));
        Ok(bytes)
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Incoming)> {
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let answer = time::timeout(PATIENCE, self.sender().await?.send_request(request)).await;
        let answer = answer.with_context(|| format!("{method} {path}: no answer"))?;
        let answer = answer.with_context(|| format!("{method} {path}"))?;
        Ok((answer.status(), answer.into_body()))
    }

    /// A server closes connections that were idle.
    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        let open = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let sender = match open {
            Some(sender) => sender,
            None => connect(self.address).await?,
        };
        Ok(self.sender.insert(sender))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender, or with the server, which the next request learns.
    tokio::spawn(connection);
    Ok(sender)
}

/// The lines of an answer.
pub(crate) struct Lines {
    body: Incoming,
    read: Vec<u8>,
    /// What of it has been returned.
    taken: usize,
}

impl Lines {
    /// The next line with its end; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            if let Some(end) = self.read[self.taken..].iter().position(|byte| *byte == b'\n') {
                let line = self.taken..self.taken + end + 1;
                self.taken = line.end;
                return Ok(Some(&self.read[line]));
            }
            self.read.drain(..self.taken);
            self.taken = 0;
            match self.body.frame().await.transpose().context("an event stream")? {
                Some(frame) => self.read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                None => return Ok(None),
            }
        }
    }
}

/// A member of an answer in JSON.
pub(crate) fn member<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T> {
    serde_json::from_slice(answer).with_context(|| format!("read {}", String::from_utf8_lossy(answer)))
}
