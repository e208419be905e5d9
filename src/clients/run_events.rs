//! The events of a run as a typed stream that survives broken connections.
//!
//! ```text
//!   connect after `seq` ──▶ line ──▶ RunEvent, seq + 1 … ──▶ end
//!        ▲                   │ broken off, or ended before its run
//!        └──── backoff ◀─────┘
//! ```
//!
//! A cursor names the last event that was returned. So no event is returned twice
//! and none is missed, however often the connection is made again.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, stream};
use progenitor_client::{ClientInfo, Error};

use super::{CallError, path::encode_path, run_coordinator::Client, service::Service, verbatim};
use crate::{
    time::{Clock, backoff},
    types::{RunEvent, RunEventType, RunId},
};

/// Backoff between connections, and how many may fail in a row before the reader
/// gives up: after about a quarter of a minute.
const BASE: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(5);
const TRIES: u32 = 8;

/// Reads the events of one run, in the order of their `seq`.
pub struct RunEvents {
    client: Client,
    clock: Arc<dyn Clock>,
    run: RunId,
    /// Wait for more events until the run ends.
    follow: bool,
    /// `seq` of the last event that was returned.
    after: u64,
    /// `run_completed` was returned.
    completed: bool,
    ended: bool,
    connection: Option<reqwest::Response>,
    /// Bytes that have arrived and were not returned yet.
    buffer: BytesMut,
    /// Connections that failed since the last event.
    failures: u32,
}

impl RunEvents {
    /// Reads the events so far.
    pub fn read(client: Client, run: RunId, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            run,
            follow: false,
            after: 0,
            completed: false,
            ended: false,
            connection: None,
            buffer: BytesMut::new(),
            failures: 0,
        }
    }

    /// Reads the events so far and those to come, until the run ends.
    pub fn follow(client: Client, run: RunId, clock: Arc<dyn Clock>) -> Self {
        Self { follow: true, ..Self::read(client, run, clock) }
    }

    /// Skips the events up to this `seq`, where an earlier reader stopped.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.after = seq;
        self
    }

    /// `seq` of the last event that was returned: where to continue.
    pub fn last_seq(&self) -> u64 {
        self.after
    }

    /// Returns the next event; `None` at the end. After an error, the next call
    /// tries again.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, CallError> {
        while !self.ended {
            if let Some(line) = self.line() {
                let event: RunEvent =
                    serde_json::from_slice(&line).map_err(|error| self.unreadable(&error))?;
                if event.seq <= self.after {
                    continue;
                }
                self.after = event.seq;
                self.failures = 0;
                self.completed |= event.type_ == RunEventType::RunCompleted;
                return Ok(Some(event));
            }
            if let Err(error) = self.more().await {
                self.connection = None;
                self.wait_after(error).await?;
            }
        }
        Ok(None)
    }

    /// The events as a stream, which ends at the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<RunEvent, CallError>> + Send {
        stream::try_unfold(
            self,
            |mut events| async move { Ok(events.next().await?.map(|event| (event, events))) },
        )
    }

    /// Takes a complete line, if there is one.
    fn line(&mut self) -> Option<Bytes> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n')?;
        let line = self.buffer.split_to(end).freeze();
        self.buffer.advance(1);
        Some(line)
    }

    /// Reads more of the stream, or finds that it has ended.
    async fn more(&mut self) -> Result<(), CallError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => {
                let connection = self.connect().await?;
                // An incomplete line is sent again in full.
                self.buffer.clear();
                self.connection.insert(connection)
            }
        };
        match connection.chunk().await {
            Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
            Ok(None) => {
                self.connection = None;
                if !self.follow || self.completed {
                    self.ended = true;
                } else if self.run_is_over().await? {
                    // Reads what was committed in the meantime, and ends.
                    self.follow = false;
                } else {
                    return Err(CallError::no_response(
                        Service::RunCoordinator,
                        "the stream ended before its run",
                    ));
                }
            }
            Err(error) => {
                return Err(self.client.failed(Error::ResponseBodyError(error)));
            }
        }
        Ok(())
    }

    /// The generated `stream_run_events`, with query parameters that the standard
    /// does not have.
    async fn connect(&self) -> Result<reqwest::Response, CallError> {
        let client = &self.client;
        let run = encode_path(self.run.as_str());
        let mut url = format!("{}/v1/runs/{run}/events?follow={}", client.baseurl(), u8::from(self.follow));
        if self.after > 0 {
            url = format!("{url}&cursor={}", cursor(self.after));
        }
        verbatim::send(client, client.client().get(url), "stream_run_events").await
    }

    /// Whether the run is over: another reader may have returned its last event.
    async fn run_is_over(&self) -> Result<bool, CallError> {
        Ok(self.client.call(self.client.get_run(&self.run)).await?.state.is_terminal())
    }

    async fn wait_after(&mut self, error: CallError) -> Result<(), CallError> {
        if !error.retryable() || self.failures >= TRIES {
            self.failures = 0;
            return Err(error);
        }
        self.clock.sleep(backoff(self.failures, BASE, CAP, self.run.as_str())).await;
        self.failures += 1;
        Ok(())
    }

    fn unreadable(&self, error: &serde_json::Error) -> CallError {
        let reason = format!("the line after event {} cannot be read: {error}", self.after);
        CallError::malformed(Service::RunCoordinator, &reason)
    }
}

/// The cursor for the last event that was returned.
fn cursor(seq: u64) -> String {
    URL_SAFE.encode(seq.to_string())
}

#[cfg(test)]
mod proptests;

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::{
        io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
        net::TcpListener,
    };

    use super::*;
    use crate::{clients::Peer, time::Timestamp};

    /// A clock that does not wait.
    struct Hasty;

    #[async_trait]
    impl Clock for Hasty {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }
        async fn sleep(&self, _: Duration) {}
    }

    fn line(seq: u64, type_: &str) -> String {
        format!("{{\"run_id\":\"r\",\"seq\":{seq},\"type\":\"{type_}\",\"time\":\"2026-11-22T00:00:00Z\"}}\n")
    }

    /// A response whose body is complete, or breaks off.
    fn body(text: &str, whole: bool) -> String {
        let length = if whole { text.len() } else { text.len() + 1 };
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{text}")
    }

    /// Sends one answer per connection. Returns the paths that were requested.
    async fn answer(listener: TcpListener, answers: Vec<String>) -> Vec<String> {
        let mut asked = Vec::new();
        for answer in answers {
            let (socket, _) = listener.accept().await.unwrap();
            let mut socket = BufReader::new(socket);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                socket.read_line(&mut head).await.unwrap();
            }
            asked.push(head.split(' ').nth(1).unwrap().to_owned());
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    }

    /// The `seq`s that a reader returns, and the paths that it requests.
    async fn given(
        answers: Vec<String>,
        reader: impl FnOnce(RunEvents) -> RunEvents,
    ) -> (Result<Vec<u64>, CallError>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let client = Client::new_with_client(&url, http, Peer::anonymous(Service::RunCoordinator));
        let mut events = reader(RunEvents::follow(client, "r".into(), Arc::new(Hasty)));
        let reading = async {
            let mut seqs = Vec::new();
            while let Some(event) = events.next().await? {
                seqs.push(event.seq);
            }
            Ok(seqs)
        };
        futures::join!(reading, answer(listener, answers))
    }

    #[test]
    fn cursor_is_the_seq_in_base64() {
        assert_eq!((cursor(12), cursor(1)), ("MTI=".into(), "MQ==".into()));
    }

    #[tokio::test]
    async fn reader_reconnects_after_the_last_event() {
        let (one, two, end) = (line(1, "run_started"), line(2, "policy_decided"), line(3, "run_completed"));
        let part = &two[..20];
        let (seqs, asked) = given(
            vec![
                body(&format!("{one}{part}"), false),
                "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".into(),
                body(&format!("{one}{two}{end}"), true),
            ],
            |events| events,
        )
        .await;
        assert_eq!(seqs, Ok(vec![1, 2, 3]));
        let again = "/v1/runs/r/events?follow=1&cursor=MQ==";
        assert_eq!(asked, ["/v1/runs/r/events?follow=1", again, again]);
    }

    #[tokio::test]
    async fn reader_goes_on_if_the_stream_ends_before_its_run() {
        let run = |state| {
            body(&format!("{{\"run_id\":\"r\",\"root_node_run_id\":\"n\",\"state\":\"{state}\"}}"), true)
        };
        let (seqs, asked) = given(
            vec![
                body("", true),
                run("running"),
                body(&line(8, "policy_decided"), true),
                run("succeeded"),
                body(&line(9, "run_completed"), true),
            ],
            |events| events.after(7),
        )
        .await;
        assert_eq!(seqs, Ok(vec![8, 9]));
        assert_eq!(asked[2], "/v1/runs/r/events?follow=1&cursor=Nw==");
        assert_eq!(asked[4], "/v1/runs/r/events?follow=0&cursor=OA==");
    }

    #[tokio::test]
    async fn permanent_failure_is_an_error_at_once() {
        let unknown = "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let (seqs, _) = given(vec![unknown.into()], |events| events).await;
        assert_eq!(seqs.map_err(|error| error.status()), Err(Some(404)));
        let (seqs, _) = given(vec![body("no JSON\n", true)], |events| events).await;
        assert_eq!(seqs.map_err(|error| error.retryable()), Err(false));
    }
}
